// What the scripts of this folder share: the proxy, servers that can be killed, results, conditions with a
// deadline. A script prints one line per result and ends with a status other than 0 when one failed.
//
// Environment:
//   TOWLINE            the program under test
//   REALWORLD_MODULES  the folder that has node_modules
//   REALWORLD_VERBOSE  1 prints the log of the proxy

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));

/** `require` for the installed packages, which are outside this folder. */
export const load = createRequire(join(process.env.REALWORLD_MODULES ?? join(here, '../../target/realworld'), 'x.js'));

/** The version of an installed package. */
export function version(name) {
  const entry = load.resolve.paths(name)[0];
  return createRequire(import.meta.url)(join(entry, name, 'package.json')).version;
}

const verbose = process.env.REALWORLD_VERBOSE === '1';
const children = new Set();
process.on('exit', () => children.forEach((child) => child.kill('SIGKILL')));
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));

/** Starts a program and reads the lines of one of its outputs. It is killed when the script ends. */
export function start(command, args, { stdin = 'ignore', lines, env = {}, onLine }) {
  const stdio = [stdin, lines === 'stdout' ? 'pipe' : 'inherit', lines === 'stderr' ? 'pipe' : 'inherit'];
  const child = spawn(command, args, { stdio, env: { ...process.env, ...env } });
  children.add(child);
  child.on('exit', () => children.delete(child));
  createInterface({ input: child[lines] }).on('line', onLine);
  return child;
}

/** A promise with a deadline. */
export function within(ms, what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** An empty folder that is removed when the script ends. */
export function folder() {
  const path = mkdtempSync(join(tmpdir(), 'towline-realworld-'));
  process.on('exit', () => rmSync(path, { recursive: true, force: true, maxRetries: 3 }));
  return path;
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** A program whose output has a line with the port that it listens at. */
class Listening {
  constructor(name, pattern) {
    this.name = name;
    this.log = [];
    this.port = new Promise((resolve, reject) => {
      this.onLine = (line) => {
        this.log.push(line);
        if (verbose) console.error(`${name}: ${line}`);
        const found = pattern.exec(line);
        if (found) resolve(Number(found[1]));
      };
      this.onExit = (code) => reject(new Error(`${name} ended with ${code}:\n${this.log.join('\n')}`));
    });
    this.port.catch(() => {});
  }
}

/** The real proxy. */
export class Proxy extends Listening {
  static all = [];

  /**
   * Starts it in front of `url` with a settings file that has `bind`, `url` and `more`. `more` is a text
   * for each of the tables listener, upstream and route.
   */
  static async start(url, more = {}) {
    const text = `[listener.ws]
bind = "127.0.0.1:0"
${more.listener ?? ''}
[upstream.app]
url = "${url}"
${more.upstream ?? ''}
[[route]]
upstream = "app"
${more.route ?? ''}
`;
    const file = join(folder(), 'towline.toml');
    writeFileSync(file, text);
    return Proxy.#run('towline', file, {});
  }

  /** Starts it in front of `url` with settings/default.toml, where only `bind` and `url` are changed. */
  static async startDefault(url) {
    const file = join(here, '../../settings/default.toml');
    const env = { TOWLINE__LISTENER__WS__BIND: '127.0.0.1:0', TOWLINE__UPSTREAM__ECHO__URL: url };
    return Proxy.#run('towline with default.toml', file, env);
  }

  /** Starts it in `at` with a settings file that has this text, and a listener `ws` at a free port of 127.0.0.1. */
  static async startWith(at, text, env) {
    const file = join(at, 'towline.toml');
    writeFileSync(file, text);
    return Proxy.#run('towline', file, env);
  }

  static async #run(name, file, env) {
    const proxy = new Proxy(name, /listening listener=ws address=127\.0\.0\.1:(\d+)/);
    const program = process.env.TOWLINE ?? join(here, '../../target/debug/towline');
    // The admin address is fixed by default, and several proxies run at a time.
    const options = { lines: 'stderr', onLine: proxy.onLine, env: { RUST_LOG: 'info', TOWLINE__ADMIN__BIND: '127.0.0.1:0', ...env } };
    Proxy.all.push(proxy);
    start(program, ['run', '--config', file], options).on('exit', proxy.onExit);
    proxy.url = `ws://127.0.0.1:${await within(30_000, 'the proxy listens', proxy.port)}`;
    return proxy;
  }
}

/**
 * A server that is killed and comes back at the same port. It is the script itself with the argument
 * `server`, see `serve`. A second process has loaded its modules already, so the outage is as long as asked.
 */
export class Server {
  static async start() {
    const server = new Server();
    server.listenings = [];
    server.running = server.#spawn();
    server.spare = server.#spawn();
    server.port = await server.#listen(0);
    await within(60_000, 'the spare server is ready', server.spare.ready);
    return server;
  }

  /** Kills the server. It listens again after `outage` milliseconds. */
  async restart(outage) {
    this.running.child.kill('SIGKILL');
    this.running = this.spare;
    await sleep(outage);
    await this.#listen(this.port);
    this.spare = this.#spawn();
  }

  /** How often the server and its predecessors have printed `line`. */
  printed(line) {
    return this.listenings.flatMap(({ log }) => log).filter((other) => other === line).length;
  }

  #spawn() {
    const listening = new Listening('server', /^listening (\d+)$/);
    this.listenings.push(listening);
    const process_ = { listening };
    process_.ready = new Promise((resolve) => {
      const onLine = (line) => (line === 'ready' ? resolve() : listening.onLine(line));
      const options = { stdin: 'pipe', lines: 'stdout', onLine };
      process_.child = start(process.execPath, [process.argv[1], 'server'], options);
    });
    process_.child.on('exit', listening.onExit);
    return process_;
  }

  async #listen(port) {
    const { child, listening, ready } = this.running;
    await within(60_000, 'the server is ready', ready);
    child.stdin.write(`${port}\n`);
    return within(30_000, 'the server listens', listening.port);
  }
}

/** The server's side: waits for a port on standard input and lets `listen(port)` give a net.Server. */
export function serve(listen) {
  const input = createInterface({ input: process.stdin });
  input.once('line', (line) => {
    const server = listen(Number(line));
    const say = () => console.log(`listening ${server.address().port}`);
    if (server.listening) say();
    else server.once('listening', say);
  });
  input.once('close', () => process.exit(0));
  console.log('ready');
}

export const isServer = process.argv[2] === 'server';

export const seconds = (ms) => (ms === null ? 'never' : `${(ms / 1000).toFixed(2)} s`);

/** Prints the result of a scenario. */
export function result(passed, scenario, details) {
  console.log(`${passed ? 'PASS' : 'FAIL'} ${scenario}: ${details}`);
  if (!passed) process.exitCode = 1;
}

/** Runs the scenarios of a script within a deadline and ends the process. */
export async function main(deadline, scenarios) {
  const fail = (error) => result(false, basename(process.argv[1]), error.stack ?? String(error));
  // A library that throws in a handler of its own, for example on a message that it does not understand.
  process.on('uncaughtException', (error) => {
    fail(error);
    process.exit();
  });
  await within(deadline, 'all scenarios', scenarios()).catch(fail);
  for (const { name, log } of Proxy.all) {
    const panic = log.find((line) => line.includes('panicked'));
    if (panic) result(false, name, panic);
  }
  process.exit();
}
