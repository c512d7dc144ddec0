// What the scripts of this folder share: a proxy with an admin address in front of a server that can be killed, its
// clients, and the browser with the live page.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { folder, load, result, Server, start, within } from '../realworld/common.mjs';

/** The token of the operator. */
export const TOKEN = 'token-of-the-operator';

const PATIENCE = 20_000;

/** Text that would run if the page took it for markup. */
export const HOSTILE = '<script>window.hostile=1</script><img src=x onerror="window.hostile=1">';

/** A WebSocket server that echoes, and closes with a hostile reason on `end`. */
export function listen(port) {
  const { WebSocketServer } = load('ws');
  const server = load('node:http').createServer((_, answer) => answer.end());
  new WebSocketServer({ server }).on('connection', (socket) => {
    socket.on('message', (data, binary) => {
      if (String(data) === 'end') socket.close(1011, HOSTILE);
      else socket.send(data, { binary });
    });
  });
  server.listen(port, '127.0.0.1');
  return server;
}

/** The settings of the proxy under test. `more` is text for the upstream. */
export function settings(url, token, more = '') {
  return `[listener.ws]
bind = "127.0.0.1:0"
codec = "string"
[admin]
bind = "127.0.0.1:0"
token_file = ${JSON.stringify(token)}
[upstream.chat]
url = "${url}"
codec = "string"
exchange = "request"
${more}
[[route]]
listener = "ws"
name = "chat"
upstream = "chat"
origins = ["*"]
`;
}

/** The proxy with an admin address. */
export class AdminProxy {
  static async start(text) {
    const proxy = new AdminProxy();
    proxy.folder = folder();
    proxy.file = join(proxy.folder, 'towline.toml');
    const token = join(proxy.folder, 'token');
    writeFileSync(token, `${TOKEN}\n`, { mode: 0o600 });
    proxy.write = (more) => writeFileSync(proxy.file, text(token, more));
    proxy.write();
    proxy.log = [];
    const ports = {};
    const listening = new Promise((resolve, reject) => {
      const onLine = (line) => {
        proxy.log.push(line);
        const found = /listening (listener=ws|admin) address=127\.0\.0\.1:(\d+)/.exec(line);
        if (found) ports[found[1]] = Number(found[2]);
        if (ports.admin && ports['listener=ws']) resolve();
      };
      const program = process.env.TOWLINE ?? 'target/debug/towline';
      proxy.child = start(program, ['run', '--config', proxy.file], { lines: 'stderr', onLine, env: { RUST_LOG: 'info' } });
      proxy.child.on('exit', (code) => reject(new Error(`the proxy ended with ${code}:\n${proxy.log.join('\n')}`)));
    });
    await within(30_000, 'the proxy listens', listening);
    listening.catch(() => {});
    proxy.admin = `http://127.0.0.1:${ports.admin}`;
    proxy.url = `ws://127.0.0.1:${ports['listener=ws']}`;
    return proxy;
  }
}

/** A client of the proxy. */
export class Client {
  static async open(url) {
    const { WebSocket } = load('ws');
    const client = new Client();
    client.socket = new WebSocket(url);
    client.received = [];
    client.socket.on('message', (data) => client.received.push(String(data)));
    client.socket.on('error', () => {});
    client.closed = new Promise((resolve) => client.socket.on('close', (code, reason) => resolve({ code, reason: String(reason) })));
    await within(PATIENCE, 'the client connects', new Promise((resolve) => client.socket.on('open', resolve)));
    return client;
  }

  send(text) {
    this.socket.send(text);
  }

  /** Waits for a message that `wanted` accepts. */
  async next(wanted) {
    return until('the client gets a message', () => this.received.find(wanted));
  }
}

/** Waits for a condition. */
export async function until(what, condition) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    const found = await condition();
    if (found) return found;
    if (Date.now() > end) throw new Error(`${what}: not within ${PATIENCE} ms`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Starts the browser. */
export async function browse() {
  const { chromium } = load('playwright-core');
  const browser = await chromium.launch({ executablePath: process.env.REALWORLD_CHROMIUM, chromiumSandbox: false });
  process.on('exit', () => browser.close());
  return browser;
}

/** Opens the live page. `page.complaints` has what the console and the policy complain about. */
export async function openPage(browser, admin, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1360, height: 850 }, reducedMotion: 'reduce', ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  page.complaints = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) page.complaints.push(message.text());
  });
  page.on('pageerror', (error) => page.complaints.push(error.message));
  page.on('requestfailed', (request) => page.complaints.push(`${request.url()} ${request.failure()?.errorText}`));
  await page.goto(`${admin}/`);
  await page.waitForSelector('.figures');
  return page;
}

/** Makes a folder. */
export const made = (path) => (mkdirSync(path, { recursive: true }), path);

/** Fails if the browser complained about something else than `except`. */
export function expectNone(complaints, except) {
  const others = complaints.filter((complaint) => !except.test(complaint));
  if (others.length) throw new Error(others.join('\n'));
}

/** Runs the scenarios one after the other, each with the page and what is behind it. */
export async function run(scenarios) {
  const server = await Server.start();
  const proxy = await AdminProxy.start((token, more) => settings(`ws://127.0.0.1:${server.port}`, token, more));
  const browser = await browse();
  const page = await openPage(browser, proxy.admin);
  const world = { server, proxy, browser, page, clients: [] };
  for (const [name, scenario] of Object.entries(scenarios)) {
    const seen = await scenario(world).catch((error) => ({ error }));
    result(!seen.error, name, seen.error?.stack ?? seen);
  }
}

/** The scenario of both scripts: the page is safe and has no fault that the browser notices. */
export const withoutComplaint = {
  async 'the console and the policy have no complaint'({ page }) {
    // The wrong token of an earlier scenario is answered with 401, and the session that was closed with 404.
    expectNone(page.complaints, /status of 40[14]/);
    if (await page.evaluate(() => 'hostile' in window)) throw new Error('hostile text ran');
    return 'none';
  },
};
