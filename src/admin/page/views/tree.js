// The supervision tree: the monitor of an upstream, the supervisors of sessions, their connectors.

import { empty, h, keyed, setState, state, table, cell, text } from '../dom.js';
import { store } from '../store.js';
import { clock, connectorState, count, plural, poolState, span, time } from '../words.js';

const COLUMNS = [{ title: 'Time' }, { title: 'Session' }, { title: 'Upstream' }, { title: 'What' }, { title: 'Attempt', class: 'number' }, { title: 'Delay', class: 'number' }, { title: 'Reason' }];
const RESTARTS_SHOWN = 30;

/** What happened, by the line of the log. */
const WHAT = { 'connector restart': 'restart', 'connector lost': 'lost', 'connector gave up': 'gave up' };

export function tree() {
  const roots = h('ul', { class: 'tree' });
  const none = empty('No upstream is configured. Its monitor, the supervisors of its sessions and their connectors appear here.');
  const { element: restarts, body } = table('Restarts of connectors', COLUMNS, { class: 'cards compact' });
  const noRestart = empty('No connection was lost. Each restart of a connector appears here when it happens.');
  const missed = h('p', { class: 'muted' });
  const element = h('div', { class: 'columns wide-left' },
    h('section', {}, h('h2', {}, 'Supervision'), h('p', { class: 'muted' }, 'Sessions whose connectors restarted last come first.'), roots, none),
    h('section', {}, h('h2', {}, 'Restarts'), restarts, noRestart, missed));
  const update = () => {
    none.hidden = store.upstreams.length > 0;
    keyed(roots, store.upstreams, ({ name }) => name, createMonitor, updateMonitor);
    const shown = store.restarts.slice(0, RESTARTS_SHOWN);
    restarts.hidden = !shown.length;
    noRestart.hidden = shown.length > 0;
    keyed(body, shown, ({ at, session, upstream, kind, attempt }) => `${at} ${session} ${upstream} ${kind} ${attempt}`, createRestart);
    text(missed, store.missed.restarts ? `${count(store.missed.restarts)} more restarted faster than this list shows them.` : '');
  };
  return { element, update };
}

function createRestart({ at, session, upstream, kind, attempt, delay, reason }) {
  return h('tr', { class: store.now - at < 3000 ? 'fresh' : null },
    cell('Time', { class: 'number' }, clock(at, store.now)), h('th', { scope: 'row' }, h('a', { href: `#sessions/${session}` }, h('code', {}, session))),
    cell('Upstream', {}, upstream), cell('What', {}, WHAT[kind] ?? kind), cell('Attempt', { class: 'number' }, count(attempt)), cell('Delay', { class: 'number' }, time(delay)), cell('Reason', { class: 'wrap' }, reason));
}

function createMonitor({ name }) {
  const supervisors = h('ul');
  return h('li', {}, h('div', { class: 'actor' }, h('span', { class: 'kind' }, 'monitor'), h('a', { href: `#upstreams/${encodeURIComponent(name)}` }, h('b', {}, name)), state('none', ''), h('span', { class: 'muted' })), supervisors, h('p', { class: 'rest muted' }));
}

function updateMonitor(element, { endpoints, sessions, restarts, supervisors }) {
  const [actor, list, rest] = element.children;
  setState(actor.children[2], ...poolState(endpoints));
  text(actor.children[3], plural(restarts, 'restart'));
  keyed(list, supervisors, ({ session }) => session, createSupervisor, updateSupervisor);
  const others = sessions - supervisors.length;
  text(rest, !sessions && !supervisors.length ? 'no session' : others > 0 ? `and ${plural(others, 'session')} more` : '');
}

function createSupervisor({ session }) {
  const connector = h('div', { class: 'actor' }, h('span', { class: 'kind' }, 'connector'), state('none', ''), h('code', {}));
  return h('li', {}, h('div', { class: 'actor' }, h('span', { class: 'kind' }, 'supervisor'), h('a', { href: `#sessions/${session}` }, h('code', {}, session)), h('span', { class: 'muted' })), h('ul', {}, h('li', {}, connector)));
}

/** A restart that is new to the page makes the connector light up once. */
function updateSupervisor(element, { route, restarts, last, connector, endpoint }) {
  const own = element.firstChild;
  text(own.lastChild, `${route} · ${plural(restarts, 'restart')}${last ? `, ${span(store.now - last)} ago` : ''}`);
  const child = element.lastChild.firstChild.firstChild;
  setState(child.children[1], ...connectorState(connector));
  text(child.lastChild, endpoint ?? '');
  if (element.towlineRestarts !== undefined && element.towlineRestarts !== restarts) {
    child.classList.remove('fresh');
    requestAnimationFrame(() => child.classList.add('fresh'));
  }
  element.towlineRestarts = restarts;
}
