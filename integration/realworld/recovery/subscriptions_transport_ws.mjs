// subscriptions-transport-ws, the older GraphQL protocol: two subscriptions and a mutation in flight.

import { isServer, load, main, serve, version } from '../common.mjs';
import { overOutages, recording } from './outages.mjs';
import { roots, schema } from './schema.mjs';

function listen(port) {
  const http = load('node:http');
  const { SubscriptionServer } = load('subscriptions-transport-ws');
  const { execute, subscribe } = load('graphql');
  const server = http.createServer();
  const onConnect = ({ token }) => token === 'secret';
  SubscriptionServer.create({ schema: schema(), rootValue: { ...roots.query, ...roots.mutation, ...roots.subscription }, execute, subscribe, onConnect, keepAlive: 1_000 }, { server });
  server.listen(port, '127.0.0.1');
  return server;
}

class Client {
  constructor(url) {
    Object.assign(this, { socket: recording(), told: [], received: [[], []] });
    const { SubscriptionClient } = load('subscriptions-transport-ws');
    this.client = new SubscriptionClient(url, { reconnect: true, connectionParams: { token: 'secret' } }, this.socket.WebSocket);
    for (const event of ['disconnected', 'reconnecting', 'reconnected', 'error']) {
      this.client.on(event, () => this.told.push(event));
    }
    ['odd', 'even'].forEach((feed, parity) => this.#subscribe(feed, 1 - parity, this.received[parity]));
  }

  #subscribe(feed, parity, times) {
    this.client.request({ query: `subscription { tick(feed: "${feed}") }` }).subscribe({
      next: ({ data }) => (data?.tick % 2 === parity ? times.push(Date.now()) : this.told.push(`${feed} received ${data?.tick}`)),
      error: (error) => this.told.push(`${feed} failed: ${error.message}`),
      complete: () => this.told.push(`${feed} is complete`),
    });
  }

  async ready() {}

  submit(name) {
    const query = 'mutation($name: String!) { submit(name: $name) }';
    return new Promise((resolve, reject) => {
      this.client.request({ query, variables: { name } }).subscribe({ next: ({ data }) => resolve(data.submit), error: reject });
    });
  }
}

const rules = {
  isError: (text, error) => {
    const message = JSON.parse(text);
    return message.type === 'error' && message.payload.message === error.message;
  },
  describe: (error) => `an error message "${error.message}"`,
};
const packages = `subscriptions-transport-ws ${version('subscriptions-transport-ws')}, graphql ${version('graphql')}`;

if (isServer) serve(listen);
else await main(150_000, () => overOutages(packages, 'graphql-ws', (url) => new Client(url), rules));
