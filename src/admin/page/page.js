// The page: header, views, and which view the address names.

import { announce, unlock } from './actions.js';
import { isUnlocked, setToken, watchToken } from './api.js';
import { attribute, h, put, setState, state, text } from './dom.js';
import { follow, store, subscribe } from './store.js';
import { errors } from './views/errors.js';
import { event } from './views/event.js';
import { graph } from './views/graph.js';
import { overview } from './views/overview.js';
import { reloads } from './views/reloads.js';
import { sessions } from './views/sessions.js';
import { tree } from './views/tree.js';
import { upstreams } from './views/upstreams.js';
import { isUp, plural, span } from './words.js';

/** Views by the first part of the address. `tab` is the name in the navigation. */
const VIEWS = {
  overview: { tab: 'Overview', create: overview },
  sessions: { tab: 'Sessions', create: sessions },
  upstreams: { tab: 'Upstreams', create: upstreams },
  tree: { tab: 'Supervision', create: tree },
  graph: { tab: 'Routes', create: graph },
  errors: { tab: 'Errors', create: errors },
  reloads: { tab: 'Reloads', create: reloads },
  events: { create: event, parent: 'errors' },
};

const $ = (id) => document.getElementById(id);
const main = $('main');
let current = null;

/** The view, its argument and its parameters: `#sessions/1:42?sort=-age`. */
function address() {
  const [path, query] = location.hash.slice(1).split('?');
  const [name, ...rest] = path.split('/');
  const view = Object.hasOwn(VIEWS, name) ? name : 'overview';
  return { view, argument: decode(rest.join('/')), parameters: new URLSearchParams(query) };
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function show() {
  const { view, argument, parameters } = address();
  const { tab, parent, create } = VIEWS[view];
  for (const link of $('views').children) attribute(link, 'aria-current', link.dataset.view === (parent ?? view) ? 'page' : null);
  reveal($('views').querySelector('[aria-current]'));
  document.title = `${tab ?? argument} · Towline`;
  if (current?.view !== view) {
    current?.leave?.();
    current = { view, ...create() };
    put(main, current.element);
    main.dataset.view = view;
    scrollTo(0, 0);
  }
  current.open?.(argument, parameters);
  if (store.about) current.update?.();
}

/** Scrolls the navigation to a link. `scrollIntoView` would also move the place from which Tab continues. */
function reveal(link) {
  const views = $('views');
  const [left, right] = [link.offsetLeft - views.offsetLeft, link.offsetLeft - views.offsetLeft + link.offsetWidth];
  if (left < views.scrollLeft) views.scrollLeft = left;
  else if (right > views.scrollLeft + views.clientWidth) views.scrollLeft = right - views.clientWidth;
}

const readiness = state('none', '');
const feed = state('none', '');
const LINKS = { live: ['ok', 'live'], connecting: ['none', 'connecting'], lost: ['bad', 'feed lost, connecting again'] };

function header() {
  const { about, link, now } = store;
  setState(feed, ...LINKS[link]);
  attribute(document.body, 'data-link', link);
  if (!about) return;
  setState(readiness, ...(about.draining ? ['away', 'draining'] : ['ok', 'ready']));
  text($('instance'), `${about.version} · up ${span(now - about.started)} · configuration ${about.configuration}`);
  attribute($('token'), 'hidden', !about.actions);
}

/** Announces what changed for the worse or the better, not each tick. */
function announcer() {
  let before = null;
  return () => {
    const down = store.upstreams.flatMap(({ name, endpoints }) => endpoints.filter(({ state }) => !isUp(state) && state !== 'draining').map(({ url }) => `${url} of ${name}`));
    const words = store.link === 'lost' ? 'The connection to the feed is lost.' : down.length ? `${plural(down.length, 'endpoint')} down: ${down.slice(0, 3).join(', ')}` : 'All endpoints are up.';
    if (before !== null && before !== words) announce(words);
    before = words;
  };
}

function theme() {
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const root = document.documentElement;
  const now = () => root.dataset.theme ?? (dark.matches ? 'dark' : 'light');
  const label = () => text($('theme'), now() === 'dark' ? 'Light theme' : 'Dark theme');
  $('theme').addEventListener('click', () => {
    root.dataset.theme = now() === 'dark' ? 'light' : 'dark';
    label();
    try {
      localStorage.setItem('towline-theme', root.dataset.theme);
    } catch {
      // Storage is blocked: the choice lasts until the page is closed.
    }
  });
  dark.addEventListener('change', label);
  label();
}

function token() {
  const label = () => {
    text($('token'), isUnlocked() ? 'Lock actions' : 'Unlock actions');
    current?.update?.();
  };
  watchToken(label);
  $('token').addEventListener('click', () => (isUnlocked() ? setToken(null) : unlock()));
  text($('token'), 'Unlock actions');
}

/** An event id has three numbers, a session id two. */
function find(id) {
  if (/^\d+:\d+:\d+$/.test(id)) location.hash = `events/${id}`;
  else if (/^\d+:\d+$/.test(id)) location.hash = `sessions/${id}`;
  else return false;
  return true;
}

function search() {
  const input = $('find-id');
  $('find').addEventListener('submit', (submit) => {
    submit.preventDefault();
    const found = find(input.value.trim());
    input.setCustomValidity(found ? '' : 'An event id is three numbers, such as 1:0:9. A session id is the first two.');
    input.reportValidity();
  });
  input.addEventListener('input', () => input.setCustomValidity(''));
}

function start() {
  for (const [view, { tab }] of Object.entries(VIEWS)) if (tab) $('views').append(h('a', { href: `#${view}`, 'data-view': view }, tab));
  $('readiness').append(readiness);
  $('feed').append(feed);
  $('skip').addEventListener('click', (click) => {
    click.preventDefault();
    main.focus();
  });
  theme();
  token();
  search();
  const announceChanges = announcer();
  subscribe(() => {
    header();
    if (!current) show();
    else if (!document.hidden) current.update?.();
    announceChanges();
  });
  addEventListener('hashchange', () => {
    if (store.about) show();
  });
  document.addEventListener('visibilitychange', () => !document.hidden && current?.update?.());
  header();
  follow();
}

start();
