// MQTT over WebSocket: mqtt.js with one subscription at aedes, which is killed and comes back.

import { Proxy, Server, isServer, load, main, result, serve, sleep, version, within } from './common.mjs';

const TICK = 500;
const LOSS = 4_000;
const OUTAGE = 300;
const END = 14_000;
// Of the 26 messages that a client without a proxy gets. A busy machine starts the broker later, which costs all
// clients the same messages: then the client without a proxy sets the measure.
const ENOUGH = 22;
const BEHIND_DIRECT = 3;
// Bytes that are not UTF-8, behind them the number of the message.
const MARK = Buffer.from([0xff, 0xfe, 0x00, 0xc3, 0x28, 0x80]);

function listen(port) {
  const http = load('node:http');
  const { WebSocketServer, createWebSocketStream } = load('ws');
  const { Aedes } = load('aedes');
  const server = http.createServer();
  Aedes.createBroker().then((broker) => {
    const sockets = new WebSocketServer({ server, handleProtocols: (all) => (all.has('mqtt') ? 'mqtt' : false) });
    sockets.on('connection', (socket, request) => broker.handle(createWebSocketStream(socket), request));
    let number = 0;
    const publish = () => {
      const payload = Buffer.concat([MARK, Buffer.from(String(number++))]);
      broker.publish({ topic: 'tick', payload, qos: 0, retain: false }, () => {});
    };
    setInterval(publish, TICK);
    server.listen(port, '127.0.0.1');
  });
  return server;
}

class Client {
  constructor(name, url) {
    const mqtt = load('mqtt');
    Object.assign(this, { name, received: 0, broken: 0, connects: 0, errors: [] });
    this.client = mqtt.connect(url, { protocolVersion: 4 });
    this.client.on('connect', () => this.connects++);
    this.client.on('error', (error) => this.errors.push(error.message || error.code));
    this.client.on('message', (topic, payload) => {
      if (topic !== 'tick') return;
      this.received++;
      if (!payload.subarray(0, MARK.length).equals(MARK)) this.broken++;
    });
    this.subscribed = this.client.subscribeAsync('tick');
    this.subscribed.catch(() => {});
  }

  /** A message of its own to the broker and back. */
  async publish() {
    const echo = new Promise((resolve) => {
      this.client.on('message', (topic, payload) => topic === this.name && resolve(payload));
    });
    const sent = Buffer.from([0, 255, 254, 10, 13]);
    await this.client.subscribeAsync(this.name);
    await this.client.publishAsync(this.name, sent, { qos: 1 });
    return sent.equals(await echo);
  }
}

async function scenario() {
  const server = await Server.start();
  const upstream = `ws://127.0.0.1:${server.port}`;
  const proxies = [await Proxy.start(upstream), await Proxy.startDefault(upstream)];
  const clients = [new Client('direct', upstream), ...proxies.map((proxy) => new Client(proxy.name, proxy.url))];
  await Promise.allSettled(clients.map((client) => within(3_000, `${client.name}: subscribed`, client.subscribed)));
  clients.forEach((client) => (client.received = 0));

  const began = Date.now();
  await sleep(LOSS);
  await server.restart(OUTAGE);
  await sleep(began + END - Date.now());
  const counts = clients.map((client) => client.received);
  const enough = Math.min(ENOUGH, counts[0] - BEHIND_DIRECT);
  const packages = `mqtt.js ${version('mqtt')}, aedes ${version('aedes')}`;
  for (const [n, client] of clients.entries()) {
    const qos1 = await within(3_000, 'a QoS 1 message and its echo', client.publish()).catch((error) => error.message);
    // Without a proxy the client sees the closed port of a broker that starts late.
    const unharmed = client.broken === 0 && (n === 0 || client.errors.length === 0);
    const passed = counts[n] >= enough && unharmed && qos1 === true;
    const errors = client.errors.length ? `, errors: ${[...new Set(client.errors)].join('; ')}` : '';
    const details = `${counts[n]} messages of 26, ${client.broken} of them damaged, ${client.connects} connections`;
    result(passed, `${packages}: ${client.name}`, `${details}, QoS 1 afterwards: ${qos1 === true ? 'intact' : qos1}${errors}`);
  }
}

if (isServer) serve(listen);
else await main(150_000, scenario);
