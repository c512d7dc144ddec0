// Actions: a dialog that asks, the token if there is none, the request, and a notice of the result.

import { act, isUnlocked, setToken } from './api.js';
import { h, text } from './dom.js';

const NOTICE_TIME = 8000;
const NOTICES_MAX = 4;

/** Says something to screen readers. */
export function announce(words) {
  text(document.querySelector('#announcer'), words);
}

/** Shows the result of an action for some seconds. `tone` is ok or bad. */
export function notify(tone, words) {
  const remove = () => notice.remove();
  const notice = h('p', { class: 'notice', 'data-tone': tone, role: tone === 'bad' ? 'alert' : 'status' }, words, ' ',
    h('button', { type: 'button', class: 'quiet', 'aria-label': 'Dismiss', onclick: remove }, '✕'));
  const notices = document.querySelector('#notices');
  notices.append(notice);
  while (notices.children.length > NOTICES_MAX) notices.firstChild.remove();
  if (tone === 'ok') setTimeout(remove, NOTICE_TIME);
}

/** A modal dialog. Resolves to the fields of its form, or to null when it is cancelled. */
function ask({ title, body, fields = [], confirm, danger }) {
  return new Promise((resolve) => {
    const cancel = h('button', { type: 'button', onclick: () => dialog.close() }, 'Cancel');
    const form = h('form', { method: 'dialog' }, h('h2', { id: 'dialog-title' }, title), body && h('p', {}, body),
      fields.map(({ label, ...properties }) => h('label', {}, label, h('input', { autocomplete: 'off', spellcheck: 'false', ...properties }))),
      h('p', { class: 'buttons' }, cancel, h('button', { type: 'submit', class: danger ? 'danger' : 'primary' }, confirm)));
    const dialog = h('dialog', { 'aria-labelledby': 'dialog-title' }, form);
    let answer = null;
    form.addEventListener('submit', () => (answer = Object.fromEntries(new FormData(form))));
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(answer);
    });
    document.body.append(dialog);
    dialog.showModal();
    // A dangerous action needs a deliberate step from the safe button.
    (dialog.querySelector('input') ?? (danger ? cancel : dialog.querySelector('[type=submit]'))).focus();
  });
}

/** Asks for the token. Resolves to whether there is one. */
export async function unlock() {
  const answer = await ask({
    title: 'Token for actions',
    body: 'It is the content of admin.token_file. It stays in the memory of this page and is forgotten when the page is closed.',
    fields: [{ label: 'Token', name: 'token', type: 'password', required: true }],
    confirm: 'Unlock actions',
  });
  if (answer?.token) setToken(answer.token.trim());
  return isUnlocked();
}

/** Asks, performs the action, and shows its result. Resolves to whether it was done. */
export async function perform({ title, body, fields, confirm, danger, path, payload, done }) {
  if (!isUnlocked() && !(await unlock())) return false;
  const answer = await ask({ title, body, fields, confirm, danger });
  if (!answer) return false;
  try {
    const result = await act(path, payload?.(answer));
    notify('ok', done(result));
    return true;
  } catch (error) {
    notify('bad', `${title} failed: ${error.message}`);
    return false;
  }
}
