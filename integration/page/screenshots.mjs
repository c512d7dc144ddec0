// Takes the screenshots of the live page in docs/images: `make screenshots`. A proxy serves clients for two minutes,
// and two of its servers are killed meanwhile, so that there is something to see.

import { join } from 'node:path';

import { isServer, load, main, result, Server, serve, sleep } from '../realworld/common.mjs';
import { AdminProxy, browse, Client, made, openPage, until } from './browser.mjs';

const TRAFFIC_TIME = 110_000;
const OUTAGE = 6000;
const CLIENTS = { chat: 64, market: 30 };

const SCREENS = [
  { name: 'page-light', view: 'overview', options: { colorScheme: 'light', viewport: { width: 1360, height: 900 } } },
  { name: 'page-dark', view: 'overview', options: { colorScheme: 'dark', viewport: { width: 1360, height: 900 } } },
  { name: 'page-upstreams-light', view: 'upstreams', options: { colorScheme: 'light', viewport: { width: 1360, height: 700 } } },
  { name: 'page-sessions-dark', view: 'session', options: { colorScheme: 'dark', viewport: { width: 1360, height: 800 } } },
  { name: 'page-event-light', view: 'event', options: { colorScheme: 'light', viewport: { width: 1360, height: 700 } } },
  { name: 'page-routes-light', view: 'graph', options: { colorScheme: 'light', viewport: { width: 1360, height: 560 } } },
  { name: 'page-tree-dark', view: 'tree', options: { colorScheme: 'dark', viewport: { width: 1360, height: 640 } } },
  { name: 'page-phone-light', view: 'overview', options: { colorScheme: 'light', viewport: { width: 390, height: 844 } } },
  { name: 'page-phone-dark', view: 'upstreams', options: { colorScheme: 'dark', viewport: { width: 390, height: 844 } } },
];

/** Replies after some milliseconds, sometimes after many; sends prices on its own. */
function listen(port) {
  const { WebSocketServer } = load('ws');
  const server = load('node:http').createServer((_, answer) => answer.end());
  new WebSocketServer({ server }).on('connection', (socket, request) => {
    const prices = request.url.startsWith('/market') && setInterval(() => socket.send('{"price":1}'), 150);
    socket.on('message', (data) => setTimeout(() => socket.send(String(data)), 2 + 6 * Math.random() + (Math.random() < 0.02 ? 80 : 0)));
    socket.on('close', () => clearInterval(prices));
  });
  server.listen(port, '127.0.0.1');
  return server;
}

const settings = (chat, market) => (token) => `[listener.public]
bind = "127.0.0.1:0"
[listener.ws]
bind = "127.0.0.1:0"
[admin]
bind = "127.0.0.1:0"
token_file = ${JSON.stringify(token)}
[pipeline.moderate]
source = "select event from in into out;"
[pipeline.redact]
source = "select event from in into out;"
[upstream.chat]
endpoints = [${chat.map(({ port }) => `"ws://127.0.0.1:${port}"`).join(', ')}]
exchange = "request"
[upstream.market]
url = "ws://127.0.0.1:${market.port}"
forward_path = true
[[route]]
name = "chat"
match = { path = "/chat" }
incoming = ["moderate"]
outgoing = ["redact"]
upstream = "chat"
origins = ["*"]
[[route]]
name = "market"
listener = "ws"
match = { path = "/market" }
upstream = "market"
stateless = true
origins = ["*"]
`;

async function traffic(proxy, stopped) {
  const clients = [];
  const talk = async (path, pause) => {
    while (!stopped.now) {
      await sleep(Math.random() * 2000);
      const client = await Client.open(proxy.url + path).catch(() => null);
      if (client) clients.push(client);
      while (!stopped.now && client?.socket.readyState === 1) {
        client.send('{"text":"hello"}');
        await sleep(pause * (0.5 + Math.random()));
      }
    }
  };
  for (let number = 0; number < CLIENTS.chat; number++) talk('/chat', 250);
  for (let number = 0; number < CLIENTS.market; number++) talk('/market', 4000);
  await until('the clients connect', () => clients.length >= CLIENTS.chat);
}

async function shoot(browser, admin, folder) {
  for (const { name, view, options } of SCREENS) {
    const page = await openPage(browser, admin, options);
    let hash = view;
    if (view === 'event') {
      await page.evaluate(() => (location.hash = 'errors'));
      hash = (await page.locator('tbody th a').first().getAttribute('href')).slice(1);
    } else if (view === 'session') {
      const { sessions } = await (await fetch(`${admin}/api/sessions?sort=errored&limit=1`)).json();
      hash = `sessions/${sessions[0].id}`;
    }
    await page.evaluate((to) => (location.hash = to), hash);
    // Time for a few frames, and for what the view reads.
    await sleep(1500);
    const path = join(folder, `${name}.png`);
    await page.screenshot({ path });
    result(true, name, path);
    await page.context().close();
  }
}

async function scenario() {
  const chat = [await Server.start(), await Server.start()];
  const market = await Server.start();
  const proxy = await AdminProxy.start(settings(chat, market));
  const browser = await browse();
  const stopped = { now: false };
  await traffic(proxy, stopped);
  await sleep(TRAFFIC_TIME / 2);
  await market.restart(OUTAGE);
  await sleep(TRAFFIC_TIME / 2);
  await Promise.all(chat.map((server) => server.restart(OUTAGE)));
  await sleep(4000);
  await shoot(browser, proxy.admin, made(process.argv[2] ?? 'docs/images'));
  stopped.now = true;
}

if (isServer) serve(listen);
else await main(300_000, scenario);
