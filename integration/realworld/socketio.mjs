// Socket.IO over WebSocket, over polling, and over polling with an upgrade to WebSocket: connects, text and binary both
// ways, 5 MB, reconnects after the loss.

import { createHash, randomBytes } from 'node:crypto';

import { Proxy, Server, isServer, load, main, result, seconds, serve, version, within } from './common.mjs';

// The second is longer than the client's first wait, so that it is refused once.
const OUTAGES = [300, 2_000];
const ALLOWED = 1_000;
const LARGE = 5_000_000;
const LIMITS = 'max_message = "8MiB"\nmax_frame = "8MiB"';

function listen(port) {
  const http = load('node:http');
  const { Server: SocketIo } = load('socket.io');
  const server = http.createServer();
  const io = new SocketIo(server, { maxHttpBufferSize: 1e7 });
  io.on('connection', (socket) => {
    const { token } = socket.handshake.query;
    socket.emit('welcome', token);
    socket.on('echo', (value, answer) => answer(value));
  });
  server.listen(port, '127.0.0.1');
  return server;
}

const hash = (bytes) => createHash('sha256').update(bytes).digest('hex');

class Client {
  constructor(name, url, transports = ['websocket']) {
    const { io } = load('socket.io-client');
    Object.assign(this, { name, transports, losses: [], refusals: [] });
    this.socket = io(url.replace('ws:', 'http:'), { transports, query: { token: 'a b&c' }, forceNew: true });
    this.socket.on('disconnect', (reason, details) => this.losses.push(`${reason} ${details?.context?.code ?? ''}`.trim()));
    this.socket.on('connect_error', (error) => this.refusals.push(error.message));
    this.welcome = new Promise((resolve) => this.socket.once('welcome', resolve));
  }

  async echoes(value, ms = 3_000) {
    const answer = await this.socket.timeout(ms).emitWithAck('echo', value);
    return Buffer.isBuffer(value) ? Buffer.isBuffer(answer) && hash(answer) === hash(value) : answer === value;
  }

  /** Whether everything that the scenario wants of the open connection works; the first that does not. */
  async works() {
    const token = await within(5_000, 'connects', this.welcome);
    if (token !== 'a b&c') return `the query is changed: ${token}`;
    if (!(await this.echoes('täxt'))) return 'text is changed';
    if (!(await this.echoes(randomBytes(65_536)))) return '64 KiB binary are changed';
    const last = this.transports.at(-1);
    const { engine } = this.socket.io;
    if (engine.transport.name !== last) await within(5_000, `upgrades to ${last}`, new Promise((resolve) => engine.once('upgrade', resolve)));
    if (!(await this.echoes('again'))) return `text is changed after the upgrade to ${last}`;
    return true;
  }

  /** The time from `lost` until an echo works again. */
  async recovery(lost) {
    await within(12_000, 'connects', new Promise((resolve) => this.socket.once('connect', resolve)));
    await this.echoes('again');
    return Date.now() - lost;
  }
}

const caught = (promise) => promise.catch((error) => error.message);

async function scenario() {
  const server = await Server.start();
  const upstream = `ws://127.0.0.1:${server.port}`;
  const proxies = [await Proxy.start(upstream), await Proxy.startDefault(upstream)];
  const raised = await Proxy.start(upstream, { listener: LIMITS, upstream: LIMITS });
  raised.name = 'towline with max_message raised';
  const clients = [new Client('direct', upstream), ...[...proxies, raised].map((proxy) => new Client(proxy.name, proxy.url))];
  const large = [clients[0], clients.at(-1)];
  const forwarding = await Proxy.start(upstream, { route: 'forward_http = true' });
  for (const transports of [['polling'], ['polling', 'websocket']]) {
    clients.push(new Client(`towline with forward_http, ${transports.join(' then ')}`, forwarding.url, transports));
  }
  const works = await Promise.all(clients.map((client) => caught(client.works())));
  const intact = await Promise.all(large.map((client) => caught(client.echoes(randomBytes(LARGE), 10_000))));

  // The library waits a random time before it connects again. All clients wait the same.
  Math.random = () => 0.5;
  const times = [];
  for (const outage of OUTAGES) {
    const recoveries = clients.map((client) => caught(client.recovery(Date.now())));
    await server.restart(outage);
    times.push(await Promise.all(recoveries));
  }
  const packages = `socket.io ${version('socket.io')}, socket.io-client ${version('socket.io-client')}`;
  clients.forEach((client, n) => {
    const bytes = large.includes(client) ? intact[large.indexOf(client)] : null;
    const timely = times.every((all) => typeof all[n] === 'number' && all[n] <= all[0] + ALLOWED);
    // "transport error" means that the library did not understand what it received.
    // A poll that is in progress gets 502.
    const polls = client.transports.length === 1 && client.transports[0] === 'polling';
    const expected = polls ? 'transport error' : `transport close ${client === clients[0] ? 1006 : 1012}`;
    const closed = client.losses.length > 0 && client.losses.every((loss) => loss === expected);
    const passed = closed && works[n] === true && timely && bytes !== false && typeof bytes !== 'string';
    const said = [`text and 64 KiB binary ${works[n] === true ? 'intact' : works[n]}`];
    if (bytes !== null) said.push(`${LARGE} bytes ${bytes === true ? 'intact' : bytes || 'changed'}`);
    times.forEach((all, nth) => {
      const time = typeof all[n] === 'number' ? seconds(all[n]) : all[n];
      said.push(`outage of ${seconds(OUTAGES[nth])}: works again after ${time}`);
    });
    said.push(`lost by "${client.losses.join('", "')}"`);
    if (client.refusals.length) said.push(`refused: ${[...new Set(client.refusals)].join('; ')}`);
    result(passed, `${packages}: ${client.name}`, said.join(', '));
  });
}

if (isServer) serve(listen);
else await main(150_000, scenario);
