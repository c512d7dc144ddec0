// Lines over the last five minutes, and strips that show when an endpoint was in which state.

import { attribute, h, s, setState, state, text } from './dom.js';
import { store } from './store.js';
import { clock, endpointState, isUp, plural, span } from './words.js';

const WIDTH = 600;
/** Numbers of samples that a line may show, with their names: the first one that has room for all. */
const SPANS = [[60, '1 min ago'], [120, '2 min ago'], [300, '5 min ago']];
const HEIGHT = 100;
/** Width of the labels left of the plot, in pixels, as in the style sheet. */
const PADDING = 56;

/**
 * A figure with one line for each of `lines`: `{ name, column, line }`, where `line` selects the style. `format` makes
 * text of a value. The arrow keys and the pointer show the values of a moment.
 */
export function chart({ title, unit, lines, format }) {
  const paths = lines.map(({ line }) => s('path', { class: `line ${line}` }));
  const values = lines.map(() => h('b'));
  const legend = lines.map(({ name, line }, index) => h('li', {}, key(line), ` ${name} `, values[index]));
  const cursor = s('line', { class: 'cursor', y1: 0, y2: HEIGHT, visibility: 'hidden' });
  const plot = s('svg', { class: 'plot', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    [0, 0.5, 1].map((part) => s('line', { class: 'grid', x1: 0, x2: WIDTH, y1: part * HEIGHT, y2: part * HEIGHT })), paths, cursor);
  const [top, middle, moment, begin] = [h('span', { class: 'top' }), h('span', { class: 'middle' }), h('span', { class: 'moment' }), h('span')];
  const area = h('div', { class: 'area', tabindex: 0, role: 'img' }, plot, top, middle, h('span', { class: 'zero' }, '0'));
  const figure = h('figure', { class: 'chart' },
    h('figcaption', {}, h('h3', {}, title, ' ', h('span', { class: 'muted' }, unit)), h('ul', { class: 'legend' }, legend)), area,
    h('p', { class: 'axis muted' }, begin, moment, h('span', {}, 'now')));
  let at = null;
  const select = (index) => {
    at = index;
    update();
  };
  area.addEventListener('pointermove', (event) => {
    const box = area.getBoundingClientRect();
    const part = (event.clientX - box.left - PADDING) / (box.width - PADDING);
    select(Math.round(part * (shownSamples() - 1)));
  });
  area.addEventListener('pointerleave', () => select(null));
  area.addEventListener('blur', () => select(null));
  area.addEventListener('keydown', (event) => {
    const step = { ArrowLeft: -5, ArrowRight: 5, Home: -Infinity, End: Infinity }[event.key];
    if (!step) return;
    event.preventDefault();
    const latest = shownSamples() - 1;
    select(Math.min(latest, Math.max(0, (at ?? latest) + step)));
  });
  function update() {
    const all = lines.map(({ column }) => store.history[column] ?? []);
    const limit = ceiling(Math.max(0, ...all.flat()));
    all.forEach((column, index) => attribute(paths[index], 'd', path(column, limit)));
    text(top, format(limit));
    text(middle, format(limit / 2));
    text(begin, SPANS.find(([samples]) => samples === shownSamples())[1]);
    const offset = shownSamples() - store.history.time.length;
    const index = at === null ? store.history.time.length - 1 : at - offset;
    const shown = all.map((column) => column[index]);
    shown.forEach((value, line) => text(values[line], format(value ?? null)));
    text(moment, at === null || index < 0 ? '' : clock(store.history.time[index], store.now));
    attribute(cursor, 'visibility', at === null || index < 0 ? 'hidden' : 'visible');
    if (at !== null) {
      attribute(cursor, 'x1', x(at));
      attribute(cursor, 'x2', x(at));
    }
    const words = lines.map(({ name }, line) => `${name} ${format(shown[line] ?? null)}`).join(', ');
    attribute(area, 'aria-label', `${title}, ${unit}: ${words}. The arrow keys show earlier values.`);
  }
  return { figure, update };
}

const key = (line) => s('svg', { class: 'key', viewBox: '0 0 18 4', 'aria-hidden': 'true' }, s('path', { class: `line ${line}`, d: 'M0 2H18' }));

const shownSamples = () => SPANS.map(([samples]) => samples).find((samples) => samples >= store.history.time.length) ?? 300;

const x = (position) => ((position / (shownSamples() - 1)) * WIDTH).toFixed(1);

/** The line of a column. A moment without value interrupts it. */
function path(column, limit) {
  const offset = shownSamples() - column.length;
  let d = '';
  let joined = false;
  column.forEach((value, index) => {
    const isValue = value !== null && value !== undefined;
    if (isValue) d += `${joined ? 'L' : 'M'}${x(offset + index)} ${(HEIGHT - (value / limit) * HEIGHT).toFixed(1)}`;
    joined = isValue;
  });
  return d;
}

/** The next round number: some steps of each power of ten. */
function ceiling(value) {
  if (value <= 1) return value > 0.5 || value === 0 ? 1 : 0.5;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.2, 1.6, 2, 2.4, 3, 4, 5, 6, 8, 10].map((step) => step * power).find((step) => step >= value);
}

const STRIP = 1000;
/** Height of a state's segment, in parts: the strip can be read without colours. */
const HEIGHTS = { up: 4, suspect: 9, trial: 9, draining: 9, ejected: 16, down: 16 };

/** A strip that shows the states of an endpoint over time, one segment for each. */
export function strip() {
  return s('svg', { class: 'strip', viewBox: `0 0 ${STRIP} 16`, preserveAspectRatio: 'none', role: 'img' });
}

/** Draws the changes `[[moment, state], …]`, oldest first, from `from` to `to`. */
export function drawStrip(element, changes, from, to) {
  const scale = STRIP / (to - from);
  const segments = spans(changes, to).filter(({ end }) => end > from).map(({ name, start, end }) => {
    const left = Math.max(0, (start - from) * scale);
    const height = HEIGHTS[name] ?? 2;
    const width = Math.max(3, (end - from) * scale - left);
    return s('rect', { class: `segment ${name}`, x: left.toFixed(1), y: 16 - height, width: Math.min(width, STRIP - left).toFixed(1), height });
  });
  element.replaceChildren(s('line', { class: 'base', x1: 0, x2: STRIP, y1: 15.5, y2: 15.5 }), ...segments);
  const outages = outagesOf(changes, to).filter(({ end }) => end > from);
  const words = outages.length ? `${plural(outages.length, 'outage')}, the last at ${clock(outages.at(-1).start, to)} for ${span(outages.at(-1).end - outages.at(-1).start)}` : 'no outage';
  attribute(element, 'aria-label', `${endpointState(changes.at(-1)?.[1])[1]}; ${words}`);
}

function spans(changes, to) {
  return changes.map(([start, name], index) => ({ name, start, end: changes[index + 1]?.[0] ?? to }));
}

/** The times in which an endpoint took no connections although it should, oldest first. */
export function outagesOf(changes, to) {
  const outages = [];
  for (const { name, start, end } of spans(changes, to)) {
    if (isUp(name) || name === 'draining') continue;
    const before = outages.at(-1);
    if (before?.end === start) before.end = end;
    else outages.push({ start, end, name });
  }
  return outages.map((outage) => ({ ...outage, open: outage.end === to }));
}

export { setState, state };
