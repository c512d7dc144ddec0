// Upstreams with their endpoints, states and outages, and the actions on endpoints.

import { perform } from '../actions.js';
import { drawStrip, outagesOf, strip } from '../charts.js';
import { attribute, cell, empty, h, keyed, setState, state, table, text } from '../dom.js';
import { store } from '../store.js';
import { clock, count, endpointState, plural, poolState, span } from '../words.js';

const RANGES = [['5 min', 5 * 60_000], ['1 h', 60 * 60_000], ['24 h', 24 * 60 * 60_000]];
const OUTAGES_SHOWN = 8;

const COLUMNS = [{ title: 'Endpoint' }, { title: 'State' }, { title: 'Sessions', class: 'number' }, { title: 'Dials', class: 'number' }, { title: 'Failures', class: 'number' }, { title: 'Timeline', class: 'timeline' }, { title: 'Actions' }];
const OUTAGE_COLUMNS = [{ title: 'Began' }, { title: 'Lasted', class: 'number' }, { title: 'Endpoint' }, { title: 'State' }];

let range = RANGES[0][1];

export function upstreams() {
  const list = h('div', { class: 'stack' });
  const none = empty('No upstream is configured. Upstreams appear here with their endpoints and outages.');
  const choices = RANGES.map(([name, length]) => h('label', {}, h('input', { type: 'radio', name: 'range', checked: length === range, onchange: () => ((range = length), update()) }), name));
  const element = h('div', {}, h('div', { class: 'headline' }, h('h2', {}, 'Upstreams'), h('fieldset', { class: 'choices' }, h('legend', {}, 'Timeline'), choices)), list, none);
  let wanted = null;
  const update = () => {
    none.hidden = store.upstreams.length > 0;
    keyed(list, store.upstreams, ({ name }) => name, createUpstream, (section, upstream) => section.towlineUpdate(upstream));
    const target = wanted && [...list.children].find((section) => section.dataset.name === wanted);
    if (target) {
      target.scrollIntoView({ block: 'start' });
      target.querySelector('h3').focus({ preventScroll: true });
      wanted = null;
    }
  };
  return { element, update, open: (name) => (wanted = name || null) };
}

function createUpstream({ name }) {
  const note = h('span', { class: 'muted' });
  const mark = state('none', '');
  const endpoints = table(`Endpoints of ${name}`, COLUMNS, { class: 'cards pool' });
  const outages = table(`Outages of ${name}`, OUTAGE_COLUMNS, { class: 'cards outages' });
  const noOutage = empty('No outage is known. The times at which an endpoint could not be reached appear here.');
  const left = h('p', { class: 'muted' });
  const section = h('section', { class: 'panel', 'data-name': name }, h('h3', { tabindex: -1 }, name, ' ', mark, ' ', note), endpoints.element, left, h('h4', {}, 'Outages'), outages.element, noOutage);
  section.towlineUpdate = (upstream) => {
    setState(mark, ...poolState(upstream.endpoints));
    text(note, `balance ${upstream.balance} · ${plural(upstream.sessions, 'session')} · ${plural(upstream.restarts, 'restart')} since start`);
    keyed(endpoints.body, named(upstream.endpoints), ({ id, name }) => `${id} ${name}`, (endpoint) => createEndpoint(upstream, endpoint), updateEndpoint);
    text(left, upstream.left_out ? `${plural(upstream.left_out, 'more endpoint')}: GET /api/upstreams lists all of them.` : '');
    const history = outagesIn(upstream);
    outages.element.hidden = !history.length;
    noOutage.hidden = history.length > 0;
    keyed(outages.body, history, ({ id, start }) => `${id} ${start}`, createOutage, updateOutage);
  };
  return section;
}

/** The endpoints with the names by which actions find them: the URL, or the number where several URLs look alike. */
function named(endpoints) {
  const alike = (url) => endpoints.filter((endpoint) => endpoint.url === url).length > 1;
  return endpoints.map((endpoint) => ({ ...endpoint, name: alike(endpoint.url) ? String(endpoint.number) : endpoint.url }));
}

function outagesIn({ endpoints }) {
  const all = endpoints.flatMap(({ id, url, history }) => outagesOf(history, store.now).map((outage) => ({ ...outage, id, url })));
  return all.sort((a, b) => b.start - a.start).slice(0, OUTAGES_SHOWN);
}

function createOutage({ start, url }) {
  return h('tr', {}, h('th', { scope: 'row' }, clock(start, store.now)), cell('Lasted', { class: 'number' }), cell('Endpoint', {}, h('code', {}, url)), cell('State', {}, state('none', '')));
}

function updateOutage(row, { start, end, open, name }) {
  text(row.children[1], span(end - start));
  setState(row.children[3].firstChild, open ? 'bad' : 'none', open ? `${name}, still going on` : `${name}, over`);
}

function createEndpoint(upstream, { url, name: endpoint }) {
  const button = (name, action) => h('button', { type: 'button', 'data-action': name, onclick: () => action(upstream.name, endpoint) }, name);
  return h('tr', {}, h('th', { scope: 'row' }, h('code', {}, url)), cell('State', {}, state('none', ''), ' ', h('span', { class: 'muted' })),
    ...['Sessions', 'Dials', 'Failures'].map((label) => cell(label, { class: 'number' })), cell('Timeline', { class: 'timeline' }, strip()),
    cell('Actions', { class: 'buttons' }, button('Drain', drain), button('Undrain', undrain), button('Move', move), button('Abort', abort)));
}

function updateEndpoint(row, { state: name, sessions, dials, failures, history, moving }) {
  const [, mark, ...cells] = row.children;
  setState(mark.firstChild, ...endpointState(name));
  text(mark.lastChild, history.length ? `for ${span(store.now - history.at(-1)[0])}` : '');
  [sessions, dials, failures].forEach((value, index) => text(cells[index], count(value)));
  drawStrip(cells[3].firstChild, history, store.now - range, store.now);
  const hidden = { Drain: name === 'draining', Undrain: name !== 'draining', Move: moving > 0 || sessions === 0, Abort: moving === 0 };
  for (const button of cells[4].children) {
    button.hidden = hidden[button.dataset.action];
    attribute(button, 'disabled', !store.about.actions);
    attribute(button, 'title', store.about.actions ? null : 'Actions need admin.token_file in the settings');
  }
}

const path = (upstream, endpoint, verb) => `api/upstreams/${encodeURIComponent(upstream)}/endpoints/${encodeURIComponent(endpoint)}/${verb}`;

const said = (endpoint) => (/^\d+$/.test(endpoint) ? `endpoint ${endpoint}` : endpoint);

/** Whether no other endpoint of the upstream takes connections. */
const isLast = (upstream, endpoint) => {
  const known = store.upstreams.find(({ name }) => name === upstream);
  return known && !known.left_out && named(known.endpoints).every(({ name, state: now }) => name === endpoint || ['draining', 'down'].includes(now));
};

const ALONE = 'No other endpoint takes connections now: its sessions stay, and new ones wait or are refused.';

const drain = (upstream, endpoint) => perform({
  title: 'Drain the endpoint', body: `${said(endpoint)} takes no new connections, and its sessions move to other endpoints of ${upstream} at the pace of move.rate.${isLast(upstream, endpoint) ? ` ${ALONE}` : ''}`,
  confirm: 'Drain', danger: true, path: path(upstream, endpoint, 'drain'), done: ({ usable }) => `${said(endpoint)} drains.${usable ? '' : ` ${ALONE}`}`,
});

const undrain = (upstream, endpoint) => perform({
  title: 'End the drain', body: `${said(endpoint)} of ${upstream} takes connections again.`, confirm: 'Undrain', path: path(upstream, endpoint, 'undrain'), done: () => `${said(endpoint)} takes connections again.`,
});

const move = (upstream, endpoint) => perform({
  title: 'Move the sessions', body: `The sessions of ${said(endpoint)} move to other endpoints of ${upstream}. Clients stay connected.`,
  confirm: 'Move', danger: true, path: path(upstream, endpoint, 'move'), done: () => `The sessions of ${said(endpoint)} move.`,
});

const abort = (upstream, endpoint) => perform({
  title: 'Stop the moves', body: `Sessions of ${said(endpoint)} that have not moved yet stay.`, confirm: 'Stop', path: path(upstream, endpoint, 'abort'), done: () => `The moves away from ${said(endpoint)} have stopped.`,
});
