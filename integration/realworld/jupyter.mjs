// A Jupyter kernel channel: JupyterLab's client library executes code in a kernel of jupyter_server.
//
// REST goes to the server itself, the channel through the proxy, token in the query.

import { existsSync, mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

import { Proxy, folder, load, main, result, sleep, start, version, within } from './common.mjs';

const WebSocket = load('ws');
const { KernelAPI, KernelConnection, ServerConnection } = load('@jupyterlab/services');
const TOKEN = 'a-token-of-the-test';
const python = process.env.REALWORLD_PYTHON ?? join(import.meta.dirname, '../../target/realworld/venv/bin/python');
const LARGE = 200_000;

/** Waits until `found` gives something. */
async function eventually(ms, what, found) {
  for (const end = Date.now() + ms; Date.now() < end; await sleep(50)) {
    const value = found();
    if (value) return value;
  }
  throw new Error(`${what}: not within ${ms} ms`);
}

/** Starts jupyter_server at a free port; it writes what it listens at into a file. */
async function startJupyter() {
  const home = folder();
  const runtime = join(home, 'runtime');
  mkdirSync(runtime);
  const args = ['-m', 'jupyter_server', '--ServerApp.port=0', '--ServerApp.ip=127.0.0.1', '--ServerApp.open_browser=False',
    '--ServerApp.allow_root=True', `--IdentityProvider.token=${TOKEN}`, `--ServerApp.root_dir=${home}`];
  const env = { JUPYTER_RUNTIME_DIR: runtime, JUPYTER_CONFIG_DIR: join(home, 'config'), JUPYTER_DATA_DIR: join(home, 'data'),
    IPYTHONDIR: join(home, 'ipython') };
  const log = [];
  const child = start(python, args, { lines: 'stderr', env, onLine: (line) => log.push(line) });
  const file = await eventually(30_000, 'jupyter_server listens', () => {
    if (child.exitCode !== null) throw new Error(`jupyter_server ended with ${child.exitCode}:\n${log.join('\n')}`);
    const name = readdirSync(runtime).find((name) => /^jpserver-\d+\.json$/.test(name));
    return name && join(runtime, name);
  });
  const { port } = await eventually(5_000, 'the file is whole', () => {
    try {
      return existsSync(file) && JSON.parse(readFileSync(file));
    } catch {
      return null;
    }
  });
  const versions = await fetch(`http://127.0.0.1:${port}/api`).then((answer) => answer.json());
  return { port, version: versions.version };
}

/** Executes code and gives what it shows: the value, or the text that it prints. */
async function execute(kernel, code) {
  let shown = '';
  const future = kernel.requestExecute({ code });
  future.onIOPub = ({ header, content }) => {
    if (header.msg_type === 'execute_result') shown += content.data['text/plain'];
    if (header.msg_type === 'stream') shown += content.text;
    if (header.msg_type === 'error') shown += content.evalue;
  };
  const reply = await within(15_000, `the reply to ${code}`, future.done);
  return `${reply.content.status} ${shown}`;
}

/** A channel with JupyterLab's library. */
async function channel(name, packages, model, port, url) {
  const protocols = new Set();
  class Observed extends WebSocket {
    constructor(...args) {
      super(...args);
      this.on('open', () => protocols.add(this.protocol || 'none'));
    }
  }
  const baseUrl = `http://127.0.0.1:${port}/`;
  const serverSettings = ServerConnection.makeSettings({ baseUrl, wsUrl: `${url}/`, token: TOKEN, appendToken: true, WebSocket: Observed });
  const kernel = new KernelConnection({ model, serverSettings });
  const began = Date.now();
  try {
    const sum = await execute(kernel, '1+1');
    const took = Date.now() - began;
    const large = await execute(kernel, `print("é" * ${LARGE})`);
    const intact = large === `ok ${'é'.repeat(LARGE)}\n`;
    const details = `1+1 gives "${sum}" after ${took} ms, ${2 * LARGE} bytes of output ${intact ? 'intact' : 'changed'}`;
    result(sum === 'ok 2' && intact, `${packages}: ${name}`, `${details}, subprotocol ${[...protocols]}`);
  } catch (error) {
    result(false, `${packages}: ${name}`, `${error.message}, status of the connection: ${kernel.connectionStatus}`);
  } finally {
    kernel.dispose();
  }
}

/** How a handshake ends that has the Origin of a page from `url`, as a browser sends it. */
function handshake(url, model) {
  const options = { origin: url.replace('ws:', 'http:') };
  const socket = new WebSocket(`${url}/api/kernels/${model.id}/channels?token=${TOKEN}`, options);
  const end = new Promise((resolve) => {
    socket.on('open', () => resolve('accepted'));
    socket.on('unexpected-response', (_, answer) => resolve(String(answer.statusCode)));
    socket.on('error', (error) => resolve(error.message));
  });
  return within(10_000, 'the handshake', end).finally(() => socket.terminate());
}

async function scenario() {
  // The library prints the address of each connection.
  console.debug = () => {};
  const { port, version: jupyter } = await startJupyter();
  const upstream = `ws://127.0.0.1:${port}`;
  const packages = `jupyter_server ${jupyter}, @jupyterlab/services ${version('@jupyterlab/services')}`;
  const serverSettings = ServerConnection.makeSettings({ baseUrl: `http://127.0.0.1:${port}/`, wsUrl: `${upstream}/`, token: TOKEN });
  const model = await KernelAPI.startNew({ name: 'python3' }, serverSettings);
  await channel('direct', packages, model, port, upstream);
  for (const proxy of [await Proxy.start(upstream), await Proxy.startDefault(upstream)]) {
    await channel(proxy.name, packages, model, port, proxy.url);
  }
  // The server compares Origin with Host, so a page of the proxy's origin needs the client's Host upstream.
  const asClient = await Proxy.start(upstream, { upstream: 'host = "client"' });
  const ends = [await handshake(upstream, model), await handshake(asClient.url, model)];
  const details = `a page of the server's origin: ${ends[0]}, a page of the proxy's origin: ${ends[1]}`;
  result(ends.every((end) => end === 'accepted'), `${packages}: towline with host = "client"`, details);
  await KernelAPI.shutdownKernel(model.id, serverSettings);
}

await main(100_000, scenario);
