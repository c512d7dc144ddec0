// Chromium as the client: a page opens a WebSocket with subprotocols and sends text and binary messages.

import { Proxy, Server, isServer, load, main, result, serve, version, within } from './common.mjs';

const OUTAGE = 300;
const LARGE = 900_000;

function listen(port) {
  const http = load('node:http');
  const { WebSocketServer } = load('ws');
  const server = http.createServer((_, answer) => answer.end('<!doctype html><title>page</title>'));
  const sockets = new WebSocketServer({ server, perMessageDeflate: true, handleProtocols: (all) => (all.has('chat.v2') ? 'chat.v2' : false) });
  sockets.on('connection', (socket, request) => {
    socket.send(`${request.url} ${request.headers.origin ? 'with' : 'without'} Origin`);
    socket.on('message', (data, binary) => {
      if (!binary && String(data) === 'end') socket.close(4001, 'the end, ünïcode');
      else socket.send(data, { binary });
    });
  });
  server.listen(port, '127.0.0.1');
  return server;
}

/** Runs in the page: opens, sends and receives, and gives what happened as text. */
async function visit({ url, large }) {
  const socket = new WebSocket(`${url}/room/1?name=a%20b&x=%E2%82%AC`, ['chat.v1', 'chat.v2']);
  socket.binaryType = 'arraybuffer';
  const received = [];
  const waiting = [];
  socket.onmessage = ({ data }) => (waiting.length ? waiting.shift()(data) : received.push(data));
  const closed = new Promise((resolve) => (socket.onclose = ({ code, reason, wasClean }) => resolve({ code, reason, wasClean })));
  const fails = closed.then(({ code, reason }) => Promise.reject(new Error(`closed with ${code} ${reason}`)));
  fails.catch(() => {});
  const next = () => Promise.race([received.length ? received.shift() : new Promise((resolve) => waiting.push(resolve)), fails]);
  const greeting = await next();
  const text = 'tëxt 🚢 \u0000';
  socket.send(text);
  const textIntact = (await next()) === text;
  const bytes = new Uint8Array(large);
  for (let at = 0; at < large; at += 65_536) crypto.getRandomValues(bytes.subarray(at, Math.min(at + 65_536, large)));
  socket.send(bytes);
  const answer = await next();
  const same = answer instanceof ArrayBuffer && answer.byteLength === large;
  const binaryIntact = same && new Uint8Array(answer).every((byte, at) => byte === bytes[at]);
  socket.send(new Blob([]));
  const empty = await next();
  const emptyIntact = empty instanceof ArrayBuffer && empty.byteLength === 0;
  const { protocol, extensions } = socket;
  socket.send('end');
  const { code, reason, wasClean } = await closed;
  return { greeting, protocol, extensions, textIntact, binaryIntact, emptyIntact, code, reason, wasClean };
}

/** Runs in the page: gives how an open connection ends. */
function hold(url) {
  const socket = new WebSocket(url, 'chat.v2');
  window.ended = new Promise((resolve) => (socket.onclose = ({ code, reason }) => resolve({ code, reason })));
  return new Promise((resolve, reject) => {
    socket.onmessage = () => resolve();
    window.ended.then(({ code }) => reject(new Error(`closed with ${code}`)));
  });
}

async function scenario() {
  const { chromium } = load('playwright-core');
  const server = await Server.start();
  const upstream = `ws://127.0.0.1:${server.port}`;
  const browser = await chromium.launch({ executablePath: process.env.REALWORLD_CHROMIUM, chromiumSandbox: false });
  process.on('exit', () => browser.close());
  const packages = `Chromium ${browser.version()}, playwright-core ${version('playwright-core')}, ws ${version('ws')}`;
  const proxies = [await Proxy.start(upstream), await Proxy.startDefault(upstream)];
  const ways = [{ name: 'direct', url: upstream }, ...proxies];
  const expected = JSON.stringify({
    greeting: '/room/1?name=a%20b&x=%E2%82%AC with Origin', protocol: 'chat.v2', textIntact: true, binaryIntact: true,
    emptyIntact: true, code: 4001, reason: 'the end, ünïcode', wasClean: true,
  });
  const held = [];
  for (const { name, url } of ways) {
    const page = await browser.newPage();
    await page.goto(upstream.replace('ws:', 'http:'));
    const seen = await within(15_000, 'the visit', page.evaluate(visit, { url, large: LARGE })).catch((error) => ({ error: error.message }));
    const { extensions, ...rest } = seen;
    const details = seen.error ?? `subprotocol, path, text, ${LARGE} bytes and close 4001 intact, extensions: ${extensions || 'none'}`;
    const passed = JSON.stringify(rest) === expected;
    result(passed, `${packages}: ${name}`, passed ? details : JSON.stringify(seen));
    if (passed) held.push({ name, page, open: await within(5_000, 'opens', page.evaluate(hold, url)) });
  }
  await server.restart(OUTAGE);
  for (const { name, page } of held) {
    const { code, reason } = await within(5_000, `${name}: the page learns of the loss`, page.evaluate('window.ended'));
    const wanted = name === 'direct' ? 1006 : 1012;
    result(code === wanted, `${packages}: ${name}, after the loss`, `the page sees close ${code} "${reason}"`);
  }
}

if (isServer) serve(listen);
else await main(60_000, scenario);
