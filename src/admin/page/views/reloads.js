// Reloads of the configuration with their differences, and the configuration in force.

import { perform } from '../actions.js';
import { read } from '../api.js';
import { attribute, empty, h, keyed, put, state, table, text } from '../dom.js';
import { store } from '../store.js';
import { clock, plural } from '../words.js';

const COLUMNS = [{ title: 'Setting' }, { title: 'Before' }, { title: 'After' }];

export function reloads() {
  const list = h('ol', { class: 'stack reloads' });
  const none = empty('The configuration is the one of the start. Each reload appears here, with what it changed or why it changed nothing.');
  const action = h('button', { type: 'button', onclick: reload }, 'Reload now');
  const settings = h('pre', { tabindex: 0, role: 'region', 'aria-label': 'Configuration in force' });
  const configuration = h('details', { class: 'panel', ontoggle: () => configuration.open && loadConfiguration() }, h('summary', {}, 'Configuration in force, with masked secrets'), settings);
  const alive = h('p', { class: 'muted' });
  const element = h('div', {}, h('div', { class: 'headline' }, h('h2', {}, 'Reloads'), action), alive, list, none, configuration);
  let seen = null;
  async function load() {
    seen = store.reloads;
    try {
      const { reloads: found } = await read('api/reloads');
      none.hidden = found.length > 0;
      keyed(list, found, ({ at, number }) => `${at} ${number}`, createReload);
    } catch (error) {
      none.hidden = false;
      text(none, `The reloads cannot be read: ${error.message}`);
    }
    if (configuration.open) loadConfiguration();
  }
  async function loadConfiguration() {
    text(settings, await read('api/configuration').catch((error) => error.message));
  }
  const update = () => {
    const { about } = store;
    attribute(action, 'disabled', !about.actions);
    attribute(action, 'title', about.actions ? null : 'Actions need admin.token_file in the settings');
    text(alive, `Configuration ${about.configuration} is in force. ${about.alive > 1 ? `Sessions still use ${plural(about.alive - 1, 'earlier one', 'earlier ones')}.` : 'All sessions use it.'}`);
    if (seen !== store.reloads) load();
  };
  return { element, update };
}

const reload = () => perform({
  title: 'Reload the configuration', body: 'The settings file and the programs are read again. If one of them is wrong, nothing changes.',
  confirm: 'Reload', path: 'api/reload', done: () => 'The configuration is reloaded.',
});

function createReload({ at, number, trigger, error, changes }) {
  const title = error ? state('bad', 'refused, nothing changed') : state('ok', number ? `configuration ${number}` : 'no change');
  const head = h('h3', {}, title, ' ', h('time', { class: 'muted' }, clock(at, store.now)), ' ', h('span', { class: 'muted' }, trigger ? `by ${trigger}` : ''));
  const item = h('li', { class: 'panel' }, head);
  if (error) item.append(h('pre', {}, error));
  else if (changes?.length) item.append(differences(changes));
  else item.append(h('p', { class: 'muted' }, 'The settings and programs are the same as before.'));
  return item;
}

function differences(changes) {
  const { element, body } = table('What the reload changed', COLUMNS, { class: 'cards' });
  const value = (label, content) => h('td', { 'data-label': label, class: 'wrap' }, content === null || content === undefined ? h('span', { class: 'muted' }, 'not set') : h('code', {}, String(content)));
  put(body, changes.map(({ setting, before, after }) => h('tr', {}, h('th', { scope: 'row' }, h('code', {}, setting)), value('Before', before), value('After', after))));
  return element;
}
