// What the recovery scripts share: a client library with a subscription and a submission in flight, whose server
// is killed twice and comes back. The library must not notice, and the submission must have one error.
//
// A client has
//   received      the times of the messages of its subscriptions, an array per subscription
//   told          what the library's callbacks about closes, reconnects and errors have said
//   ready()       resolves when the subscriptions are open
//   submit(name)  resolves with the answer of the server, or rejects with the error that the library reports
// A server prints `submitted NAME` for each submission, and never answers one whose name begins with `lost`.

import { Proxy, Server, load, result, seconds, sleep, within } from '../common.mjs';

const OUTAGES = [300, 1_500];
// Messages of each subscription that a client must receive before and after each outage.
const ENOUGH = 3;
// What the proxy may need after the server listens, on a busy machine.
const ALLOWED = 10_000;
// How often the servers send.
export const TICK = 100;

/**
 * A `WebSocket` class of `ws`, with a record of what its connections receive and how they end. `socket`: a connection
 * that the library has made itself.
 */
export function recording(socket) {
  const record = { messages: [], opened: 0, closes: [] };
  const follow = (socket) => {
    socket.on('open', () => record.opened++);
    socket.on('message', (data, isBinary) => record.messages.push(isBinary ? data : data.toString()));
    socket.on('close', (code) => record.closes.push(code));
  };
  if (socket) follow(socket);
  const { WebSocket } = load('ws');
  record.WebSocket = class extends WebSocket {
    constructor(...args) {
      super(...args);
      follow(this);
    }
  };
  return record;
}

/** Waits until `condition` holds. */
async function until(ms, what, condition) {
  for (const end = Date.now() + ms; !condition(); await sleep(10)) {
    if (Date.now() > end) throw new Error(`${what}: not within ${ms} ms`);
  }
}

/** How a submission ends: `{ answer }` or `{ error }`. */
const outcome = (promise) => promise.then((answer) => ({ answer }), (error) => ({ error }));

/** The time from `since` until each subscription has received enough messages. */
async function receives(client, since, what) {
  const after = (times) => times.filter((at) => at > since).length;
  await until(ALLOWED, `${what}: messages of each subscription`, () => client.received.every((times) => after(times) >= ENOUGH));
  return Math.max(...client.received.map((times) => times.find((at) => at > since))) - since;
}

/**
 * Submits `name` and lets `lose` end its connection. Returns the error, of which the client must have received
 * exactly one message.
 */
async function failing(client, server, name, lose, { reached, isError }) {
  const before = client.socket.messages.length;
  const submitted = outcome(client.submit(name));
  await lose();
  const { answer, error } = await within(ALLOWED, `the error of ${name}`, submitted);
  if (error === undefined) throw new Error(`${name} is answered with ${JSON.stringify(answer)}`);
  const errors = client.socket.messages.slice(before).filter((message) => isError(message, error)).length;
  if (errors !== 1) throw new Error(`${errors} messages report the failure of ${name}`);
  const printed = server.printed(`submitted ${name}`);
  if (printed !== reached) throw new Error(`${name} reached the server ${printed} times instead of ${reached}`);
  return error;
}

/** Two outages. Returns what happened, and throws when the library noticed or the submissions have wrong outcomes. */
async function outages(client, server, proxy, rules) {
  const said = [];
  for (const [nth, length] of OUTAGES.entries()) {
    const name = `lost${nth}`;
    let back;
    const lose = async () => {
      await until(ALLOWED, `${name} reaches the server`, () => server.printed(`submitted ${name}`) === 1);
      back = server.restart(length);
    };
    if (rules.isError) {
      const error = await failing(client, server, name, lose, { ...rules, reached: 1 });
      // The other outage is for submissions without a server.
      if (nth === 1) await failing(client, server, 'during', async () => {}, { ...rules, reached: 0 });
      if (nth === 0) said.push(`in flight: ${rules.describe(error)}`);
    } else back = server.restart(length);
    await back;
    said.push(`messages again ${seconds(await receives(client, Date.now(), `outage ${nth}`))} after an outage of ${seconds(length)}`);
    const { answer, error } = await outcome(client.submit(`after${nth}`));
    if (answer !== `after${nth}`) throw new Error(`a submission after the outage: ${answer ?? error.message}`);
  }
  await until(ALLOWED, 'each loss is in the log', () => proxy.log.filter((line) => line.includes('connector restart')).length >= OUTAGES.length);
  const { opened, closes } = client.socket;
  if (opened !== 1 || closes.length) throw new Error(`${opened} connections, closed with ${closes}`);
  if (rules.check) said.push(rules.check(client));
  if (client.told.length) throw new Error(`the library noticed: ${client.told.join('; ')}`);
  return said;
}

/**
 * One scenario: the client that `connect(url)` makes, with the proxy's `preset`. `isError(message, error)` tells
 * whether a message that the client received reports the failure of a submission; without it, the protocol has no
 * such message. `describe(error)` shows it. `route` is a text for the table of the route, and `check(client)` runs
 * after the outages: it returns what it has seen, or throws.
 */
export async function overOutages(packages, preset, connect, rules = {}) {
  const server = await Server.start();
  const proxy = await Proxy.start(`ws://127.0.0.1:${server.port}`, {
    upstream: `recovery.preset = "${preset}"`,
    route: rules.route,
  });
  let client;
  try {
    client = connect(proxy.url);
    await within(ALLOWED, 'the subscriptions are open', client.ready());
    await receives(client, 0, 'the first connection');
    const said = await outages(client, server, proxy, rules);
    result(true, packages, [`preset ${preset}`, ...said].join(', '));
  } catch (error) {
    const told = client?.told.length ? `; the library: ${client.told.join('; ')}` : '';
    result(false, packages, `preset ${preset}: ${error.message}${told}`);
  }
}
