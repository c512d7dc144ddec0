// The graph of routes: listener, route, pipelines, upstream, with the traffic on its edges.

import { attribute, cell, empty, h, keyed, s, table, text } from '../dom.js';
import { store, upstream } from '../store.js';
import { count, isUp, plural, rate } from '../words.js';

const NARROW = 640;
const NODE = { width: 190, height: 46 };
const ROW = 66;
const GAP = 110;
const INDENT = 18;
/** Distance of an edge's label from its node. */
const LABEL = 46;

const COLUMNS = [{ title: 'Listener' }, { title: 'Route' }, { title: 'Upstream' }, { title: 'Sessions', class: 'number' }, { title: 'Received /s', class: 'number' }, { title: 'Sent /s', class: 'number' }, { title: 'Errored /s', class: 'number' }];

export function graph() {
  const drawing = h('div', { class: 'graph' });
  const none = empty('No route is configured. Routes appear here with their listeners, pipelines and upstreams.');
  const { element: routes, body } = table('Traffic of each route', COLUMNS, { class: 'cards' });
  const element = h('div', {}, h('h2', {}, 'Routes'),
    h('p', { class: 'muted' }, 'Messages per second: to the upstream above each edge, to the client below. Wider edges carry more.'), drawing, none, h('h3', {}, 'Traffic of each route'), routes);
  let drawn = null;
  const update = () => {
    const style = getComputedStyle(drawing);
    const width = drawing.clientWidth - Number.parseFloat(style.paddingLeft) - Number.parseFloat(style.paddingRight);
    const isNarrow = width < NARROW;
    none.hidden = store.routes.length > 0;
    const shape = JSON.stringify([width, store.routes.map(({ listener, name, incoming, outgoing, upstream }) => [listener, name, incoming, outgoing, upstream])]);
    if (drawn?.shape !== shape) {
      drawn = { shape, ...(isNarrow ? drawNarrow(width) : drawWide(width)) };
      drawing.replaceChildren(drawn.element);
    }
    drawn.update();
    keyed(body, store.routes, ({ listener, name }) => `${listener} ${name}`, createRow, updateRow);
  };
  const resized = () => update();
  addEventListener('resize', resized);
  return { element, update, leave: () => removeEventListener('resize', resized) };
}

function createRow({ listener, name, upstream }) {
  return h('tr', {}, cell('Listener', {}, listener), h('th', { scope: 'row' }, h('a', { href: `#sessions?route=${encodeURIComponent(name)}` }, name)), cell('Upstream', {}, upstream ?? '–'),
    ...['Sessions', 'Received /s', 'Sent /s', 'Errored /s'].map((label) => cell(label, { class: 'number' })));
}

function updateRow(row, { sessions, received, sent, errored }) {
  [count(sessions), rate(received), rate(sent), rate(errored)].forEach((value, index) => text(row.children[index + 3], value));
}

/** The parts of the graph. A node: `{ kind, name, note, tone }`; `traffic` gives both rates of an edge. */
function parts(route) {
  const pipelines = [route.incoming.length && `→ ${route.incoming.join(' → ')}`, route.outgoing.length && `← ${route.outgoing.join(' ← ')}`].filter(Boolean);
  return [
    { kind: 'listener', name: route.listener },
    { kind: 'route', name: route.name, index: store.routes.indexOf(route) },
    pipelines.length ? { kind: 'pipelines', name: pipelines[0], second: pipelines[1] } : null,
    route.upstream ? { kind: 'upstream', name: route.upstream } : null,
  ];
}

/** Traffic of all routes for which `belongs` is true. */
function traffic(belongs) {
  let [received, sent] = [0, 0];
  for (const route of store.routes) {
    if (!belongs(route)) continue;
    received += route.received;
    sent += route.sent;
  }
  return { received, sent };
}

function drawWide(width) {
  const columns = [distinct('listener'), store.routes, store.routes, distinct('upstream')];
  const rows = Math.max(1, ...columns.map((column) => column.length));
  const step = Math.max(NODE.width + GAP, Math.min(360, (width - NODE.width) / 3));
  const total = 3 * step + NODE.width;
  const height = rows * ROW;
  const y = (column, index) => ((index + 0.5) / columns[column].length) * height;
  const [edges, nodes, updates] = [[], [], []];
  const place = (part, column, index) => nodes.push(node(part, column * step, y(column, index) - NODE.height / 2, NODE.width, updates));
  const link = (from, to, label, rates) => edges.push(...edge(curve(from, to), label, rates, updates));
  columns[0].forEach((name, index) => place({ kind: 'listener', name }, 0, index));
  columns[3].forEach((name, index) => place({ kind: 'upstream', name }, 3, index));
  store.routes.forEach((route, index) => {
    const [, own, pipelines, end] = parts(route);
    const rates = () => store.routes[index];
    place(own, 1, index);
    if (pipelines) place(pipelines, 2, index);
    const at = (column, side, position) => [column * step + (side === 'right' ? NODE.width : 0), y(column, position)];
    // The labels are near the route's own row, where edges are apart.
    const beside = (column, side) => [at(column, side, index)[0] + (side === 'right' ? LABEL : -LABEL), y(1, index)];
    link(at(0, 'right', columns[0].indexOf(route.listener)), at(1, 'left', index), beside(1, 'left'), rates);
    if (pipelines) link(at(1, 'right', index), at(2, 'left', index), beside(2, 'left'), rates);
    const last = pipelines ? 2 : 1;
    if (end) link(at(last, 'right', index), at(3, 'left', columns[3].indexOf(route.upstream)), beside(last, 'right'), rates);
  });
  const svg = s('svg', { viewBox: `0 0 ${total} ${height}`, width: total, height, role: 'img', 'aria-label': label() }, linesFirst(edges), nodes);
  return { element: scroll(svg), update: () => updates.forEach((update) => update()) };
}

/** Below each other, indented: for phones. */
function drawNarrow(width) {
  const [edges, nodes, updates] = [[], [], []];
  let row = 0;
  for (const listener of distinct('listener')) {
    const top = row++;
    nodes.push(node({ kind: 'listener', name: listener }, 0, top * ROW, width, updates));
    store.routes.forEach((route, index) => {
      if (route.listener !== listener) return;
      let above = top;
      parts(route).slice(1).filter(Boolean).forEach((part, depth) => {
        const x = (depth + 1) * INDENT;
        nodes.push(node(part, x, row * ROW, width - x, updates));
        const from = x - INDENT / 2;
        const d = `M${from} ${above * ROW + NODE.height}V${row * ROW + NODE.height / 2}H${x}`;
        edges.push(...edge(d, [x + 10, row * ROW - 7], () => store.routes[index], updates, 'start'));
        above = row++;
      });
    });
  }
  const height = row * ROW;
  const svg = s('svg', { viewBox: `0 0 ${width} ${height}`, width, height, role: 'img', 'aria-label': label() }, linesFirst(edges), nodes);
  return { element: svg, update: () => updates.forEach((update) => update()) };
}

/** Lines do not cross the labels of other lines. */
const linesFirst = (edges) => [...edges].sort((a, b) => (a.localName === 'text') - (b.localName === 'text'));
const scroll = (svg) => h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Graph of routes' }, svg);
const label = () => 'Listeners, routes, pipelines and upstreams. The table below has the same traffic.';
const distinct = (key) => [...new Set(store.routes.map((route) => route[key]).filter(Boolean))];

function curve([x1, y1], [x2, y2]) {
  const half = (x2 - x1) / 2;
  return `M${x1} ${y1}C${x1 + half} ${y1} ${x2 - half} ${y2} ${x2} ${y2}`;
}

/** An edge: a line whose width grows with the logarithm of the traffic, and its rates. */
function edge(d, [x, y], rates, updates, anchor = 'middle') {
  const line = s('path', { class: 'edge', d });
  const isInline = anchor === 'start';
  const up = s('text', { class: 'rate', x, y: isInline ? y : y - 7, 'text-anchor': anchor });
  const down = s('text', { class: 'rate muted', x: isInline ? x + 90 : x, y: isInline ? y : y + 16, 'text-anchor': anchor });
  updates.push(() => {
    const { received, sent } = rates();
    attribute(line, 'stroke-width', (1 + Math.log10(1 + received + sent)).toFixed(1));
    attribute(line, 'class', received + sent > 0 ? 'edge busy' : 'edge');
    text(up, `${rate(received)}/s →`);
    text(down, `← ${rate(sent)}/s`);
  });
  return [line, up, down];
}

function node(part, x, y, width, updates) {
  const characters = Math.floor((width - 24) / 7);
  const first = s('text', { class: 'name', x: x + 12, y: y + 19 }, cut(part.name, characters));
  const second = s('text', { class: part.second ? 'name' : 'note', x: x + 12, y: y + 36 }, cut(part.second ?? part.kind, characters));
  const group = s('g', { class: `node ${part.kind}` }, s('title', {}, [part.name, part.second].filter(Boolean).join('\n')), s('rect', { x, y, width, height: NODE.height, rx: 6 }), first, second);
  const note = { listener: listenerNote, route: routeNote, upstream: upstreamNote }[part.kind];
  if (note) updates.push(() => note(part, second, group));
  const href = { route: `#sessions?route=${encodeURIComponent(part.name)}`, upstream: `#upstreams/${encodeURIComponent(part.name)}` }[part.kind];
  return href ? s('a', { href }, group) : group;
}

function listenerNote({ name }, note) {
  const { received } = traffic(({ listener }) => listener === name);
  text(note, `listener · ${rate(received)}/s`);
}

function routeNote({ index }, note) {
  text(note, `route · ${plural(store.routes[index]?.sessions ?? 0, 'session')}`);
}

function upstreamNote({ name }, note, group) {
  const endpoints = upstream(name)?.endpoints ?? [];
  const up = endpoints.filter(({ state }) => isUp(state)).length;
  text(note, `upstream · ${up}/${endpoints.length} up`);
  attribute(group, 'data-tone', up < endpoints.length ? (up ? 'warn' : 'bad') : 'ok');
}

const cut = (name, characters) => (name.length > characters ? `${name.slice(0, characters - 1)}…` : name);
