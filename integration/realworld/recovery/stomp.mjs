// @stomp/stompjs: two subscriptions, and a message in flight that asks for a receipt. The server is a double of a
// STOMP 1.2 broker with heart-beats.

import { isServer, load, main, serve, version } from '../common.mjs';
import { overOutages, recording, TICK } from './outages.mjs';

const HEARTBEAT = 500;

function parse(text) {
  const [head] = text.split('\n\n', 1);
  const [command, ...lines] = head.split('\n');
  const headers = Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]));
  return { command, headers, body: text.slice(head.length + 2, text.indexOf('\0')) };
}

function serveClient(socket) {
  const timers = new Map();
  let number = 0;
  const send = (command, headers, body = '') => {
    const lines = Object.entries(headers).map(([key, value]) => `${key}:${value}\n`);
    socket.send(`${command}\n${lines.join('')}\n${body}\0`);
  };
  const handlers = {
    CONNECT: ({ passcode }) => {
      if (passcode !== 'secret') return send('ERROR', { message: 'wrong passcode' });
      send('CONNECTED', { version: '1.2', 'heart-beat': `${HEARTBEAT},0` });
      timers.set('heart-beat', setInterval(() => socket.send('\n'), HEARTBEAT));
    },
    SUBSCRIBE: ({ id, destination }) => {
      const message = () => send('MESSAGE', { subscription: id, destination, 'message-id': number++ }, 'tick');
      timers.set(id, setInterval(message, TICK));
    },
    UNSUBSCRIBE: ({ id }) => clearInterval(timers.get(id)),
    SEND: ({ receipt }, body) => {
      console.log(`submitted ${body}`);
      if (!body.startsWith('lost')) send('RECEIPT', { 'receipt-id': receipt });
    },
  };
  socket.on('message', (data) => {
    const { command, headers, body } = parse(data.toString());
    // A heart-beat is an empty line.
    if (command) handlers[command](headers, body);
  });
  socket.on('close', () => timers.forEach(clearInterval));
}

function listen(port) {
  const { WebSocketServer } = load('ws');
  const handleProtocols = (all) => (all.has('v12.stomp') ? 'v12.stomp' : false);
  const server = new WebSocketServer({ port, host: '127.0.0.1', handleProtocols });
  server.on('connection', serveClient);
  return server._server;
}

class Client {
  constructor(url) {
    Object.assign(this, { socket: recording(), told: [], received: [[], []], waiting: new Map() });
    const { Client: Stomp } = load('@stomp/stompjs');
    this.client = new Stomp({
      webSocketFactory: () => new this.socket.WebSocket(url, ['v12.stomp']),
      connectHeaders: { login: 'user', passcode: 'secret' },
      heartbeatIncoming: HEARTBEAT,
      heartbeatOutgoing: 0,
      reconnectDelay: 200,
    });
    for (const event of ['onDisconnect', 'onWebSocketClose', 'onWebSocketError', 'onHeartbeatLost', 'onUnhandledMessage']) {
      this.client[event] = () => this.told.push(event);
    }
    this.client.onStompError = ({ headers }) => {
      const reject = this.waiting.get(headers['receipt-id']);
      if (reject) reject({ message: headers.message, receipt: headers['receipt-id'] });
      else this.told.push(`error ${headers.message}`);
    };
    this.connected = new Promise((resolve) => {
      let connects = 0;
      this.client.onConnect = () => (++connects > 1 ? this.told.push('connect') : resolve());
    });
    this.client.activate();
  }

  async ready() {
    await this.connected;
    this.received.forEach((times, nth) => this.client.subscribe(`/topic/${nth}`, () => times.push(Date.now())));
  }

  submit(name) {
    return new Promise((resolve, reject) => {
      this.waiting.set(name, reject);
      this.client.watchForReceipt(name, () => resolve(name));
      this.client.publish({ destination: '/queue/submit', headers: { receipt: name }, body: name });
    });
  }
}

const rules = {
  isError: (text, { receipt }) => {
    const { command, headers } = parse(text);
    return command === 'ERROR' && headers['receipt-id'] === receipt;
  },
  describe: ({ message }) => `an ERROR frame "${message}"`,
};

if (isServer) serve(listen);
else await main(150_000, () => overOutages(`@stomp/stompjs ${version('@stomp/stompjs')}`, 'stomp', (url) => new Client(url), rules));
