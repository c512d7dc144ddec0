// The live page in Chromium: what it shows while an upstream dies, at 360 px, and what its policy says.

import { isServer, main, serve } from '../realworld/common.mjs';
import { Client, expectNone, listen, openPage, run, withoutComplaint } from './browser.mjs';

const OUTAGE = 1500;

/** What a view shows when it has what it asked the API for. */
const CONTENT = { sessions: 'tbody tr', 'events/1:0:2': '.panel' };

/** Each scenario gets the page and what is behind it, and returns what it saw. */
const scenarios = {
  async 'an upstream dies and comes back'({ page, proxy, server }) {
    const client = await Client.open(proxy.url);
    await page.goto(`${proxy.admin}/#upstreams`);
    const row = page.locator('.pool tbody tr').first();
    await row.locator('[data-tone=ok]').waitFor();
    const restarted = server.restart(OUTAGE);
    await row.locator('[data-tone=bad]').waitFor();
    await restarted;
    await row.locator('[data-tone=ok]').waitFor();
    const outage = page.locator('.outages tbody tr').first();
    await outage.getByText('over').waitFor();
    await page.goto(`${proxy.admin}/#tree`);
    await page.locator('table tbody tr').first().waitFor();
    await page.locator('.tree').getByText(/[1-9]\d* restart/).first().waitFor();
    client.send('again');
    await client.next((text) => text === 'again');
    return 'state, outage, and the restart of the session’s connector';
  },

  async 'nothing scrolls sideways at 360 px'({ browser, proxy }) {
    const page = await openPage(browser, proxy.admin, { viewport: { width: 360, height: 740 } });
    for (const view of ['overview', 'sessions', 'upstreams', 'tree', 'graph', 'errors', 'reloads', `events/1:0:2`]) {
      await page.evaluate((hash) => (location.hash = hash), view);
      await page.locator(`#main[data-view=${view.split('/')[0]}] ${CONTENT[view] ?? 'h2'}`).first().waitFor();
      const { scrollWidth, innerWidth } = await page.evaluate(() => ({ scrollWidth: document.documentElement.scrollWidth, innerWidth }));
      if (scrollWidth > innerWidth) throw new Error(`${view}: ${scrollWidth} px`);
    }
    expectNone(page.complaints, /404/);
    return 'all views';
  },

  ...withoutComplaint,
};

if (isServer) serve(listen);
else await main(180_000, () => run(scenarios));
