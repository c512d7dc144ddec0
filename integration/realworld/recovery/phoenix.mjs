// phoenix: a socket with two channels and a push in flight. The server is a double of Phoenix' channels, version 2.

import { isServer, load, main, serve, version } from '../common.mjs';
import { overOutages, recording, TICK } from './outages.mjs';

function serveClient(socket) {
  const joined = new Map();
  const send = (...message) => socket.send(JSON.stringify(message));
  const reply = (join, ref, topic, status, response = {}) => send(join, ref, topic, 'phx_reply', { status, response });
  const handlers = {
    heartbeat: (join, ref, topic) => reply(null, ref, topic, 'ok'),
    phx_join: (join, ref, topic, { token }) => {
      if (token !== 'secret') return reply(join, ref, topic, 'error', { reason: 'unauthorized' });
      reply(join, ref, topic, 'ok');
      let n = 0;
      joined.set(topic, setInterval(() => send(null, null, topic, 'tick', { n: n++ }), TICK));
    },
    phx_leave: (join, ref, topic) => {
      clearInterval(joined.get(topic));
      reply(join, ref, topic, 'ok');
      send(join, ref, topic, 'phx_close', {});
    },
    submit: (join, ref, topic, { name }) => {
      // As Phoenix does with a channel that is not joined on this connection.
      if (!joined.has(topic)) return reply(join, ref, topic, 'error', { reason: 'unmatched topic' });
      console.log(`submitted ${name}`);
      if (!name.startsWith('lost')) reply(join, ref, topic, 'ok', { name });
    },
  };
  socket.on('message', (data) => {
    const [join, ref, topic, event, payload] = JSON.parse(data);
    handlers[event](join, ref, topic, payload);
  });
  socket.on('close', () => joined.forEach(clearInterval));
}

function listen(port) {
  const { WebSocketServer } = load('ws');
  const server = new WebSocketServer({ port, host: '127.0.0.1', path: '/socket/websocket' });
  server.on('connection', serveClient);
  return server._server;
}

class Client {
  /** `nudged`: the library's channels fail at a loss and join again. */
  constructor(url, nudged) {
    Object.assign(this, { socket: recording(), told: [], received: [[], []] });
    const { Socket } = load('phoenix');
    this.phoenix = new Socket(`${url}/socket`, { transport: this.socket.WebSocket, heartbeatIntervalMs: 1_000, rejoinAfterMs: () => 50 });
    this.phoenix.onClose((event) => this.told.push(`close ${event.code}`));
    this.phoenix.onError((error) => this.told.push(`error ${error?.message ?? error}`));
    this.phoenix.connect();
    this.channels = ['room:1', 'room:2'].map((topic, nth) => {
      const channel = this.phoenix.channel(topic, { token: 'secret' });
      channel.on('tick', () => this.received[nth].push(Date.now()));
      channel.onClose(() => this.told.push(`${topic} closed`));
      channel.onError(() => nudged || this.told.push(`${topic} failed`));
      return channel;
    });
  }

  ready() {
    const joined = (channel) => new Promise((resolve, reject) => channel.join().receive('ok', resolve).receive('error', reject));
    return Promise.all(this.channels.map(joined));
  }

  submit(name) {
    return new Promise((resolve, reject) => {
      const push = this.channels[0].push('submit', { name });
      push.receive('ok', (answer) => resolve(answer.name)).receive('error', reject);
      push.receive('timeout', () => reject({ reason: 'timeout' }));
    });
  }
}

const rules = {
  isError: (text, { reason }) => {
    // A heartbeat in flight, which has the topic `phoenix`, fails too.
    const [, , topic, event, payload] = JSON.parse(text);
    return topic === 'room:1' && event === 'phx_reply' && payload.status === 'error' && payload.response.reason === reason;
  },
  describe: ({ reason }) => `a reply with the status error, "${reason}"`,
};

async function scenarios() {
  const packages = `phoenix ${version('phoenix')}`;
  await overOutages(packages, 'phoenix', (url) => new Client(url, false), rules);
  await overOutages(packages, 'phoenix-nudge', (url) => new Client(url, true), rules);
}

if (isServer) serve(listen);
else await main(150_000, scenarios);
