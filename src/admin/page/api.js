// Requests to the admin API. The token for actions stays in the memory of this page.

let token = null;
let onToken = () => {};

/** Whether there is a token. */
export const isUnlocked = () => token !== null;

/** Calls `listener` when the token is set or removed. */
export const watchToken = (listener) => (onToken = listener);

/** Sets the token; `null` removes it. */
export function setToken(value) {
  token = value;
  onToken();
}

/** The server's refusal of a request, with its status. */
export class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Reads from the API. Throws a `Refusal`. */
export const read = (path, parameters, signal) => request('GET', path, { parameters, signal });

/** Performs an action. Throws a `Refusal`; 401 removes the token. */
export async function act(path, body) {
  try {
    return await request('POST', path, { body, headers: { authorization: `Bearer ${token}` } });
  } catch (error) {
    if (error.status === 401) setToken(null);
    throw error;
  }
}

async function request(method, path, { parameters, body, headers, signal }) {
  const url = new URL(path, document.baseURI);
  for (const [name, value] of Object.entries(parameters ?? {})) if (value !== '' && value !== null && value !== undefined) url.searchParams.set(name, value);
  const answer = await fetch(url, {
    method,
    signal,
    credentials: 'same-origin',
    headers: { ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const isJson = answer.headers.get('content-type')?.includes('json');
  const content = isJson ? await answer.json() : await answer.text();
  if (!answer.ok) throw new Refusal(answer.status, (isJson && content.error) || `${answer.status} ${answer.statusText}`);
  return content;
}
