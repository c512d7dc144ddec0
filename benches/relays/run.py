#!/usr/bin/env python3
"""Measures the cost of one filter over JSON messages, written for Towline and for what one could write instead.

usage: benches/relays/run.py TOWLINE [--seconds SECONDS] [--repetitions COUNT] [RELAY...]

Every relay does the same to what a client sends: it drops a message whose `type` is not "a", and sets the key `seen` of
the others. Three of four messages have the type "a". The upstream answers each message with a short one, which passes
through unchanged.

  towline     a program: `select patch event of upsert "seen" => true end from in where event.type == "a" into out;`
  node        a relay with the package `ws` of npm
  websockets  a relay with the package `websockets` of PyPI
  mitmproxy   an addon of mitmproxy

This script is the clients and the upstream. In one round, each of 20 connections sends eight messages in one write, and
waits for the answers. The relays have one core, this script has another. They are measured one after another, in random
order, several times. It prints medians as rows of Markdown: the relay's CPU time for one message of a client, answer
included, in µs; in brackets, its ratio to Towline; and its resident memory after the last run.

A run also checks what arrives at the upstream: the same documents with the key `seen`, in order, and nothing else.

Run benches/relays/install.sh before, which needs npm, python3, and their package registries.
"""

import argparse, base64, hashlib, json, os, random, re, signal, socket, statistics, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGES = os.path.join(HERE, "..", "..", "target", "relays")
RELAY_CORE, LOAD_CORE = "0", "1"
SIZES = {"100 B": 100, "1 KiB": 1024, "16 KiB": 16 * 1024}
CONNECTIONS, WINDOW = 20, 8
DEADLINE = 60
MASK = b"\x12\x34\x56\x78"
ANSWER = b'{"ok":true}'


def document(size, number, kind):
    """A record of about `size` bytes: small fields first, then a list."""
    event = {"type": kind, "id": number, "user": {"id": 42, "name": "somebody"}, "ok": True, "items": []}
    while len(text := json.dumps(event, separators=(",", ":"))) + 50 < size:
        count = max(1, (size - len(text)) // 60)
        start = len(event["items"])
        event["items"] += [{"n": n, "x": n + 0.25, "text": f'item "{n}"'} for n in range(start, start + count)]
    return text.encode()


def frame(data, mask=b""):
    """A text frame in the shortest encoding."""
    length = len(data)
    size = bytes([length]) if length < 126 else b"\x7e" + length.to_bytes(2) if length < 65536 else b"\x7f" + length.to_bytes(8)
    if not mask:
        return b"\x81" + size + data
    return b"\x81" + bytes([size[0] | 0x80]) + size[1:] + mask + masked(data, mask)


def masked(data, mask):
    key = int.from_bytes((mask * (len(data) // 4 + 1))[: len(data)])
    return (int.from_bytes(data) ^ key).to_bytes(len(data))


class Peer:
    """One end of a connection to the relay. Reads whole text messages."""

    def __init__(self, sock):
        self.sock, self.data, self.at = sock, b"", 0
        sock.settimeout(DEADLINE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def take(self, count):
        while len(self.data) - self.at < count:
            piece = self.sock.recv(1 << 18)
            if not piece:
                raise ConnectionError("the relay ended a connection")
            self.data, self.at = self.data[self.at :] + piece, 0
        self.at += count
        return self.data[self.at - count : self.at]

    def head(self):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.take(1)
        return head.decode()

    def message(self):
        """The next message; pings are skipped."""
        whole = b""
        while True:
            first, second = self.take(2)
            length = second & 0x7F
            if length > 125:
                length = int.from_bytes(self.take(2 if length == 126 else 8))
            mask = self.take(4) if second & 0x80 else b""
            data = self.take(length)
            if first & 0x0F == 8:
                sys.exit("the relay closed a connection")
            if first & 0x0F > 8:
                continue
            whole += masked(data, mask) if mask else data
            if first & 0x80:
                return whole


def accept(server):
    """An upstream connection, after its handshake. mitmproxy also opens connections that it does not use."""
    while True:
        sock, _ = server.accept()
        peer = Peer(sock)
        try:
            key = re.search(r"(?i)sec-websocket-key: *(\S+)", peer.head()).group(1)
            break
        except ConnectionError:
            continue
    digest = hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    sock.sendall(f"{answer}Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}\r\n\r\n".encode())
    return peer


def open_pair(port, server):
    client = Peer(socket.create_connection(("127.0.0.1", port), DEADLINE))
    client.sock.sendall(
        f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    upstream = accept(server)
    if " 101 " not in client.head():
        sys.exit("the relay refuses the handshake")
    return client, upstream


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def command(relay, towline, port, upstream, folder):
    """The command of a relay, its folder, and its environment."""
    if relay == "towline":
        values = {"LISTENER__WS__BIND": f"127.0.0.1:{port}", "UPSTREAM__ECHO__URL": f"ws://127.0.0.1:{upstream}"}
        values = {f"TOWLINE__{name}": value for name, value in values.items()}
        return [towline, "run", "--config", f"{HERE}/towline.toml"], folder, values
    if relay == "node":
        return ["node", f"{HERE}/node.mjs", str(port), str(upstream)], f"{PACKAGES}/node", {}
    if relay == "websockets":
        return [f"{PACKAGES}/python/bin/python", f"{HERE}/python.py", str(port), str(upstream)], folder, {}
    options = ["--listen-host", "127.0.0.1", "-p", str(port), "--set", "flow_detail=0", "-s", f"{HERE}/mitmproxy.py"]
    mode = ["-q", "--mode", f"reverse:http://127.0.0.1:{upstream}"]
    return [f"{PACKAGES}/mitmproxy/bin/mitmdump", *mode, *options], folder, {"HOME": folder}


RELAYS = ["towline", "node", "websockets", "mitmproxy"]


def start(relay, towline, upstream, folder):
    port = free_port()
    args, cwd, environment = command(relay, towline, port, upstream, folder)
    with open(f"{folder}/log", "ab") as log:
        process = subprocess.Popen(
            ["taskset", "-c", RELAY_CORE, *args], cwd=cwd, env=os.environ | environment, stdout=log, stderr=log)
    end = time.monotonic() + DEADLINE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), DEADLINE).close()
            return process, port
        except ConnectionRefusedError:
            if process.poll() is not None or time.monotonic() > end:
                sys.exit(f"{relay} does not listen: {open(f'{folder}/log').read()[-500:]}")
            time.sleep(0.05)


def cpu_seconds(pid):
    """The CPU time of all threads, from the scheduler, in ns resolution."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/schedstat") as file:
                total += int(file.read().split()[0])
        except FileNotFoundError:
            pass
    return total / 1e9


def resident_mb(pid):
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1024


def play(pairs, texts, seconds):
    """Plays rounds until the time is over. Returns how many messages the clients sent."""
    frames = b"".join(frame(text, MASK) for text, _ in texts)
    answer = frame(ANSWER)
    passed = [json.loads(text) | {"seen": True} for text, kind in texts if kind == "a"]
    checked, rounds, end = False, 0, time.monotonic() + seconds
    while time.monotonic() < end:
        for client, _ in pairs:
            client.sock.sendall(frames)
        for _, upstream in pairs:
            arrived = [upstream.message() for _ in passed]
            # The first round is checked whole; then, only the number of messages, to keep up with the relays.
            if not checked and [json.loads(text) for text in arrived] != passed:
                sys.exit("the upstream got other messages")
            upstream.sock.sendall(answer * len(passed))
        for client, _ in pairs:
            if any(client.message() != ANSWER for _ in passed):
                sys.exit("the client got another message")
        checked, rounds = True, rounds + 1
    return rounds * len(pairs) * len(texts)


def measure(relay, towline, size, seconds):
    """CPU time for one message in µs, and resident memory in MB."""
    kinds = ["b" if number % 4 == 3 else "a" for number in range(WINDOW)]
    texts = [(document(size, number, kind), kind) for number, kind in enumerate(kinds)]
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        server.settimeout(DEADLINE)
        process, port = start(relay, towline, server.getsockname()[1], folder)
        try:
            pairs = connect_all(port, server)
            play(pairs, texts, seconds / 4)
            before = cpu_seconds(process.pid)
            messages = play(pairs, texts, seconds)
            return (cpu_seconds(process.pid) - before) / messages * 1e6, resident_mb(process.pid)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()


def connect_all(port, server):
    return [open_pair(port, server) for _ in range(CONNECTIONS)]


def main():
    parser = argparse.ArgumentParser(usage=__doc__, add_help=False)
    parser.add_argument("towline")
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("relays", nargs="*", choices=[*RELAYS, []])
    options = parser.parse_args()
    os.sched_setaffinity(0, {int(LOAD_CORE)})
    relays = options.relays or RELAYS
    costs = {(relay, size): [] for relay in relays for size in SIZES}
    memory = {}
    for _ in range(options.repetitions):
        for size, length in SIZES.items():
            for relay in random.sample(relays, len(relays)):
                cost, memory[relay] = measure(relay, os.path.abspath(options.towline), length, options.seconds)
                costs[relay, size].append(cost)
    print("| relay | " + " | ".join(SIZES) + " | memory |")
    print("|---" * (len(SIZES) + 2) + "|")
    for relay in relays:
        cells = []
        for size in SIZES:
            cost, base = (statistics.median(costs[name, size]) for name in (relay, relays[0]))
            cells.append(f"{cost:.1f} (**{cost / base:.1f}**)")
        print(f"| {relay} | " + " | ".join(cells) + f" | {memory[relay]:.0f} MB |")


if __name__ == "__main__":
    main()
