// What operators do with the live page in Chromium: watch sessions, find causes, close, reload.

import { isServer, main, serve } from '../realworld/common.mjs';
import { Client, expectNone, HOSTILE, listen, openPage, run, TOKEN, until, withoutComplaint } from './browser.mjs';

/** Each scenario gets the page and what is behind it, and returns what it saw. */
const scenarios = {
  async 'a session appears'({ page, proxy, clients }) {
    await page.goto(`${proxy.admin}/#sessions`);
    await page.getByText('No client is connected.').waitFor();
    clients.push(await Client.open(proxy.url));
    const row = page.locator('.sessions tbody tr');
    await row.first().waitFor();
    clients[0].send('hello');
    await clients[0].next((text) => text === 'hello');
    await until('the row counts the message', async () => (await row.first().innerText()).split('\t').includes('1'));
    return (await row.first().innerText()).replace(/\s+/g, ' ');
  },

  /** The server closes the connection with a hostile reason, so that the event fails. */
  async 'from an event id to its cause in three clicks'({ page, proxy, clients }) {
    await page.goto(`${proxy.admin}/#overview`);
    clients[0].send('end');
    const reply = JSON.parse(await clients[0].next((text) => text.includes('event_id')));
    let clicks = 0;
    const click = (locator) => (clicks++, locator.click());
    await click(page.locator('#find-id'));
    await page.keyboard.insertText(reply.event_id);
    await click(page.getByRole('button', { name: 'Find' }));
    await page.getByRole('heading', { name: `Event ${reply.event_id}` }).waitFor();
    await page.locator('.causes .own').getByText(HOSTILE, { exact: false }).waitFor();
    await click(page.getByRole('link', { name: 'Session 1:0' }));
    await page.locator('.details .events').getByText(reply.event_id).waitFor();
    if (clicks > 3) throw new Error(`${clicks} clicks`);
    return `${reply.event_id}, ${clicks} clicks, the reason is text`;
  },

  async 'a session is closed'({ page, proxy, clients }) {
    await page.goto(`${proxy.admin}/#sessions/1:0`);
    await page.locator('.details').getByText('open').waitFor();
    await page.getByRole('button', { name: 'Close session' }).click();
    await page.locator('dialog [type=password]').fill('wrong');
    await page.getByRole('button', { name: 'Unlock actions' }).last().click();
    await page.getByRole('dialog').getByRole('button', { name: 'Close session' }).click();
    await page.getByRole('alert').waitFor();
    await page.getByRole('button', { name: 'Close session' }).click();
    await page.locator('dialog [type=password]').fill(TOKEN);
    await page.getByRole('button', { name: 'Unlock actions' }).last().click();
    await page.getByLabel('Reason').fill('maintenance');
    await page.getByRole('dialog').getByRole('button', { name: 'Close session' }).click();
    const { code, reason } = await clients[0].closed;
    if (code !== 1001 || reason !== 'maintenance') throw new Error(`closed with ${code} ${reason}`);
    await page.locator('.details').getByText('is not connected').waitFor();
    return `the client sees ${code} "${reason}"; a wrong token changes nothing`;
  },

  async 'a reload is shown'({ page, proxy }) {
    await page.goto(`${proxy.admin}/#reloads`);
    await page.getByText('The configuration is the one of the start.').waitFor();
    proxy.write('reply_timeout = "17s"');
    proxy.child.kill('SIGHUP');
    await page.locator('.reloads').getByText('upstream.chat.reply_timeout').waitFor();
    await page.locator('.reloads').getByText('17s').waitFor();
    proxy.write('reply_timeout = "17 parsecs"');
    proxy.child.kill('SIGHUP');
    await page.locator('.reloads').getByText('refused, nothing changed').waitFor();
    await page.locator('.reloads').getByText('parsecs').waitFor();
    return 'the difference, and the error of a broken file';
  },

  async 'the keyboard is enough'({ browser, proxy, clients }) {
    const page = await openPage(browser, proxy.admin);
    clients.push(await Client.open(proxy.url));
    await page.keyboard.press('Tab');
    if ((await focused(page)) !== 'Skip to content') throw new Error('the first stop is not the skip link');
    await page.keyboard.press('Enter');
    if ((await page.evaluate(() => document.activeElement.id)) !== 'main') throw new Error('the skip link does not skip');
    await page.reload();
    await page.waitForSelector('.figures');
    await tabTo(page, 'Sessions');
    await page.keyboard.press('Enter');
    await page.locator('.sessions tbody tr').first().waitFor();
    await tabTo(page, '1:1');
    await page.keyboard.press('Enter');
    await page.locator('.details').getByText('open').waitFor();
    await tabTo(page, 'Close session');
    await page.keyboard.press('Enter');
    await page.keyboard.type(TOKEN);
    await page.keyboard.press('Enter');
    await page.getByLabel('Close code').waitFor();
    await page.keyboard.press('Enter');
    await clients.at(-1).closed;
    expectNone(page.complaints, /404/);
    return 'skip link, views, table, details, dialogs';
  },

  ...withoutComplaint,
};

const focused = (page) => page.evaluate(() => document.activeElement?.textContent?.trim());

/** Presses Tab until the element with this text has the focus. */
async function tabTo(page, text) {
  for (let presses = 0; presses < 80; presses++) {
    await page.keyboard.press('Tab');
    if ((await focused(page)) === text) return;
  }
  throw new Error(`the keyboard does not reach ${text}`);
}

if (isServer) serve(listen);
else await main(180_000, () => run(scenarios));
