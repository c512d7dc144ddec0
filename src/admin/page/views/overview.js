// The state of the process at a glance.

import { chart, drawStrip, strip } from '../charts.js';
import { empty, h, keyed, setState, state, text } from '../dom.js';
import { last, SAMPLES, store, total } from '../store.js';
import { count, endpointState, isUp, rate, time } from '../words.js';
import { errorList } from './errors.js';

const LINES_OF = {
  sessions: [{ name: 'open', column: 'sessions', line: 'first' }],
  messages: [{ name: 'received', column: 'received', line: 'first' }, { name: 'sent', column: 'sent', line: 'second' }],
  outcomes: [
    { name: 'answered', column: 'answered', line: 'first' },
    { name: 'delivered', column: 'delivered', line: 'second' },
    { name: 'dropped', column: 'dropped', line: 'third' },
    { name: 'errored', column: 'errored', line: 'bad' },
  ],
  replies: [
    { name: 'p50', column: 'p50', line: 'third' },
    { name: 'p95', column: 'p95', line: 'second' },
    { name: 'p99', column: 'p99', line: 'first' },
  ],
};

/** A key figure: a number with its name, and what it adds up to. */
function figure(name, href) {
  const [value, note] = [h('dd', { class: 'value' }), h('dd', { class: 'note muted' })];
  const element = h('div', { class: 'figure' }, h('dt', {}, href ? h('a', { href }, name) : name), value, note);
  const set = (words, remark, tone) => {
    text(value, words);
    text(note, remark);
    element.dataset.tone = tone ?? 'none';
  };
  return { element, set };
}

export function overview() {
  const figures = {
    sessions: figure('Sessions', '#sessions'),
    received: figure('Received'),
    sent: figure('Sent'),
    errored: figure('Errored', '#errors'),
    reply: figure('Reply time p99'),
    endpoints: figure('Endpoints up', '#upstreams'),
    restarts: figure('Restarts', '#tree'),
  };
  const charts = [
    chart({ title: 'Sessions', unit: 'open', lines: LINES_OF.sessions, format: count }),
    chart({ title: 'Messages', unit: 'per second', lines: LINES_OF.messages, format: rate }),
    chart({ title: 'Outcomes', unit: 'events per second', lines: LINES_OF.outcomes, format: rate }),
    chart({ title: 'Reply time', unit: 'over 10 seconds', lines: LINES_OF.replies, format: time }),
  ];
  const endpoints = h('ul', { class: 'endpoints' });
  const noEndpoints = empty('No route has an upstream. Endpoints appear here as soon as one has.');
  const errors = errorList(6, 'short');
  const element = h('div', {},
    h('h2', { class: 'hidden' }, 'Overview'),
    h('dl', { class: 'figures' }, Object.values(figures).map(({ element }) => element)),
    h('section', { class: 'charts', 'aria-label': 'Last minutes' }, charts.map(({ figure }) => figure)),
    h('div', { class: 'columns' },
      h('section', {}, h('h2', {}, h('a', { href: '#upstreams' }, 'Upstreams'), h('span', { class: 'muted' }, ' last five minutes')), endpoints, noEndpoints),
      h('section', {}, h('h2', {}, h('a', { href: '#errors' }, 'Latest errors')), errors.element)));
  return { element, update: () => update(figures, charts, endpoints, noEndpoints, errors) };
}

function update(figures, charts, endpoints, noEndpoints, errors) {
  keyFigures(figures);
  charts.forEach((chart) => chart.update());
  const all = store.upstreams.flatMap(({ name, endpoints }) => endpoints.map((endpoint) => ({ ...endpoint, name })));
  noEndpoints.hidden = all.length > 0;
  keyed(endpoints, all, ({ name, url }) => `${name} ${url}`, createEndpoint, updateEndpoint);
  errors.update();
}

function keyFigures(figures) {
  figures.sessions.set(count(last('sessions')), `${count(store.about.accepted)} since start`);
  figures.received.set(`${rate(last('received'))}/s`, 'messages from clients');
  figures.sent.set(`${rate(last('sent'))}/s`, 'messages to clients');
  const errored = total('errored');
  figures.errored.set(`${rate(last('errored'))}/s`, `${count(errored)} in 5 min`, errored ? 'bad' : 'none');
  figures.reply.set(time(last('p99')), `p50 ${time(last('p50'))}`);
  const states = store.upstreams.flatMap(({ endpoints }) => endpoints.map(({ state }) => state));
  const up = states.filter(isUp).length;
  const down = states.filter((name) => !isUp(name) && name !== 'draining').length;
  figures.endpoints.set(`${up}/${states.length}`, down ? `${down} down` : 'none is down', down ? 'bad' : 'none');
  const restarts = total('restarts');
  figures.restarts.set(count(restarts), 'connectors, in 5 min', restarts ? 'warn' : 'none');
}

function createEndpoint({ name, url }) {
  return h('li', {}, state('none', ''), h('a', { href: `#upstreams/${encodeURIComponent(name)}`, class: 'grow' }, h('b', {}, name), ' ', h('code', {}, url)), h('span', { class: 'number' }), strip());
}

function updateEndpoint(element, endpoint) {
  const [mark, , sessions, line] = element.children;
  setState(mark, ...endpointState(endpoint.state));
  text(sessions, count(endpoint.sessions));
  drawStrip(line, endpoint.history, store.now - SAMPLES * 1000, store.now);
}
