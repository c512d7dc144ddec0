// ethers: a JSON-RPC provider with two subscriptions and a transaction in flight. The server gives each connection
// other subscription ids, and uses the ids of one connection for other subscriptions of the next.

import { isServer, load, main, serve, version } from '../common.mjs';
import { overOutages, recording, TICK } from './outages.mjs';

const hash = (n) => `0x${n.toString(16).padStart(64, '0')}`;

/** What each kind of subscription sends. */
const FEEDS = { newHeads: (n) => ({ number: `0x${n.toString(16)}`, hash: hash(n) }), newPendingTransactions: hash };

function serveClient(socket) {
  let number = process.pid % 2;
  const timers = new Map();
  const send = (message) => socket.send(JSON.stringify({ jsonrpc: '2.0', ...message }));
  const methods = {
    eth_chainId: () => '0x1',
    eth_blockNumber: () => '0x10',
    eth_subscribe: ([kind]) => {
      const subscription = `0x${(0xa0 + (number++ % 2)).toString(16)}`;
      let n = 1;
      const tick = () => send({ method: 'eth_subscription', params: { subscription, result: FEEDS[kind](n++) } });
      timers.set(subscription, setInterval(tick, TICK));
      return subscription;
    },
    eth_unsubscribe: ([id]) => {
      clearInterval(timers.get(id));
      return timers.delete(id);
    },
    eth_sendRawTransaction: ([name]) => {
      console.log(`submitted ${name}`);
      return name.startsWith('lost') ? undefined : name;
    },
  };
  const answer = ({ id, method, params }) => {
    const answered = methods[method]?.(params) ?? null;
    if (method !== 'eth_sendRawTransaction' || answered) send({ id, result: answered });
  };
  socket.on('message', (data) => [JSON.parse(data)].flat().forEach(answer));
  socket.on('close', () => timers.forEach(clearInterval));
}

function listen(port) {
  const { WebSocketServer } = load('ws');
  const server = new WebSocketServer({ port, host: '127.0.0.1' });
  server.on('connection', serveClient);
  return server._server;
}

class Client {
  constructor(url) {
    Object.assign(this, { socket: recording(), told: [], received: [[], []] });
    const { WebSocketProvider } = load('ethers');
    const socket = new this.socket.WebSocket(url);
    this.provider = new WebSocketProvider(socket, 1, { staticNetwork: true });
    socket.on('error', (error) => this.told.push(error.message));
    this.provider.on('error', (error) => this.told.push(error.message));
    this.provider.on('block', () => this.received[0].push(Date.now()));
    this.provider.on('pending', () => this.received[1].push(Date.now()));
  }

  async ready() {}

  submit(name) {
    return this.provider.send('eth_sendRawTransaction', [name]);
  }
}

const rules = {
  isError: (text, { error }) => {
    const message = JSON.parse(text);
    return message.error !== undefined && message.error.message === error.message;
  },
  describe: ({ error }) => `a JSON-RPC error ${error.code} "${error.message}"`,
};

if (isServer) serve(listen);
else await main(150_000, () => overOutages(`ethers ${version('ethers')}`, 'json-rpc', (url) => new Client(url), rules));
