// Numbers, times and states in words.

const whole = new Intl.NumberFormat('en-GB', { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat('en-GB', { minimumFractionDigits: 1, maximumFractionDigits: 1 });

/** A count: 12,345. */
export const count = (value) => (value === null || value === undefined ? '–' : whole.format(value));

/** A rate or a number with one decimal below 100. */
export function rate(value) {
  if (value === null || value === undefined) return '–';
  return value > 0 && value < 100 && value % 1 ? fine.format(value) : whole.format(value);
}

/** Milliseconds: 12 ms, 1.2 s, 3 min 20 s. */
export function time(milliseconds) {
  if (milliseconds === null || milliseconds === undefined) return '–';
  if (milliseconds < 10) return `${Number(milliseconds.toFixed(1))} ms`;
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  return milliseconds < 10_000 ? `${fine.format(milliseconds / 1000)} s` : span(milliseconds);
}

const UNITS = [['d', 86_400], ['h', 3600], ['min', 60], ['s', 1]];

/** A span of time in at most two units: 3 h 20 min. */
export function span(milliseconds) {
  let rest = Math.max(0, Math.round(milliseconds / 1000));
  const first = UNITS.findIndex(([, seconds]) => rest >= seconds);
  if (first < 0) return '0 s';
  const parts = [];
  for (const [unit, seconds] of UNITS.slice(first, first + 2)) {
    const value = Math.floor(rest / seconds);
    rest -= value * seconds;
    if (value || !parts.length) parts.push(`${value} ${unit}`);
  }
  return parts.join(' ');
}

/** A moment of the API, such as 2026-01-31T12:00:00.000Z, in milliseconds. */
export const moment = (text) => (text ? Date.parse(text) : null);

/** A moment as the time of day, with the date when it was not today. */
export function clock(moment, now = Date.now()) {
  if (moment === null || moment === undefined) return '–';
  const date = new Date(moment);
  const two = (value) => String(value).padStart(2, '0');
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const timeOfDay = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return new Date(now).toDateString() === date.toDateString() ? timeOfDay : `${day} ${timeOfDay}`;
}

const SIZES = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** Bytes: 12 B, 3.4 MiB. */
export function bytes(value) {
  if (value === null || value === undefined) return '–';
  let [size, unit] = [value, 0];
  while (size >= 1024 && unit < SIZES.length - 1) [size, unit] = [size / 1024, unit + 1];
  return `${unit === 0 || size >= 100 ? whole.format(size) : fine.format(size)} ${SIZES[unit]}`;
}

/** "1 session", "2 sessions". */
export const plural = (number, word, many = `${word}s`) => `${count(number)} ${number === 1 ? word : many}`;

const ENDPOINT = {
  up: ['ok', 'up'],
  suspect: ['warn', 'suspect'],
  down: ['bad', 'down'],
  trial: ['warn', 'trial'],
  ejected: ['bad', 'ejected'],
  draining: ['away', 'draining'],
};

/** Tone and name of an endpoint's state. */
export const endpointState = (name) => ENDPOINT[name] ?? ['none', name ?? 'unknown'];

/** Whether an endpoint in this state takes connections. */
export const isUp = (name) => name === 'up' || name === 'suspect' || name === 'trial';

/** Tone and summary of all endpoints of an upstream. */
export function poolState(endpoints) {
  const up = endpoints.filter(({ state }) => isUp(state)).length;
  const draining = endpoints.filter(({ state }) => state === 'draining').length;
  const tone = up + draining === endpoints.length ? 'ok' : up ? 'warn' : 'bad';
  return [tone, `${up} of ${plural(endpoints.length, 'endpoint')} up${draining ? `, ${draining} draining` : ''}`];
}

const SESSION = { open: 'ok', starting: 'none', draining: 'away', closing: 'away', over: 'none' };

/** Tone and name of a session's state. */
export const sessionState = (name) => [SESSION[name] ?? 'none', name ?? 'unknown'];

const CONNECTOR = { up: 'ok', dialing: 'warn', backoff: 'bad', paced: 'warn', idle: 'none', stopped: 'none', yielding: 'away' };

/** Tone and name of a connector's state. */
export const connectorState = (name) => [CONNECTOR[name] ?? 'none', name ?? 'unknown'];
