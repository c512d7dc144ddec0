// The filter of this comparison as a relay with the package `ws`. usage: node node.mjs PORT UPSTREAM_PORT
import { createRequire } from "node:module";

const { WebSocket, WebSocketServer } = createRequire(`${process.cwd()}/`)("ws");
const [port, upstreamPort] = process.argv.slice(2).map(Number);

const server = new WebSocketServer({ host: "127.0.0.1", port, perMessageDeflate: false, backlog: 8192 });
server.on("connection", (client) => {
  const upstream = new WebSocket(`ws://127.0.0.1:${upstreamPort}/`, { perMessageDeflate: false });
  // The client may send before the upstream is connected.
  let waiting = [];
  upstream.on("open", () => {
    waiting.forEach((text) => upstream.send(text));
    waiting = null;
  });
  client.on("message", (data) => {
    const event = JSON.parse(data);
    if (event.type !== "a") return;
    event.seen = true;
    const text = JSON.stringify(event);
    if (waiting) waiting.push(text);
    else upstream.send(text);
  });
  upstream.on("message", (data, binary) => client.send(data, { binary }));
  client.on("close", () => upstream.close());
  upstream.on("close", () => client.close());
  client.on("error", () => upstream.terminate());
  upstream.on("error", () => client.terminate());
});
