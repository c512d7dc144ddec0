// graphql-ws: two subscriptions and a mutation in flight, while the server restarts; once with gap notices, which an
// errors pipeline turns into messages of the protocol.

import { isServer, load, main, serve, version } from '../common.mjs';
import { overOutages, recording } from './outages.mjs';
import { roots, schema } from './schema.mjs';

function listen(port) {
  const { WebSocketServer } = load('ws');
  const { useServer } = load('graphql-ws/use/ws');
  const server = new WebSocketServer({ port, host: '127.0.0.1' });
  // A server that recovery leaves without `connection_init` closes with 4408, one with the wrong token with 4403.
  const onConnect = ({ connectionParams }) => connectionParams?.token === 'secret';
  useServer({ schema: schema(), roots, onConnect }, server);
  return server._server;
}

class Client {
  constructor(url) {
    Object.assign(this, { socket: recording(), told: [], received: [[], []], notices: [] });
    const { createClient } = load('graphql-ws');
    this.client = createClient({ url, webSocketImpl: this.socket.WebSocket, lazy: false, connectionParams: { token: 'secret' } });
    let connects = 0;
    this.client.on('connected', () => ++connects > 1 && this.told.push('connected again'));
    for (const event of ['closed', 'error']) this.client.on(event, (what) => this.told.push(`${event} ${what?.code ?? ''}`));
    ['odd', 'even'].forEach((feed, parity) => this.#subscribe(feed, 1 - parity, this.received[parity]));
  }

  #subscribe(feed, parity, times) {
    this.client.subscribe({ query: `subscription { tick(feed: "${feed}") }` }, {
      next: ({ data, extensions }) => {
        if (extensions) this.notices.push({ feed, ...extensions.gap });
        else if (data?.tick % 2 === parity) times.push(Date.now());
        else this.told.push(`${feed} received ${data?.tick}`);
      },
      error: (error) => this.told.push(`${feed} failed: ${JSON.stringify(error)}`),
      complete: () => this.told.push(`${feed} is complete`),
    });
  }

  async ready() {}

  submit(name) {
    const query = 'mutation($name: String!) { submit(name: $name) }';
    return new Promise((resolve, reject) => {
      this.client.subscribe({ query, variables: { name } }, {
        next: ({ data }) => resolve(data.submit),
        error: reject,
        complete: () => {},
      });
    });
  }
}

const rules = {
  isError: (text, error) => {
    const message = JSON.parse(text);
    return message.type === 'error' && JSON.stringify(message.payload) === JSON.stringify(error);
  },
  describe: (error) => `an error message "${error[0].message}"`,
};

const NOTICES = `errors = ["notices"]
[pipeline.notices]
source = """
select {"id": event.gap.entry.id, "type": "next", "payload": {"data": null, "extensions": {"gap": event.gap}}}
from in where present event.gap.entry into out;
"""
`;

/** Each subscription has a notice for each of the two outages. */
function checkNotices({ notices }) {
  for (const feed of ['odd', 'even']) {
    const own = notices.filter((notice) => notice.feed === feed);
    const timely = own.every(({ since, until, lost }) => since < until && lost === 'unknown');
    if (own.length !== 2 || !timely) throw new Error(`notices of ${feed}: ${JSON.stringify(own)}`);
  }
  return `${notices.length} gap notices`;
}

const packages = `graphql-ws ${version('graphql-ws')}, graphql ${version('graphql')}`;

async function scenarios() {
  const connect = (url) => new Client(url);
  await overOutages(packages, 'graphql-transport-ws', connect, rules);
  await overOutages(packages, 'graphql-transport-ws', connect, { ...rules, route: NOTICES, check: checkNotices });
}

if (isServer) serve(listen);
else await main(150_000, scenarios);
