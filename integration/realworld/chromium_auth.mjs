// Chromium as a client that authenticates: tokens by subprotocol, cookie and query, pages of other sites, TLS with
// an authority that the script makes, a token that expires, and pages and WebSockets on one origin.

import { execFileSync } from 'node:child_process';
import { createHash, createHmac, X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';

import { Proxy, folder, load, main, result, version, within } from './common.mjs';

const SECRET = 'a secret of the tests that issuer and proxy share';
const APP = 'https://app.test';
const PARTNER = 'http://partner.test';
const OTHER = 'http://other.test';

const base64url = (value) => Buffer.from(value).toString('base64url');
const json = (value) => base64url(JSON.stringify(value));
const now = () => Math.floor(Date.now() / 1000);

/** A token of the subject `7` that expires in `lifetime` seconds. */
function token(lifetime, secret = SECRET) {
  const signed = `${json({ alg: 'HS256', typ: 'JWT' })}.${json({ sub: '7', aud: 'chat', exp: now() + lifetime })}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}

const EXTENSIONS = `[req]
distinguished_name = name
[name]
[ca]
basicConstraints = critical, CA:true
[leaf]
basicConstraints = critical, CA:false
extendedKeyUsage = serverAuth
subjectAltName = critical, DNS:app.test
`;

/** An authority and a certificate of it for app.test. Returns how Chromium names the authority's key. */
function certificates(at) {
  const openssl = (...args) => execFileSync('openssl', args, { cwd: at, stdio: 'pipe' });
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-config', 'extensions'];
  const create = (...args) => openssl('req', '-x509', '-days', '2', ...kind, ...args);
  writeFileSync(join(at, 'extensions'), EXTENSIONS);
  create('-subj', '/CN=test authority', '-extensions', 'ca', '-keyout', 'ca.key', '-out', 'ca.pem');
  create('-subj', '/', '-extensions', 'leaf', '-CA', 'ca.pem', '-CAkey', 'ca.key', '-keyout', 'app.key', '-out', 'leaf.pem');
  // The authority is in the chain that the server sends, so that Chromium finds its key there.
  const ca = readFileSync(join(at, 'ca.pem'));
  writeFileSync(join(at, 'app.pem'), Buffer.concat([readFileSync(join(at, 'leaf.pem')), ca]));
  const key = new X509Certificate(ca).publicKey.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(key).digest('base64');
}

/** Pages, a login that sets a cookie, and WebSockets that first send what their handshake had. */
async function listen() {
  const { WebSocketServer } = load('ws');
  const server = createServer((request, answer) => {
    if (request.url === '/login') {
      request.on('data', (cookie) => answer.setHeader('Set-Cookie', `session=${cookie}; Secure; HttpOnly; SameSite=None`));
      request.on('end', () => answer.end('welcome'));
    } else answer.setHeader('Content-Type', 'text/html').end('<!doctype html><title>page</title>');
  });
  const chooses = (offered, request) => (request.url.includes('none') ? false : offered.has('chat.v2') && 'chat.v2');
  const sockets = new WebSocketServer({ server, handleProtocols: chooses });
  server.received = [];
  sockets.on('connection', (socket, { url, headers }) => {
    const { authorization, cookie, 'sec-websocket-protocol': offered, 'x-user': user } = headers;
    socket.send(JSON.stringify({ url, authorization, cookie, offered, user }));
    socket.on('message', (data) => {
      server.received.push(String(data));
      socket.send(String(data));
    });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

function settings(upstream) {
  return `[listener.ws]
bind = "127.0.0.1:0"
tls.certificates = [{ cert = "app.pem", key = "app.key" }]

[auth.pages]
from = ["subprotocol:bearer.", "cookie:session", "query:token"]
jwt = { secret_file = "secret", audience = ["chat"], leeway = "0s" }
renew = { path = "type", value = "auth.renew", token = "token" }
forward_as = "authorization"

[upstream.app]
url = "${upstream}"
headers = { x-user = "\${session.subject}" }

[upstream.pages]
url = "${upstream}"

[[route]]
name = "health"
match.path_exact = "/healthz"
answer.body = "fine"

[[route]]
name = "chat"
path = "/ws"
upstream = "app"
auth = ["pages"]
origins = ["${APP}", "${PARTNER}"]
error_replies = true
session_expiry = { lead = "3s" }

[[route]]
name = "pages"
upstream = "pages"
forward_http = true
origins = ["${APP}"]
`;
}

/** Runs in a page: the first message of a WebSocket, or how it ends before. */
function open({ url, protocols }) {
  const socket = new WebSocket(url, protocols);
  return new Promise((resolve) => {
    socket.onmessage = ({ data }) => {
      resolve({ ...JSON.parse(data), protocol: socket.protocol });
      socket.close();
    };
    socket.onclose = ({ code, reason, wasClean }) => resolve({ code, reason, wasClean });
  });
}

/** Runs in a page: renews the token at the first notice, and gives all messages and the close. */
function stay({ url, protocols, renewed }) {
  const socket = new WebSocket(url, protocols);
  const messages = [];
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    messages.push(message);
    const notices = messages.filter(({ error }) => error === 'session expires').length;
    if (message.error && notices === 1) socket.send(JSON.stringify({ type: 'auth.renew', token: renewed }));
    if (message.notice) socket.send('{"text":"still here"}');
  };
  return new Promise((resolve) => {
    socket.onclose = ({ code, reason, wasClean }) => resolve({ messages, code, reason, wasClean });
  });
}

/** Runs in a page: the status and the text of the response to a request. */
async function request([path, options]) {
  const answer = await fetch(path, options);
  return `${answer.status} ${await answer.text()}`;
}

const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);
const REFUSED = { code: 1006, reason: '', wasClean: false };

class Scenario {
  static async start() {
    const scenario = new Scenario();
    const at = folder();
    const spki = certificates(at);
    writeFileSync(join(at, 'secret'), SECRET);
    scenario.server = await listen();
    const { port } = scenario.server.address();
    scenario.proxy = await Proxy.startWith(at, settings(`ws://127.0.0.1:${port}`), { RUST_LOG: 'trace' });
    const rules = [`MAP app.test:443 ${new URL(scenario.proxy.url).host}`, ...['partner', 'other'].map((name) => `MAP ${name}.test:80 127.0.0.1:${port}`)];
    scenario.args = [`--host-resolver-rules=${rules.join(',')}`];
    const trust = `--ignore-certificate-errors-spki-list=${spki}`;
    scenario.browser = await scenario.launch(trust);
    scenario.packages = `Chromium ${scenario.browser.version()}, playwright-core ${version('playwright-core')}`;
    return scenario;
  }

  async launch(...args) {
    const { chromium } = load('playwright-core');
    const options = { executablePath: process.env.REALWORLD_CHROMIUM, chromiumSandbox: false };
    const browser = await chromium.launch({ ...options, args: [...this.args, ...args] });
    process.on('exit', () => browser.close());
    return browser;
  }

  /** A page of this site, with cookies of its own. */
  async page(site) {
    const page = await (await this.browser.newContext()).newPage();
    await page.goto(`${site}/`);
    return page;
  }

  check(name, passed, seen) {
    result(passed, `${this.packages}: ${name}`, passed ? 'as expected' : JSON.stringify(seen));
  }

  async logged(pattern) {
    const find = async () => {
      while (!this.proxy.log.some((line) => pattern.test(line))) await new Promise((resolve) => setTimeout(resolve, 20));
      return true;
    };
    return within(5_000, `a line ${pattern} in the log`, find()).catch((error) => error.message);
  }

  async oneOrigin() {
    const page = await this.page(APP);
    const seen = [await page.title(), await page.evaluate(request, ['/healthz'])];
    seen.push(await page.evaluate(request, ['/login', { method: 'POST', body: 'x' }]));
    this.check('pages, a health answer and forwarded requests over HTTPS', same(seen, ['page', '200 fine', '200 welcome']), seen);
  }

  async certificate() {
    const stranger = await (await this.launch()).newPage();
    const seen = await stranger.goto(`${APP}/`).then(() => 'trusted', (error) => error.message);
    const logged = await this.logged(/TLS handshake failed/);
    this.check('an authority that is not trusted', seen.includes('ERR_CERT_AUTHORITY_INVALID') && logged === true, [seen, logged]);
  }

  async subprotocol() {
    const page = await this.page(APP);
    const good = token(60);
    const visit = (path, protocols) => page.evaluate(open, { url: `wss://app.test${path}`, protocols });
    const wanted = (url, protocol) => ({ url, authorization: `Bearer ${good}`, offered: protocol, user: '7', protocol });
    let seen = await visit('/ws', ['chat.v2', `bearer.${good}`]);
    this.check('a token by subprotocol', same(seen, wanted('/ws', 'chat.v2')), seen);
    seen = await visit('/ws/none', [`bearer.${good}`, 'chat.v1']);
    this.check('the same with a server that chooses no subprotocol', same(seen, wanted('/ws/none', 'chat.v1')), seen);
    seen = await visit('/ws', [`bearer.${good}`]);
    this.check('a token as the only subprotocol', same(seen, REFUSED), seen);
    seen = [await visit('/ws', ['chat.v2']), await visit('/ws', ['chat.v2', `bearer.${token(60, 'another secret of 32 bytes or more')}`])];
    seen.push(await this.logged(/client refused .*status=401 .*wrong signature/));
    this.check('no token, and a wrong one', same(seen, [REFUSED, REFUSED, true]), seen);
  }

  async query() {
    const page = await this.page(APP);
    const good = token(60);
    const seen = await page.evaluate(open, { url: `wss://app.test/ws?a=1&token=${good}&b=2` });
    this.check('a token in the query', same(seen, { url: '/ws?a=1&b=2', authorization: `Bearer ${good}`, user: '7', protocol: '' }), seen);
  }

  async cookie() {
    const page = await this.page(APP);
    const good = token(60);
    await page.evaluate(request, ['/login', { method: 'POST', body: good }]);
    const cookie = `session=${good}`;
    const seen = await page.evaluate(open, { url: 'wss://app.test/ws' });
    this.check('a session by cookie', same(seen, { url: '/ws', authorization: `Bearer ${good}`, cookie, user: '7', protocol: '' }), seen);
    // The cookie is SameSite=None, so that Chromium may send it for the page of another site.
    const other = await page.context().newPage();
    await other.goto(`${OTHER}/`);
    const attack = [await other.evaluate(open, { url: 'wss://app.test/ws' })];
    attack.push(await this.logged(/client refused .*route=chat status=403 .*origin http:\/\/other\.test/));
    this.check('a page of another site', same(attack, [REFUSED, true]), attack);
  }

  async partner() {
    const page = await this.page(PARTNER);
    const good = token(60);
    const seen = await page.evaluate(open, { url: 'wss://app.test/ws', protocols: ['chat.v2', `bearer.${good}`] });
    this.check('a page of another site in `origins`', seen.user === '7' && seen.protocol === 'chat.v2', seen);
  }

  async expiry() {
    const page = await this.page(APP);
    const first = now() + 5;
    const options = { url: 'wss://app.test/ws', protocols: ['chat.v2', `bearer.${token(5)}`], renewed: token(9) };
    const { messages, code, reason, wasClean } = await within(20_000, 'the session expires', page.evaluate(stay, options));
    const late = Math.floor(Date.now() / 1000) - first;
    const kinds = messages.slice(1).map(({ error, notice, text }) => error ?? notice ?? text);
    const expected = ['session expires', 'session renewed', 'still here', 'session expires'];
    const closed = { code: 1008, reason: 'token expired', wasClean: true };
    this.check('a notice, a renewal, and the close 1008', same(kinds, expected) && same({ code, reason, wasClean }, closed) && late >= 4, { kinds, code, reason, wasClean, late });
    const renewals = this.server.received.filter((text) => text.includes('auth.renew'));
    this.check('no renewal reaches the server', renewals.length === 0 && this.server.received.length > 0, renewals);
  }

  /** Tokens in the log are found by the part that all of them share. */
  secrets() {
    const found = this.proxy.log.filter((line) => line.includes(json({ alg: 'HS256', typ: 'JWT' })));
    this.check('no token in the log', found.length === 0, found);
  }
}

async function scenario() {
  const all = await Scenario.start();
  for (const name of ['oneOrigin', 'certificate', 'subprotocol', 'query', 'cookie', 'partner', 'expiry']) {
    await within(25_000, name, all[name]()).catch((error) => all.check(name, false, error.message));
  }
  all.secrets();
}

await main(90_000, scenario);
