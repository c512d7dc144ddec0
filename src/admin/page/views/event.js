// One failed event: how it failed, and what happened before that.

import { read } from '../api.js';
import { drawStrip, outagesOf, strip } from '../charts.js';
import { empty, h, put, state, text } from '../dom.js';
import { ownerOf, store, upstream } from '../store.js';
import { clock, endpointState, moment, span } from '../words.js';

/** What happened within this time of the failure is shown. */
const AROUND = 30_000;

/** Tones of entries of a session's timeline. */
const TONES = { 'connector restart': 'warn', 'connector lost': 'warn', 'connector gave up': 'bad', 'connector up': 'ok' };

export function event() {
  const title = h('h2', { tabindex: -1 });
  const content = h('div', { class: 'stack' });
  const element = h('div', {}, title, content);
  let loading = null;
  const open = async (id) => {
    loading?.abort();
    loading = new AbortController();
    const { signal } = loading;
    put(title, 'Event ', h('code', {}, id));
    put(content, empty('Searching …'));
    title.focus({ preventScroll: true });
    try {
      const answer = await read(`api/events/${encodeURIComponent(id)}`, {}, signal);
      const found = { ...answer, at: moment(answer.at), name: ownerOf(answer.upstream)?.name };
      put(content, failure(found), causes(found, signal), endpoints(found), sources(found));
    } catch (error) {
      if (!signal.aborted) put(content, missing(id, error));
    }
  };
  return { element, open, leave: () => loading?.abort() };
}

function failure({ at, stage, kind, reason, upstream: server, name, session }) {
  const rows = [['Failed', clock(at, store.now)], ['Caused by', stage], ['Kind', kind], ['Server', server ?? '–']];
  return h('section', { class: 'panel' }, h('h3', {}, state('bad', 'errored'), ' ', h('span', { class: 'wrap' }, reason || kind)),
    h('dl', { class: 'facts' }, rows.map(([label, value]) => h('div', {}, h('dt', {}, label), h('dd', {}, value ?? '–')))),
    h('p', { class: 'buttons' }, link('sessions', session, `Session ${session}`), name && link('upstreams', name, `Upstream ${name}`)));
}

const link = (view, id, words) => h('a', { class: 'button', href: `#${view}/${encodeURIComponent(id).replaceAll('%3A', ':')}` }, words);

/** In order of time: changes of endpoints, what happened to the session, and the failure. */
function causes(found, signal) {
  const list = h('ol', { class: 'causes' });
  const words = h('p', {});
  const draw = (ofSession) => {
    const own = { at: found.at, what: 'event failed', details: found.reason || found.kind, tone: 'bad', isOwn: true };
    const entries = [...ofEndpoints(found), ...near(ofSession, found.at), own].sort((a, b) => a.at - b.at);
    put(list, entries.map(({ at, what, details, tone, isOwn }) => h('li', { class: isOwn ? 'own' : null }, h('time', {}, clock(at, store.now)), state(tone, what), h('span', {}, details ?? ''))));
    text(words, conclusion(found));
  };
  draw(restartsOf(found));
  read(`api/sessions/${encodeURIComponent(found.session)}`, {}, signal).then(({ timeline }) => draw(timeline.map(({ at, kind, detail }) => ({ at: moment(at), what: kind, details: detail, tone: TONES[kind] ?? 'none' })))).catch(() => {});
  return h('section', { class: 'panel' }, h('h3', {}, 'What led to it'), words, list);
}

const near = (entries, at) => entries.filter((entry) => Math.abs(entry.at - at) <= AROUND);

function ofEndpoints({ at, name }) {
  const all = (upstream(name)?.endpoints ?? []).flatMap(({ url, history }) => near(history.slice(1).map(([at, state]) => ({ at, state, url })), at));
  return all.map(({ at, state: name, url }) => ({ at, what: `endpoint ${endpointState(name)[1]}`, details: url, tone: endpointState(name)[0] }));
}

/** What the feed knows of a session that has ended: it has no timeline any longer. */
function restartsOf({ session }) {
  const all = store.restarts.filter((restart) => restart.session === session);
  return all.map(({ at, kind, attempt, reason }) => ({ at, what: kind, details: `attempt ${attempt}: ${reason}`, tone: TONES[kind] }));
}

/** The likely cause in a sentence: an outage of the event's own server, or the last one of another. */
function conclusion({ at, name, upstream: server }) {
  const down = (upstream(name)?.endpoints ?? []).flatMap(({ url, history }) => outagesOf(history, store.now).filter(({ start, end }) => start <= at + 1000 && end >= at - 1000).map((outage) => ({ ...outage, url })));
  const [first] = down.sort((a, b) => (b.url === server) - (a.url === server) || b.start - a.start);
  if (!first) return '';
  const began = clock(first.start, store.now);
  return `The event failed during an outage: ${first.url} ${first.open ? `is down since ${began}` : `was down for ${span(first.end - first.start)} from ${began}`}.`;
}

/** The states of the upstream's endpoints around the failure. */
function endpoints({ at, name }) {
  const found = name && upstream(name);
  if (!found) return null;
  const [from, to] = [at - AROUND, Math.min(at + AROUND, Math.max(store.now, at + 1))];
  const rows = found.endpoints.map(({ url, history }) => {
    const line = strip();
    const until = history.filter(([start]) => start <= to);
    drawStrip(line, until, from, to);
    const states = [...new Set(until.filter((_, index) => (until[index + 1]?.[0] ?? to) > from).map(([, name]) => name))];
    return h('li', {}, h('code', {}, url), line, h('span', {}, states.map((name) => [state(...endpointState(name)), ' '])));
  });
  return h('section', { class: 'panel' }, h('h3', {}, `Endpoints of ${name}`, h('span', { class: 'muted' }, `from ${span(at - from)} before the failure to ${span(to - at)} after it`)), h('ul', { class: 'around' }, rows));
}

function sources({ id }) {
  return h('p', { class: 'muted' }, 'The log, the tap and records of it name the event by the same id: ', h('code', {}, id), '.');
}

function missing(id, { status, message }) {
  const [listener, session] = id.split(':');
  const words = status === 404 ? 'No failed event has this id. The latest 4096 failed events are kept; at level debug, the log has a line for each failed event. Events with another outcome are not kept.' : `The event cannot be read: ${message}`;
  return h('section', { class: 'panel' }, h('p', {}, words), h('p', { class: 'buttons' }, session !== undefined && link('sessions', `${listener}:${session}`, `Session ${listener}:${session}`), h('a', { class: 'button', href: '#errors' }, 'Latest errors')));
}
