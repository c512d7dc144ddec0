// One session: what it is doing, its events, its timeline, its errors.

import { perform } from '../actions.js';
import { read } from '../api.js';
import { attribute, empty, h, keyed, put, setState, state, text } from '../dom.js';
import { store } from '../store.js';
import { bytes, clock, count, moment, plural, sessionState, span, time } from '../words.js';

const REFRESH = 1000;

/** The pane of a session. `back` gives the address without it. */
export function session(back) {
  const pane = new SessionPane(back);
  return { element: pane.element, open: (id) => pane.open(id), update: () => pane.tick(), leave: () => pane.loading?.abort() };
}

class SessionPane {
  constructor(back) {
    this.back = back;
    this.title = h('h3', { tabindex: -1 });
    this.mark = state('none', '');
    this.close = h('button', { type: 'button', class: 'danger', onclick: () => this.closeSession() }, 'Close session');
    this.leave = h('a', { class: 'button', href: '#sessions' }, 'Back to the list');
    this.facts = h('dl', { class: 'facts' });
    this.ledger = h('dl', { class: 'figures small' });
    this.timeline = h('ol', { class: 'events' });
    this.errors = h('ol', { class: 'events' });
    this.content = h('div', {}, this.facts, h('h4', {}, 'Events'), this.ledger, h('h4', {}, 'Last errors'), this.errors, h('h4', {}, 'Timeline'), this.timeline);
    this.none = empty('');
    this.element = h('aside', { class: 'panel details', 'aria-label': 'Session', hidden: true },
      h('div', { class: 'headline' }, this.title, this.mark, h('p', { class: 'buttons' }, this.close, this.leave)), this.none, this.content);
  }

  open(id) {
    attribute(this.leave, 'href', this.back());
    const isNew = id !== this.id;
    this.id = id;
    this.element.hidden = !id;
    if (!id || !isNew) return;
    text(this.title, `Session ${id}`);
    setState(this.mark, 'none', '');
    this.content.hidden = true;
    this.is_over = false;
    text(this.none, 'Reading the session …');
    this.none.hidden = false;
    this.load();
    this.title.focus({ preventScroll: true });
  }

  tick() {
    attribute(this.close, 'disabled', this.is_over || !store.about?.actions);
    attribute(this.close, 'title', store.about?.actions ? null : 'Actions need admin.token_file in the settings');
    if (this.id && !this.is_over && !this.loading && Date.now() - (this.loaded ?? 0) > REFRESH) this.load();
  }

  async load() {
    this.loading?.abort();
    const loading = (this.loading = new AbortController());
    const { id } = this;
    try {
      this.show(await read(`api/sessions/${encodeURIComponent(id)}`, {}, loading.signal));
    } catch (error) {
      if (!loading.signal.aborted) this.showError(error);
    } finally {
      if (this.loading === loading) this.loading = null;
      this.loaded = Date.now();
    }
  }

  /** A session that ends while it is shown keeps its last values. */
  showError(error) {
    this.is_over = error.status === 404;
    setState(this.mark, 'none', this.is_over ? 'over' : 'unknown');
    this.none.hidden = false;
    text(this.none, this.is_over ? `Session ${this.id} is not connected. The log has a line about its end.` : `The session cannot be read: ${error.message}`);
    attribute(this.close, 'disabled', this.is_over);
  }

  show(found) {
    this.none.hidden = true;
    this.content.hidden = false;
    setState(this.mark, ...sessionState(found.state));
    facts(this.facts, found);
    figures(this.ledger, found);
    entries(this.timeline, found.timeline, timelineEntry, 'Nothing has happened besides messages. Restarts, moves and gaps appear here.');
    entries(this.errors, found.errors, errorEntry, 'No event of this session has failed.');
  }

  closeSession() {
    const { id } = this;
    return perform({
      title: `Close session ${id}`,
      body: 'The client receives a close frame. Its unsettled events get an outcome first.',
      fields: [{ label: 'Close code', name: 'code', type: 'number', value: 1001, min: 1000, max: 4999, required: true }, { label: 'Reason', name: 'reason', maxlength: 123 }],
      confirm: 'Close session',
      danger: true,
      path: `api/sessions/${encodeURIComponent(id)}/close`,
      payload: ({ code, reason }) => ({ code: Number(code), ...(reason && { reason }) }),
      done: () => `Session ${id} is being closed.`,
    });
  }
}

function facts(list, found) {
  const claims = Object.entries(found.claims ?? {}).map(([name, value]) => `${name}=${value}`);
  const { from_client, from_upstream, waiting } = found.held ?? {};
  const servers = (found.servers ?? []).map(({ server, state, generation, attempts, next_ms, failure }) => [
    `Connection to ${server}`, `${state}, number ${generation}${attempts ? `, attempt ${attempts}` : ''}${next_ms ? `, next in ${time(next_ms)}` : ''}${failure ? `: ${failure}` : ''}`,
  ]);
  const rows = [
    ['Listener', found.listener],
    ['Route', found.route],
    ['Peer', found.peer],
    ['Claims', claims.join(', ') || '–'],
    ['Upstream', found.upstream ?? '–'],
    ['Began', `${clock(moment(found.since), store.now)}, ${span(found.seconds * 1000)} ago`],
    ['Last message', found.active ? `${span(store.now - moment(found.active))} ago` : '–'],
    ['Credential', found.expires ? `expires at ${clock(Date.parse(found.expires), store.now)}` : 'does not expire'],
    ['Oldest event without outcome', found.oldest ?? '–'],
    ['Held for the upstream', from_client ? `${bytes(from_client.bytes)} of ${bytes(from_client.limit)}${waiting ? `, ${plural(waiting, 'event')} waiting` : ''}` : '–'],
    ['Held for the client', bytes(from_upstream?.bytes)],
    ...servers,
  ];
  keyed(list, rows, ([name]) => name, ([name]) => h('div', {}, h('dt', {}, name), h('dd')), (row, [, value]) => text(row.lastChild, value));
}

function figures(list, found) {
  const rows = ['received', 'sent', 'unsettled', 'answered', 'delivered', 'errored', 'dropped', 'pushed', 'discarded', 'restarts', 'gaps', 'moves'].filter((name) => found[name] !== undefined);
  keyed(list, rows, (name) => name, (name) => h('div', { class: 'figure' }, h('dt', {}, name), h('dd', { class: 'value' })), (row, name) => {
    text(row.lastChild, count(found[name].messages ?? found[name]));
    attribute(row, 'data-tone', name === 'errored' && found[name] ? 'bad' : 'none');
  });
}

function entries(list, found, create, nothing) {
  const all = found ?? [];
  if (!all.length) {
    list.towlineKeyed?.clear();
    return put(list, h('li', { class: 'empty' }, nothing));
  }
  list.querySelector('.empty')?.remove();
  return keyed(list, [...all].reverse(), (entry) => `${entry.at} ${entry.id ?? entry.kind}`, create);
}

const timelineEntry = ({ at, kind, detail }) => h('li', {}, h('time', {}, clock(moment(at), store.now)), h('b', {}, kind), h('span', {}, detail));

const errorEntry = ({ at, id, kind, reason }) => h('li', {}, h('time', {}, clock(moment(at), store.now)), h('a', { href: `#events/${id}` }, h('code', {}, id)), h('b', {}, kind), h('span', {}, reason));
