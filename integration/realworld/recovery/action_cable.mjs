// @rails/actioncable: two subscriptions that are open, and one in flight. The server is a double of Action Cable.

import { isServer, load, main, serve, version } from '../common.mjs';
import { overOutages, recording, TICK } from './outages.mjs';

function serveClient(socket) {
  const timers = new Map([['ping', setInterval(() => send({ type: 'ping', message: 0 }), 1_000)]]);
  const submitted = new Set();
  const send = (message) => socket.send(JSON.stringify(message));
  const subscribe = (identifier) => {
    const { channel, name } = JSON.parse(identifier);
    if (channel === 'Submit') {
      // The library repeats the command until it has an answer.
      if (!submitted.has(name)) console.log(`submitted ${name}`);
      submitted.add(name);
      if (name.startsWith('lost')) return;
    } else {
      timers.set(identifier, setInterval(() => send({ identifier, message: 'tick' }), TICK));
    }
    send({ identifier, type: 'confirm_subscription' });
  };
  socket.on('message', (data) => {
    const { command, identifier } = JSON.parse(data);
    if (command === 'subscribe' && !timers.has(identifier)) subscribe(identifier);
    if (command === 'unsubscribe') clearInterval(timers.get(identifier));
  });
  socket.on('close', () => timers.forEach(clearInterval));
  send({ type: 'welcome' });
}

function listen(port) {
  const { WebSocketServer } = load('ws');
  const handleProtocols = () => 'actioncable-v1-json';
  const server = new WebSocketServer({ port, host: '127.0.0.1', handleProtocols });
  server.on('connection', serveClient);
  return server._server;
}

class Client {
  constructor(url) {
    Object.assign(this, { socket: recording(), told: [], received: [[], []] });
    // The library is made for browsers.
    globalThis.document ??= { visibilityState: 'visible' };
    globalThis.addEventListener ??= () => {};
    globalThis.removeEventListener ??= () => {};
    globalThis.self ??= globalThis;
    const { adapters, createConsumer } = load('@rails/actioncable');
    adapters.WebSocket = this.socket.WebSocket;
    this.consumer = createConsumer(url);
  }

  ready() {
    const subscribed = (times, room) =>
      new Promise((resolve) => {
        let connects = 0;
        this.consumer.subscriptions.create({ channel: 'Room', room }, {
          connected: () => (++connects > 1 ? this.told.push(`room ${room} connected again`) : resolve()),
          disconnected: () => this.told.push(`room ${room} disconnected`),
          rejected: () => this.told.push(`room ${room} rejected`),
          received: () => times.push(Date.now()),
        });
      });
    return Promise.all(this.received.map(subscribed));
  }

  submit(name) {
    return new Promise((resolve, reject) => {
      this.consumer.subscriptions.create({ channel: 'Submit', name }, {
        connected: () => resolve(name),
        rejected: () => reject({ name }),
      });
    });
  }
}

const rules = {
  isError: (text, { name }) => {
    const { type, identifier } = JSON.parse(text);
    return type === 'reject_subscription' && JSON.parse(identifier).name === name;
  },
  describe: () => 'the subscription is rejected',
};

if (isServer) serve(listen);
else await main(150_000, () => overOutages(`@rails/actioncable ${version('@rails/actioncable')}`, 'action-cable', (url) => new Client(url), rules));
