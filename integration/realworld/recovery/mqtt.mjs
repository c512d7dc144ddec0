// mqtt.js: MQTT 3.1.1 and 5 with two topic filters, and with MQTT 5 a QoS 1 message in flight. The broker for 3.1.1
// is aedes; the one for 5, which aedes does not have, is a double.

import { isServer, load, main, serve, version } from '../common.mjs';
import { overOutages, recording, TICK } from './outages.mjs';

const TOPICS = ['odd', 'even/1'];

/** A broker for one client of MQTT 5. */
function serveClient(stream) {
  const { generate, parser } = load('mqtt-packet');
  const options = { protocolVersion: 5 };
  const send = (packet) => stream.write(generate(packet, options));
  const filters = new Set();
  const handlers = {
    connect: () => send({ cmd: 'connack', reasonCode: 0, sessionPresent: false }),
    subscribe: ({ messageId, subscriptions }) => {
      subscriptions.forEach(({ topic }) => filters.add(topic));
      send({ cmd: 'suback', messageId, granted: subscriptions.map(() => 0) });
    },
    publish: ({ messageId, payload, dup }) => {
      console.log(`submitted ${payload}${dup ? ' again' : ''}`);
      if (!payload.toString().startsWith('lost')) send({ cmd: 'puback', messageId, reasonCode: 0 });
    },
    pingreq: () => send({ cmd: 'pingresp' }),
  };
  const packets = parser(options);
  packets.on('packet', (packet) => handlers[packet.cmd](packet));
  stream.on('data', (data) => packets.parse(data));
  const publish = (topic) => filters.has(topic.replace('/1', '/#')) && send({ cmd: 'publish', topic, payload: 'tick', qos: 0 });
  const timer = setInterval(() => TOPICS.forEach(publish), TICK);
  stream.on('error', () => {});
  stream.on('close', () => clearInterval(timer));
}

function listenV5(port) {
  const { WebSocketServer, createWebSocketStream } = load('ws');
  const server = new WebSocketServer({ port, host: '127.0.0.1', handleProtocols: () => 'mqtt' });
  server.on('connection', (socket) => serveClient(createWebSocketStream(socket)));
  return server._server;
}

function listen(port) {
  if (process.env.MQTT_VERSION === '5') return listenV5(port);
  const http = load('node:http');
  const { WebSocketServer, createWebSocketStream } = load('ws');
  const { Aedes } = load('aedes');
  const server = http.createServer();
  Aedes.createBroker({
    // An acknowledgement waits for this.
    authorizePublish: (_, { topic, payload }, done) => {
      if (topic !== 'submit') return done(null);
      console.log(`submitted ${payload}`);
      if (!payload.toString().startsWith('lost')) done(null);
    },
  }).then((broker) => {
    const sockets = new WebSocketServer({ server, handleProtocols: (all) => (all.has('mqtt') ? 'mqtt' : false) });
    sockets.on('connection', (socket, request) => broker.handle(createWebSocketStream(socket), request));
    let n = 0;
    const publish = (topic) => broker.publish({ topic, payload: String(n++), qos: 0, retain: false }, () => {});
    setInterval(() => TOPICS.forEach(publish), TICK);
    server.listen(port, '127.0.0.1');
  });
  return server;
}

class Client {
  constructor(url, protocolVersion) {
    Object.assign(this, { socket: recording(), told: [], received: [[], []] });
    const mqtt = load('mqtt');
    const createWebsocket = (target, protocols) => new this.socket.WebSocket(target, protocols);
    this.client = mqtt.connect(url, { protocolVersion, createWebsocket, keepalive: 2, reconnectPeriod: 200 });
    let connects = 0;
    this.client.on('connect', () => ++connects > 1 && this.told.push('connect'));
    for (const event of ['close', 'offline', 'reconnect', 'disconnect']) this.client.on(event, () => this.told.push(event));
    this.client.on('error', (error) => this.told.push(`error ${error.message}`));
    this.client.on('message', (topic) => {
      const nth = TOPICS.indexOf(topic);
      if (nth >= 0) this.received[nth].push(Date.now());
    });
  }

  ready() {
    return Promise.all([this.client.subscribeAsync('odd'), this.client.subscribeAsync('even/#')]);
  }

  async submit(name) {
    await this.client.publishAsync('submit', name, { qos: 1 });
    return name;
  }
}

const rules = {
  // PUBACK with a reason code that is an error.
  isError: (packet) => packet[0] === 0x40 && packet.length > 4 && packet[4] >= 0x80,
  describe: (error) => `PUBACK with the reason code ${error.code}`,
};


async function scenarios() {
  const client = `mqtt.js ${version('mqtt')}`;
  process.env.MQTT_VERSION = '3.1.1';
  await overOutages(`${client}, aedes ${version('aedes')}: MQTT 3.1.1`, 'mqtt', (url) => new Client(url, 4));
  process.env.MQTT_VERSION = '5';
  await overOutages(`${client}: MQTT 5`, 'mqtt', (url) => new Client(url, 5), rules);
}

if (isServer) serve(listen);
else await main(150_000, scenarios);
