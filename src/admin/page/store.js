// What the page knows, kept up to date by the feed: one frame when it connects, then one each second.

/** Number of samples that are kept: 5 minutes. */
export const SAMPLES = 300;

/** The values of a sample, in the order in which a frame has them. */
export const COLUMNS = ['sessions', 'received', 'sent', 'answered', 'delivered', 'errored', 'dropped', 'restarts', 'p50', 'p95', 'p99'];

const RECENT = 100;
const RETRY_MIN = 500;
const RETRY_MAX = 10_000;
/** The feed sends a frame each second. After this long without one, the connection is replaced. */
const SILENCE = 5000;

export const store = {
  /** connecting, live, lost */
  link: 'connecting',
  now: Date.now(),
  about: null,
  history: { time: [] },
  routes: [],
  upstreams: [],
  restarts: [],
  errors: [],
  reloads: [],
  missed: { restarts: 0, errors: 0 },
};

const listeners = new Set();

/** Calls `listener` after each change. */
export const subscribe = (listener) => listeners.add(listener);

const changed = (what) => listeners.forEach((listener) => listener(what));

/** Connects to the feed, and again whenever the connection ends. */
export function follow(retry = RETRY_MIN) {
  const url = new URL('api/feed', document.baseURI);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  const socket = new WebSocket(url);
  let silence;
  let delay = retry;
  const watch = () => {
    clearTimeout(silence);
    silence = setTimeout(() => socket.close(), SILENCE);
  };
  watch();
  socket.addEventListener('message', ({ data }) => {
    watch();
    delay = RETRY_MIN;
    take(JSON.parse(data));
    // The feed pauses for a page that confirms nothing.
    socket.send('next');
  });
  socket.addEventListener('close', ({ reason }) => {
    clearTimeout(silence);
    store.link = 'lost';
    store.reason = reason;
    changed('link');
    setTimeout(() => follow(Math.min(delay * 2, RETRY_MAX)), delay * (0.5 + Math.random() / 2));
  });
}

function take(frame) {
  const wasLive = store.link === 'live';
  store.link = 'live';
  store.now = frame.now;
  if (frame.about) store.about = frame.about;
  if (frame.history) store.history = frame.history;
  if (frame.sample) append(frame);
  if (frame.routes) store.routes = frame.routes.map((route) => ({ ...route, sessions: 0, received: 0, sent: 0, errored: 0 }));
  for (const [index, ...traffic] of frame.traffic ?? []) {
    const route = store.routes[index];
    if (route) [route.sessions, route.received, route.sent, route.errored] = traffic;
  }
  if (frame.upstreams) store.upstreams = merge(frame);
  store.restarts = recent(frame, 'restarts');
  store.errors = recent(frame, 'errors');
  if (frame.reloads) store.reloads = frame.reloads;
  changed(wasLive ? 'tick' : 'link');
}

function append({ now, sample }) {
  const { history } = store;
  push(history.time, now);
  COLUMNS.forEach((column, index) => push((history[column] ??= []), sample[index]));
}

function push(values, value) {
  values.push(value);
  if (values.length > SAMPLES) values.splice(0, values.length - SAMPLES);
}

/** A full frame has all upstreams, a later one those that changed, with the histories that changed. */
function merge({ upstreams, full, all_upstreams }) {
  if (full || all_upstreams) return upstreams;
  const changes = new Map(upstreams.map((upstream) => [upstream.name, upstream]));
  return store.upstreams.map((before) => {
    const now = changes.get(before.name);
    if (!now) return before;
    const histories = new Map(before.endpoints.map(({ id, history }) => [id, history]));
    for (const endpoint of now.endpoints) endpoint.history ??= histories.get(endpoint.id) ?? [];
    return now;
  });
}

/** New entries come first. A full frame replaces all of them. */
function recent(frame, kind) {
  const news = frame[kind] ?? [];
  store.missed[kind] = (frame.full ? 0 : store.missed[kind]) + (frame[`${kind}_missed`] ?? 0);
  const all = frame.full ? news : [...news, ...store[kind]];
  return all.length > RECENT ? all.slice(0, RECENT) : all;
}

/** The last value of a column. */
export const last = (column) => store.history[column]?.at(-1) ?? null;

/** The sum of a column over the history. */
export const total = (column) => (store.history[column] ?? []).reduce((sum, value) => sum + (value ?? 0), 0);

/** The upstream of a server that a failure names. */
export const ownerOf = (server) => server && store.upstreams.find(({ endpoints }) => endpoints.some(({ url }) => isServer(server, url)));

/** Whether a failure names the endpoint with this URL. The failure may have a client's path and query, the endpoint an address. */
export function isServer(server, url) {
  const own = url.split(/[ ?]/)[0].replace(/\/$/, '');
  const rest = server.startsWith(own) ? server.slice(own.length) : null;
  // The path of a unix socket ends with a colon.
  return rest === '' || '/?'.includes(rest?.[0] ?? ' ') || (rest?.[0] === ':' && own.startsWith('unix:'));
}

/** The upstream with this name. */
export const upstream = (name) => store.upstreams.find((upstream) => upstream.name === name);
