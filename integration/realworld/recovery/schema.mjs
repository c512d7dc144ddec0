// The GraphQL schema of the servers: a subscription that ticks, a mutation that submits.

import { load, sleep } from '../common.mjs';
import { TICK } from './outages.mjs';

export function schema() {
  const { buildSchema } = load('graphql');
  return buildSchema('type Query { ok: Boolean } type Mutation { submit(name: String!): String } type Subscription { tick(feed: String!): Int }');
}

async function* tick({ feed }) {
  for (let n = 0; ; n++) {
    yield { tick: feed === 'odd' ? 2 * n + 1 : 2 * n };
    await sleep(TICK);
  }
}

function submit({ name }) {
  console.log(`submitted ${name}`);
  return name.startsWith('lost') ? new Promise(() => {}) : name;
}

export const roots = { query: { ok: true }, mutation: { submit }, subscription: { tick } };
