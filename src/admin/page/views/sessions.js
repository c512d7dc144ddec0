// The table of sessions: filtered, sorted and paged by the server; beside it the details of one.

import { read } from '../api.js';
import { attribute, cell, empty, h, keyed, put, setState, state, text } from '../dom.js';
import { store } from '../store.js';
import { count, moment, plural, sessionState, span } from '../words.js';
import { session } from './session.js';

const PAGE = 50;
/** The table is read again after this long. */
const REFRESH = 2000;
/** Time from a keystroke in the filter to the request. */
const TYPING = 250;
const STATES = ['starting', 'open', 'draining', 'closing'];
const FILTERS = ['listener', 'route', 'state', 'peer', 'claim'];

/** Columns, some with the name that the API sorts by. */
const COLUMNS = [
  { title: 'Session', sort: 'id' },
  { title: 'State' },
  { title: 'Route' },
  { title: 'Peer' },
  { title: 'Age', sort: 'age', class: 'number' },
  { title: 'Received', sort: 'received', class: 'number' },
  { title: 'Sent', sort: 'sent', class: 'number' },
  { title: 'Unsettled', sort: 'unsettled', class: 'number' },
  { title: 'Errored', sort: 'errored', class: 'number' },
  { title: 'Restarts', sort: 'restarts', class: 'number' },
  { title: 'Active', sort: 'active', class: 'number' },
];

export function sessions() {
  const view = new SessionTable();
  return { element: view.element, open: (id, parameters) => view.open(id, parameters), update: () => view.tick(), leave: () => view.leave() };
}

class SessionTable {
  constructor() {
    this.query = { sort: 'id', page: 1 };
    this.id = '';
    this.body = h('tbody');
    this.heads = COLUMNS.map(({ title, sort, class: name }) => h('th', { scope: 'col', class: name }, sort ? h('button', { type: 'button', class: 'sort', onclick: () => this.sort(sort) }, title) : title));
    this.table = h('table', { class: 'cards sessions' }, h('caption', { class: 'hidden' }, 'Sessions'), h('thead', {}, h('tr', {}, this.heads)), this.body);
    this.none = empty('');
    this.summary = h('span', { class: 'muted' });
    this.before = h('button', { type: 'button', onclick: () => this.turn(-1) }, '‹ Previous');
    this.after = h('button', { type: 'button', onclick: () => this.turn(1) }, 'Next ›');
    this.details = session(() => this.address(''));
    this.list = h('section', { class: 'list' }, this.form(), h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Table of sessions' }, this.table), this.none, h('p', { class: 'pages' }, this.before, this.summary, this.after));
    this.element = h('div', { class: 'sessions-view' }, h('h2', {}, 'Sessions'), h('div', { class: 'split' }, this.list, this.details.element));
  }

  form() {
    const select = (label, name, choices) => h('label', {}, label, h('select', { name, onchange: () => this.filter() }, h('option', { value: '' }, 'any'), choices.map((choice) => h('option', { value: choice }, choice))));
    const input = (label, name, placeholder) => h('label', {}, label, h('input', { name, type: 'search', placeholder, autocomplete: 'off', spellcheck: 'false', oninput: () => this.typed() }));
    this.filters = h('form', { class: 'filters', 'aria-label': 'Filter', onsubmit: (submit) => (submit.preventDefault(), this.filter()) },
      select('Listener', 'listener', []), select('Route', 'route', []), select('State', 'state', STATES),
      input('Peer', 'peer', '10.0.0.0/8'), input('Claim', 'claim', 'sub=alice'));
    return this.filters;
  }

  /** Shows what the address names. */
  open(id, parameters) {
    this.id = id;
    this.choices();
    for (const name of FILTERS) {
      const field = this.filters.elements[name];
      const value = parameters.get(name) ?? '';
      if (document.activeElement !== field) field.value = value;
      this.query[name] = value;
    }
    const sort = parameters.get('sort');
    this.query.sort = COLUMNS.some((column) => column.sort && column.sort === sort) ? sort : 'id';
    this.query.page = Math.max(1, Number.parseInt(parameters.get('page') ?? '1', 10) || 1);
    attribute(this.element, 'data-open', id ? 'true' : 'false');
    this.details.open(id);
    this.load();
  }

  /** The listeners and routes to choose from. */
  choices() {
    for (const [name, key] of [['listener', 'listener'], ['route', 'name']]) {
      const field = this.filters.elements[name];
      const all = [...new Set(store.routes.map((route) => route[key]))];
      const shown = [...field.options].slice(1).map(({ value }) => value);
      if (all.join('\n') === shown.join('\n')) continue;
      const { value } = field;
      put(field, h('option', { value: '' }, 'any'), all.map((choice) => h('option', { value: choice }, choice)));
      field.value = value;
    }
  }

  /** The address with this session and the query. */
  address(id, query = this.query) {
    const parameters = new URLSearchParams();
    for (const name of FILTERS) if (query[name]) parameters.set(name, query[name]);
    if (query.sort !== 'id') parameters.set('sort', query.sort);
    if (query.page > 1) parameters.set('page', query.page);
    const text = parameters.toString();
    return `#sessions${id ? `/${id}` : ''}${text ? `?${text}` : ''}`;
  }

  typed() {
    clearTimeout(this.typing);
    this.typing = setTimeout(() => this.filter(), TYPING);
  }

  filter() {
    clearTimeout(this.typing);
    const fields = Object.fromEntries(FILTERS.map((name) => [name, this.filters.elements[name].value.trim()]));
    location.hash = this.address(this.id, { ...this.query, ...fields, page: 1 });
  }

  sort(by) {
    location.hash = this.address(this.id, { ...this.query, sort: by, page: 1 });
  }

  turn(pages) {
    location.hash = this.address(this.id, { ...this.query, page: this.query.page + pages });
  }

  tick() {
    this.choices();
    this.details.update();
    if (!document.hidden && !this.loading && Date.now() - (this.loaded ?? 0) > REFRESH) this.load();
  }

  leave() {
    this.loading?.abort();
    clearTimeout(this.typing);
    this.details.leave();
  }

  async load() {
    this.loading?.abort();
    const loading = (this.loading = new AbortController());
    const { page, ...query } = this.query;
    try {
      this.show(await read('api/sessions', { ...query, limit: PAGE, offset: (page - 1) * PAGE }, loading.signal));
    } catch (error) {
      if (loading.signal.aborted) return;
      this.rows([]);
      text(this.none, `The sessions cannot be listed: ${error.message}`);
      this.none.hidden = false;
    } finally {
      if (this.loading === loading) this.loading = null;
      this.loaded = Date.now();
    }
  }

  show({ sessions: found, matched }) {
    const { page, sort } = this.query;
    const isFiltered = FILTERS.some((name) => this.query[name]);
    this.rows(found);
    text(this.none, isFiltered ? 'No session matches the filter.' : 'No client is connected. Each client that connects appears here as a session.');
    this.none.hidden = found.length > 0;
    const first = (page - 1) * PAGE + 1;
    text(this.summary, found.length ? `${count(first)} to ${count(first + found.length - 1)} of ${plural(matched, 'session')}` : '');
    this.before.disabled = page <= 1;
    this.after.disabled = page * PAGE >= matched;
    COLUMNS.forEach(({ sort: by }, index) => attribute(this.heads[index], 'aria-sort', by === sort ? (sort === 'id' ? 'ascending' : 'descending') : null));
  }

  rows(found) {
    this.table.hidden = !found.length;
    keyed(this.body, found, ({ id }) => id, createRow, (row, item) => this.updateRow(row, item));
  }

  updateRow(row, item) {
    const [id, mark, route, peer, ...numbers] = row.children;
    attribute(row, 'aria-current', item.id === this.id ? 'true' : null);
    attribute(id.firstChild, 'href', this.address(item.id));
    setState(mark.firstChild, ...sessionState(item.state));
    text(route, item.route);
    text(peer, item.peer);
    const active = item.active ? span(store.now - moment(item.active)) : '–';
    [span(item.seconds * 1000), count(item.received.messages), count(item.sent.messages), count(item.unsettled), count(item.errored), count(item.restarts), active].forEach((value, index) => text(numbers[index], value));
  }
}

function createRow({ id }) {
  return h('tr', {}, h('th', { scope: 'row' }, h('a', {}, h('code', {}, id))), cell('State', {}, state('none', '')), cell('Route', {}), cell('Peer', {}),
    COLUMNS.slice(4).map(({ title }) => cell(title, { class: 'number' })));
}
