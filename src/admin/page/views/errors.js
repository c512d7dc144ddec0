// The latest failed events.

import { cell, empty, h, keyed, table, text } from '../dom.js';
import { store } from '../store.js';
import { clock, count } from '../words.js';

const COLUMNS = [{ title: 'Time' }, { title: 'Event' }, { title: 'Caused by' }, { title: 'Kind' }, { title: 'Reason' }, { title: 'Server' }];

/** The list of the last `limit` failed events, for several views. `name` is a class of its table. */
export function errorList(limit, name = '') {
  const { element: list, body } = table('Latest failed events', COLUMNS, { class: `cards compact ${name}` });
  const none = empty('No event has failed. An event that ends with an error appears here, with its id and the reason.');
  const missed = h('p', { class: 'muted' });
  return {
    element: h('div', {}, list, none, missed),
    update() {
      const shown = store.errors.slice(0, limit);
      list.hidden = !shown.length;
      none.hidden = shown.length > 0;
      keyed(body, shown, ({ id, at }) => `${id} ${at}`, createRow, (row, { at }) => text(row.firstChild, clock(at, store.now)));
      const { errors } = store.missed;
      text(missed, errors ? `${count(errors)} more failed faster than this list shows them; the log has all of them.` : '');
    },
  };
}

function createRow({ id, at, stage, kind, upstream: server, reason }) {
  return h('tr', {},
    cell('Time', { class: 'number' }, clock(at, store.now)),
    h('th', { scope: 'row' }, h('a', { href: `#events/${id}` }, h('code', {}, id))),
    cell('Caused by', {}, stage),
    cell('Kind', {}, kind),
    cell('Reason', { class: 'wrap' }, reason),
    cell('Server', { class: 'wrap' }, server ? h('code', {}, server) : '–'));
}

export function errors() {
  const list = errorList(Infinity);
  const element = h('div', {}, h('h2', {}, 'Latest errors'),
    h('p', { class: 'muted' }, 'Failed events, newest first. The id is the one in the error reply, and leads to the cause.'), list.element);
  return { element, update: list.update };
}
