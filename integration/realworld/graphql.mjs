// graphql-ws: a client with one subscription, whose server is killed and comes back.

import { Proxy, Server, isServer, load, main, result, seconds, serve, sleep, version, within } from './common.mjs';

const { WebSocket, WebSocketServer } = load('ws');

const TICK = 500;
// The second is longer than the client's first wait, so that it is refused once.
const OUTAGES = [300, 3_000];
// What the proxy may add to the time without it, on a busy machine.
const ALLOWED = 1_000;

function listen(port) {
  const { buildSchema } = load('graphql');
  const { useServer } = load('graphql-ws/use/ws');
  const schema = buildSchema('type Query { hello: String } type Subscription { tick: Int }');
  async function* tick() {
    for (let n = 0; ; n++) {
      yield { tick: n };
      await sleep(TICK);
    }
  }
  const server = new WebSocketServer({ port, host: '127.0.0.1', path: '/graphql' });
  useServer({ schema, roots: { query: { hello: () => 'world' }, subscription: { tick } } }, server);
  return server._server;
}

/** A client with everything that happens to it. */
class Client {
  constructor(name, url) {
    this.name = name;
    this.closes = [];
    this.ticks = [];
    this.failure = null;
    const { createClient } = load('graphql-ws');
    // In Node.js a refused connection is an error without a close event, which the library retries only when asked.
    this.client = createClient({ url, webSocketImpl: WebSocket, shouldRetry: () => true });
    this.client.on('closed', (event) => this.closes.push({ at: Date.now(), code: event.code, reason: event.reason }));
    this.first = new Promise((resolve) => {
      this.client.subscribe({ query: 'subscription { tick }' }, {
        next: (message) => {
          if (typeof message.data?.tick !== 'number') this.failure = `no tick: ${JSON.stringify(message)}`;
          this.ticks.push(Date.now());
          resolve();
        },
        error: (error) => (this.failure = `the subscription failed: ${error?.code ?? ''} ${error?.message ?? error?.reason ?? error}`),
        complete: () => (this.failure ??= 'the subscription is complete'),
      });
    });
  }

  /** Waits for a tick and asks a query over the same connection. */
  async works() {
    const hello = async () => {
      for await (const answer of this.client.iterate({ query: '{ hello }' })) return answer.data.hello;
    };
    try {
      await within(5_000, 'the first tick', this.first);
      const answer = await within(5_000, 'the answer to a query', hello());
      if (answer !== 'world') this.failure ??= `the query is answered with ${answer}`;
    } catch (error) {
      this.failure ??= error.message ?? `closed with ${error.code}`;
    }
  }

  /** Waits for two ticks after `back`; the time of the first, or null. */
  async recovery(back, patience) {
    const after = () => this.ticks.filter((at) => at > back);
    for (const end = Date.now() + patience; after().length < 2 && Date.now() < end && !this.failure; ) await sleep(20);
    return after().length < 2 ? null : after()[0];
  }

  closeAfter(lost) {
    return this.closes.find(({ at }) => at >= lost);
  }

  told(lost) {
    const close = this.closeAfter(lost);
    return close ? `${close.code}${close.reason ? ` "${close.reason}"` : ''} after ${seconds(close.at - lost)}` : 'nothing';
  }
}

async function scenario() {
  const server = await Server.start();
  const upstream = `ws://127.0.0.1:${server.port}`;
  const proxies = [await Proxy.start(upstream), await Proxy.startDefault(upstream)];
  const direct = new Client('direct', `${upstream}/graphql`);
  const through = proxies.map((proxy) => new Client(proxy.name, `${proxy.url}/graphql`));
  const clients = [direct, ...through];
  await Promise.all(clients.map((client) => client.works()));

  // The library waits a random time before it connects again. All clients wait the same.
  Math.random = () => 0.25;
  const losses = [];
  for (const outage of OUTAGES) {
    const lost = Date.now();
    await server.restart(outage);
    losses.push({ lost, times: await Promise.all(clients.map((client) => client.recovery(lost + outage, 15_000))) });
  }
  const packages = `graphql-ws ${version('graphql-ws')}, graphql ${version('graphql')}, ws ${version('ws')}`;
  clients.forEach((client, n) => {
    const code = client === direct ? 1006 : 1012;
    const closed = losses.every(({ lost }) => client.closeAfter(lost)?.code === code);
    const timely = losses.every(({ lost, times }) => times[n] !== null && times[0] !== null && times[n] <= times[0] + ALLOWED);
    const said = losses.map(({ lost, times }, nth) => {
      const time = times[n] === null ? null : times[n] - lost;
      return `outage of ${seconds(OUTAGES[nth])}: ticks again after ${seconds(time)}, closed with ${client.told(lost)}`;
    });
    if (client.failure) said.push(client.failure);
    result(closed && timely && !client.failure, `${packages}: ${client.name}`, said.join('; '));
  });
}

if (isServer) serve(listen);
else await main(150_000, scenario);
