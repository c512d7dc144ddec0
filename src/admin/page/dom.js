// Builds and updates elements. All data enters the document as text or as an attribute value, never as markup.

const SVG = 'http://www.w3.org/2000/svg';

/** Creates an HTML element. `properties`: attributes; `class`; `on…` as listeners; false and null leave out. */
export function h(tag, properties, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** Creates an SVG element. */
export function s(tag, properties, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else attribute(element, name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Sets an attribute if it differs; false, null and undefined remove it. */
export function attribute(element, name, value) {
  if (value === false || value === null || value === undefined) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
    return;
  }
  const wanted = value === true ? '' : String(value);
  if (element.getAttribute(name) !== wanted) element.setAttribute(name, wanted);
}

/** Sets the text of an element if it differs. */
export function text(element, value) {
  const wanted = value === null || value === undefined ? '' : String(value);
  if (element.textContent !== wanted) element.textContent = wanted;
  return element;
}

/**
 * Makes the children of `parent` those of `items`, in order. Elements of items that stay are updated in place, so
 * that focus and selection survive.
 */
export function keyed(parent, items, keyOf, create, update) {
  const known = (parent.towlineKeyed ??= new Map());
  const wanted = new Set(items.map(keyOf));
  for (const [key, element] of known) {
    if (wanted.has(key)) continue;
    element.remove();
    known.delete(key);
  }
  let position = parent.firstChild;
  for (const item of items) {
    const key = keyOf(item);
    let element = known.get(key);
    if (!element) {
      element = create(item);
      known.set(key, element);
    }
    if (element === position) position = position.nextSibling;
    else parent.insertBefore(element, position);
    update?.(element, item);
  }
}

/** Replaces the children of an element. */
export function put(parent, ...children) {
  parent.replaceChildren(...children.flat().filter(Boolean));
  return parent;
}

/** A mark for a state: a shape and its name. `tone` is ok, warn, bad, away or none. */
export function state(tone, name) {
  const element = h('span', { class: 'state' }, s('svg', { class: 'shape', 'aria-hidden': 'true' }, s('use', {})), h('span'));
  setState(element, tone, name);
  return element;
}

/** Changes a mark made by `state`. */
export function setState(element, tone, name) {
  attribute(element, 'data-tone', tone);
  attribute(element.firstChild.firstChild, 'href', `#shape-${tone}`);
  text(element.lastChild, name);
}

/** A paragraph that says what will appear here. */
export function empty(...children) {
  return h('p', { class: 'empty' }, ...children);
}

/** A table with a caption that screen readers read. A column: `{ title, class }`. */
export function table(caption, columns, properties) {
  const head = columns.map(({ title, class: name }) => h('th', { scope: 'col', class: name }, title));
  const body = h('tbody');
  const element = h('table', properties, h('caption', { class: 'hidden' }, caption), h('thead', {}, h('tr', {}, head)), body);
  return { element, body };
}

/** A cell. On narrow screens the table becomes a list, in which `label` names the value. */
export function cell(label, properties, ...children) {
  return h('td', { 'data-label': label, ...properties }, ...children);
}
