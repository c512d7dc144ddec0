// openai: a realtime session that two updates have configured, and a response in flight. The server is a double that
// sends only to a session with both updates.

import { connect } from 'node:net';

import { isServer, load, main, serve, version } from '../common.mjs';
import { overOutages, recording, TICK } from './outages.mjs';

function serveClient(socket) {
  let session = {};
  const send = (event) => socket.send(JSON.stringify({ event_id: `event_${Math.random()}`, ...event }));
  const handlers = {
    'session.update': (event) => {
      session = { ...session, ...event.session };
      send({ type: 'session.updated', session });
    },
    'response.create': ({ event_id: name }) => {
      console.log(`submitted ${name}`);
      const response = { id: 'response_1', metadata: { name } };
      send({ type: 'response.created', response });
      if (!name.startsWith('lost')) send({ type: 'response.done', response });
    },
  };
  socket.on('message', (data) => {
    const event = JSON.parse(data);
    handlers[event.type](event);
  });
  const isConfigured = () => session.instructions === 'be brief' && session.tool_choice === 'none';
  const timer = setInterval(() => isConfigured() && send({ type: 'rate_limits.updated', rate_limits: [] }), TICK);
  socket.on('close', () => clearInterval(timer));
  send({ type: 'session.created', session });
}

function listen(port) {
  const { WebSocketServer } = load('ws');
  const server = new WebSocketServer({ port, host: '127.0.0.1' });
  server.on('connection', serveClient);
  return server._server;
}

class Client {
  constructor(url) {
    Object.assign(this, { told: [], received: [[]], waiting: new Map() });
    const { OpenAI } = load('openai');
    const { OpenAIRealtimeWS } = load('openai/realtime/ws');
    const { hostname, port } = new URL(url);
    const client = new OpenAI({ apiKey: 'secret', baseURL: `http://${hostname}:${port}/v1` });
    // The library speaks TLS only, and lets its socket be replaced.
    const options = { createConnection: () => connect(port, hostname) };
    this.realtime = new OpenAIRealtimeWS({ model: 'gpt-realtime', options }, client);
    this.socket = recording(this.realtime.socket);
    let sessions = 0;
    this.realtime.on('session.created', () => ++sessions > 1 && this.told.push('a second session'));
    this.realtime.on('rate_limits.updated', () => this.received[0].push(Date.now()));
    this.realtime.on('response.done', ({ response }) => this.waiting.get(response.metadata.name)?.resolve(response.metadata.name));
    this.realtime.on('error', (error) => {
      const waiting = this.waiting.get(error.error?.event_id);
      if (waiting) waiting.reject(error.error);
      else this.told.push(`error ${error.message}`);
    });
    this.realtime.socket.on('close', (code) => this.told.push(`close ${code}`));
  }

  async ready() {
    await new Promise((resolve) => this.realtime.on('session.created', resolve));
    for (const session of [{ instructions: 'be brief' }, { tool_choice: 'none' }]) {
      this.realtime.send({ type: 'session.update', session: { type: 'realtime', ...session } });
    }
  }

  submit(name) {
    return new Promise((resolve, reject) => {
      this.waiting.set(name, { resolve, reject });
      this.realtime.send({ type: 'response.create', event_id: name });
    });
  }
}

const rules = {
  isError: (text, { event_id: name }) => {
    const { type, error } = JSON.parse(text);
    return type === 'error' && error.event_id === name;
  },
  describe: ({ code, message }) => `an error ${code} "${message}"`,
};

if (isServer) serve(listen);
else await main(150_000, () => overOutages(`openai ${version('openai')}`, 'openai-realtime', (url) => new Client(url), rules));
