// Reloads of the settings with their differences, and the configuration in force.

import { perform } from '../actions.js';
import { read } from '../api.js';
import { attribute, empty, h, keyed, put, state, table, text } from '../dom.js';
import { store } from '../store.js';
import { clock, plural } from '../words.js';

const COLUMNS = [{ title: 'Setting' }, { title: 'Before' }, { title: 'After' }, { title: 'Takes effect' }];

export function reloads() {
  const list = h('ol', { class: 'stack reloads' });
  const none = empty('The configuration is the one of the start. Each reload appears here, with what it changed or why it changed nothing.');
  const action = h('button', { type: 'button', onclick: reload }, 'Reload now');
  const settings = h('pre', { tabindex: 0, role: 'region', 'aria-label': 'Configuration in force' });
  const configuration = h('details', { class: 'panel', ontoggle: () => configuration.open && loadConfiguration() }, h('summary', {}, 'Configuration in force, with masked secrets'), settings);
  const alive = h('p', { class: 'muted' });
  const element = h('div', {}, h('div', { class: 'headline' }, h('h2', {}, 'Reloads'), action), alive, list, none, configuration);
  let shown = null;
  async function loadConfiguration() {
    text(settings, await read('api/configuration').catch((error) => `The configuration cannot be read: ${error.message}`));
  }
  const update = () => {
    const { about } = store;
    attribute(action, 'disabled', !about.actions);
    attribute(action, 'title', about.actions ? null : 'Actions need admin.token_file in the settings');
    text(alive, `Configuration ${about.configuration} is in force. ${about.alive > 1 ? `Sessions still use ${plural(about.alive - 1, 'earlier one', 'earlier ones')}.` : 'All sessions use it.'}`);
    if (shown === store.reloads) return;
    shown = store.reloads;
    none.hidden = shown.length > 0;
    keyed(list, shown, ({ number }) => number, createReload);
    if (configuration.open) loadConfiguration();
  };
  return { element, update };
}

const reload = () => perform({
  title: 'Reload the settings', body: 'The settings and the files that they name are read again. If anything is wrong, nothing changes.',
  confirm: 'Reload', path: 'api/reload', done: () => 'The settings are read again; the result is in the list.',
});

function createReload({ at, by, configuration, changes, problems, left_out }) {
  const isRefused = configuration === null;
  const title = isRefused ? state('bad', 'refused, nothing changed') : state('ok', changes.length ? `configuration ${configuration}` : `configuration ${configuration}, without a change`);
  const item = h('li', { class: 'panel' }, h('h3', {}, title, ' ', h('time', {}, clock(at, store.now)), ' ', h('span', { class: 'muted' }, `by ${by}`)));
  if (isRefused) item.append(h('pre', {}, problems.join('\n')));
  else if (changes.length) item.append(differences(changes));
  if (left_out) item.append(h('p', { class: 'muted' }, `${plural(left_out, 'more line')}: the log has more of them.`));
  return item;
}

function differences(changes) {
  const { element, body } = table('What the reload changed', COLUMNS, { class: 'cards' });
  const value = (label, words, content) => h('td', { 'data-label': label, class: 'wrap' }, content === null ? h('span', { class: 'muted' }, words) : h('code', {}, content));
  put(body, changes.map(({ name, what, before, after, effect }) => h('tr', {}, h('th', { scope: 'row' }, h('code', {}, name)), value('Before', what ? '' : 'not set', before), value('After', what ?? 'not set', after),
    h('td', { 'data-label': 'Takes effect' }, effect.replace('takes effect ', '')))));
  return element;
}
