#!/usr/bin/env python3
"""What a tap costs the sessions of a proxy.

    python3 benches/tap.py --towline target/release/towline

On a loopback address: starts an echo server and a proxy with one worker thread before it, and measures, in rounds
that alternate between no tap and a tap that reads,

* the messages a second that the proxy passes in both directions when clients send as fast as they get replies, at a
  window of messages for each;
* at a fixed rate of 10,000 messages a second: the rate that was reached, and the CPU time of the worker thread and of
  the rest of the process.

Then it opens a tap with payloads that does not read, and measures how much the resident memory of the process grows,
and whether a message is missing: with small messages, and with messages of 64 KiB.

Prints one Markdown table; a cost is the median of the ratios of neighbouring rounds. Exits with 1 if the tap that
reads costs more than 5 % of the messages, or the one that does not read more than 4 MiB or a message. Needs Python 3.8
or later and nothing else. The clients and the reader of the tap take CPU time as well, so a machine with fewer than
four cores shows a higher cost than the proxy has.
"""

import argparse
import base64
import json
import os
import re
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

CLIENTS = 8
WINDOW = 32  # messages of a client without reply
PAYLOAD = 100  # bytes of a message
RATE = 10_000  # messages a second
WATCH = 5.0  # seconds of a round
ROUNDS = 5  # pairs of rounds
COST_MAX = 5.0  # percent
MEMORY_MAX = 4096  # KiB
TOKEN = "token-of-the-operator"

SETTINGS = """
[admin]
bind = "127.0.0.1:0"
token_file = "{token}"
tap = true
[server]
workers = 1
[listener.ws]
bind = "127.0.0.1:0"
[upstream.echo]
url = "ws://127.0.0.1:{echo}"
[[route]]
listener = "ws"
upstream = "echo"
"""


class Process:
    """A process of the program, with the ports that its log names."""

    def __init__(self, arguments, pattern, ports):
        env = {**os.environ, "RUST_LOG": "info"}
        self.process = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True, env=env)
        self.ports = {}
        while len(self.ports) < ports:
            line = self.process.stderr.readline()
            if not line:
                raise SystemExit(f"{arguments} does not start")
            found = re.search(pattern, line)
            if found:
                self.ports[found[1]] = int(found[2])
        threading.Thread(target=self.process.stderr.read, daemon=True).start()

    def cpu(self):
        """CPU seconds of the worker thread, and of all other threads."""
        times = {}
        for thread in os.listdir(f"/proc/{self.process.pid}/task"):
            with open(f"/proc/{self.process.pid}/task/{thread}/stat") as stat:
                name, _, rest = stat.read().partition("(")[2].rpartition(")")
                fields = rest.split()
                times[thread] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        # The worker thread is the one that has worked most: it serves all clients.
        return times

    def resident(self):
        """Resident memory in KiB."""
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1])


def handshake(port):
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    key = base64.b64encode(os.urandom(16)).decode()
    request = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    sock.sendall(f"{request}Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = sock.recv(1)
        if not byte:
            raise SystemExit(f"refused: {head.decode()}")
        head += byte
    if b" 101 " not in head.split(b"\r\n")[0]:
        raise SystemExit(f"refused: {head.decode()}")
    return sock


def frame(size):
    """A text message of a client, and the length of the frame that echoes it."""
    if size < 126:
        head, reply = struct.pack("!BB", 0x81, 0x80 | size), 2
    elif size < 65536:
        head, reply = struct.pack("!BBH", 0x81, 0x80 | 126, size), 4
    else:
        head, reply = struct.pack("!BBQ", 0x81, 0x80 | 127, size), 10
    return head + b"\0\0\0\0" + b"x" * size, reply + size


class Client(threading.Thread):
    """Sends messages and counts their replies: as many as it gets replies, or at a rate."""

    def __init__(self, port, size=PAYLOAD, window=WINDOW, rate=None, count=None):
        super().__init__(daemon=True)
        self.sock = handshake(port)
        self.message, self.reply = frame(size)
        self.window, self.rate, self.count = window, rate, count
        self.sent = self.bytes = 0
        self.stopped = False

    def received(self):
        return self.bytes // self.reply

    def due(self, begin):
        if self.rate is None:
            due = self.window - (self.sent - self.received())
        else:
            due = min(int((time.perf_counter() - begin) * self.rate) - self.sent, self.window * 8)
        return due if self.count is None else min(due, self.count - self.sent)

    def run(self):
        begin = time.perf_counter()
        while not self.stopped and self.received() != self.count:
            due = self.due(begin)
            if due > 0:
                self.sock.sendall(self.message * due)
                self.sent += due
            self.sock.settimeout(None if self.rate is None else 0.002)
            try:
                chunk = self.sock.recv(1 << 18)
            except socket.timeout:
                continue
            if not chunk:
                return  # closed by the proxy: messages are missing
            self.bytes += len(chunk)

    def stop(self):
        """Stops sending, and reads the rest of the replies."""
        self.stopped = True
        self.join()
        self.sock.settimeout(10)
        while self.received() < self.sent:
            chunk = self.sock.recv(1 << 18)
            if not chunk:
                break
            self.bytes += len(chunk)
        self.sock.close()
        return self.sent - self.received()


class Tap(threading.Thread):
    """A tap that reads everything, or nothing at all."""

    def __init__(self, port, query="", reads=True):
        super().__init__(daemon=True)
        self.sock = socket.socket()
        if not reads:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        self.sock.connect(("127.0.0.1", port))
        request = f"GET /api/tap?{query} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
        self.sock.sendall(request.encode())
        if b" 200 " not in self.sock.recv(12) + b" ":
            raise SystemExit("the tap is refused")
        self.lines = 0
        self.tail = b""
        self.lost = 0
        if reads:
            self.start()

    def run(self):
        while True:
            try:
                chunk = self.sock.recv(1 << 20)
            except OSError:
                return
            if not chunk:
                return
            self.lines += chunk.count(b'"time"')
            for found in re.finditer(rb'\{"lost":(\d+)\}', chunk):
                self.lost += int(found[1])

    def close(self):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
        if self.is_alive():
            self.join()


def measure(proxy, rate):
    """Messages a second, and the CPU seconds of the worker and of the rest, of one round."""
    each = None if rate is None else rate / CLIENTS
    clients = [Client(proxy.ports["listener=ws"], rate=each) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    time.sleep(1)
    cpu, count, begin = proxy.cpu(), sum(client.received() for client in clients), time.perf_counter()
    time.sleep(WATCH)
    count = sum(client.received() for client in clients) - count
    taken = time.perf_counter() - begin
    after = proxy.cpu()
    used = sorted(time - cpu.get(thread, 0) for thread, time in after.items())
    missing = sum(client.stop() for client in clients)
    if missing:
        raise SystemExit(f"{missing} messages have no reply")
    return count / taken, used[-1] / taken, sum(used[:-1]) / taken


def compare(proxy, rate):
    """Pairs of neighbouring rounds, without and with a tap."""
    pairs = []
    for number in range(ROUNDS):
        pair = {}
        # The order alternates, so that a drift of the machine is not a cost of the tap.
        for has_tap in ((False, True) if number % 2 == 0 else (True, False)):
            tap = Tap(proxy.ports["admin"]) if has_tap else None
            pair[has_tap] = measure(proxy, rate)
            if tap:
                tap.close()
                pair["lines"], pair["lost"] = tap.lines, tap.lost
        print(f"round {number + 1}: {pair}", file=sys.stderr)
        pairs.append(pair)
    return pairs


def stalled(proxy, size, count):
    """The growth of the resident memory with a tap that does not read, and the number of messages without reply."""
    port = proxy.ports["listener=ws"]

    def converse():
        clients = [Client(port, size=size, window=8, count=count // CLIENTS) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        return sum(client.stop() for client in clients)

    # The same traffic before: its memory is not that of the tap.
    converse()
    converse()
    before = proxy.resident()
    tap = Tap(proxy.ports["admin"], "payload=true&max_payload=1048576", reads=False)
    missing = converse()
    grown = proxy.resident() - before
    tap.close()
    return grown, missing


def median(pairs, value):
    return statistics.median(value(pair) for pair in pairs)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--towline", default="target/release/towline")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        token = os.path.join(folder, "token")
        with open(os.open(token, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write(TOKEN)
        echo = Process([options.towline, "echo", "--bind", "127.0.0.1:0"], r"listening (echo) address=127\.0\.0\.1:(\d+)", 1)
        settings = os.path.join(folder, "towline.toml")
        with open(settings, "w") as file:
            file.write(SETTINGS.format(token=token, echo=echo.ports["echo"]))
        pattern = r"listening (listener=ws|admin) address=127\.0\.0\.1:(\d+)"
        proxy = Process([options.towline, "run", "--config", settings], pattern, 2)
        try:
            sys.exit(report(proxy))
        finally:
            proxy.process.kill()
            echo.process.kill()


def report(proxy):
    full, fixed = compare(proxy, None), compare(proxy, RATE)
    cost = 100 * (1 - median(full, lambda pair: pair[True][0] / pair[False][0]))
    reached = 100 * (1 - median(fixed, lambda pair: pair[True][0] / pair[False][0]))
    worker = 100 * (median(fixed, lambda pair: pair[True][1] / pair[False][1]) - 1)
    small, large = stalled(proxy, 200, 200_000), stalled(proxy, 65_536, 4_000)

    def rates(pairs):
        return " → ".join(f"{median(pairs, lambda pair: pair[has_tap][0]):,.0f}/s" for has_tap in (False, True))

    lost = sum(pair["lost"] for pair in fixed)
    print("| measurement | without → with a tap | cost |\n|---|---|---|")
    print(f"| messages as fast as they are answered | {rates(full)} | {cost:.1f} % |")
    print(f"| messages at {RATE:,} a second | {rates(fixed)} | {reached:.1f} % |")
    for name, at in (("worker thread", 1), ("rest of the process", 2)):
        values = " → ".join(f"{100 * median(fixed, lambda pair: pair[has_tap][at]):.0f} %" for has_tap in (False, True))
        print(f"| CPU of the {name} at {RATE:,} a second | {values} of a core | {worker:.1f} % |" if at == 1 else f"| CPU of the {name} | {values} of a core | |")
    print(f"| lines that the reader lost at {RATE:,} a second | {lost:,} | |")
    for name, (grown, missing) in (("200 B", small), ("64 KiB", large)):
        print(f"| tap that does not read, messages of {name} | memory grows by {grown:,} KiB | {missing} messages |")
    is_good = reached <= COST_MAX and max(small[0], large[0]) <= MEMORY_MAX and small[1] + large[1] == 0
    if cost > COST_MAX:
        print(f"as fast as possible, the tap costs {cost:.1f} %: the reader takes CPU time too", file=sys.stderr)
    return 0 if is_good else 1


main()
