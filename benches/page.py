#!/usr/bin/env python3
"""What the live page costs with many sessions.

    python3 benches/page.py --towline target/release/towline --sessions 10000

On a loopback address: starts the proxy with a route that answers each message itself, connects the clients, and
measures

* while half of them send a message a second: the time of a page of the list of sessions, sorted and filtered;
* while they are idle: the CPU time of the process without viewers of the feed, with one, and with sixteen, and the
  bytes that one viewer receives a second.

Prints one Markdown table: the one in docs/page.md. Needs Python 3.8 or later and nothing else, and as many open files
as there are sessions (`ulimit -n`).
"""

import argparse
import base64
import json
import os
import re
import selectors
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

WATCH = 10.0  # seconds of each measurement
LISTS = 30  # requests for the list

SETTINGS = """
[admin]
bind = "127.0.0.1:0"
[server]
max_sessions = {sessions}
max_handshakes = 1024
[listener.ws]
bind = "127.0.0.1:0"
max_sessions_per_address = {sessions}
[pipeline.answer]
source = "select event from in into reply;"
[[route]]
incoming = ["answer"]
"""


def handshake(port, path="/"):
    sock = socket.create_connection(("127.0.0.1", port))
    key = base64.b64encode(os.urandom(16)).decode()
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
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


def frame(text):
    return struct.pack("!BB4s", 0x81, 0x80 | len(text), b"\0\0\0\0") + text.encode()


class Proxy:
    def __init__(self, towline, sessions):
        self.folder = tempfile.TemporaryDirectory()
        file = os.path.join(self.folder.name, "towline.toml")
        with open(file, "w") as settings:
            settings.write(SETTINGS.format(sessions=sessions))
        env = {**os.environ, "RUST_LOG": "error,run=info"}
        self.process = subprocess.Popen([towline, "run", "--config", file], stderr=subprocess.PIPE, text=True, env=env)
        self.ports = {}
        while len(self.ports) < 2:
            line = self.process.stderr.readline()
            if not line:
                raise SystemExit("the proxy does not start")
            found = re.search(r"listening (listener=ws|admin) address=127\.0\.0\.1:(\d+)", line)
            if found:
                self.ports[found[1]] = int(found[2])
        threading.Thread(target=self.process.stderr.read, daemon=True).start()

    def cpu(self):
        """CPU seconds of the process. The clients are idle, so the rest of it costs next to nothing."""
        with open(f"/proc/{self.process.pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Viewers:
    """Viewers of the feed, which confirm each frame. Counts the bytes that they receive."""

    def __init__(self, port, count):
        self.bytes = 0
        self.stopped = False
        self.selector = selectors.DefaultSelector()
        self.socks = [handshake(port, "/api/feed") for _ in range(count)]
        for sock in self.socks:
            self.selector.register(sock, selectors.EVENT_READ)
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def read(self):
        while not self.stopped:
            for key, _ in self.selector.select(0.2):
                self.bytes += len(key.fileobj.recv(1 << 20))
                key.fileobj.sendall(frame("next"))

    def stop(self):
        self.stopped = True
        self.thread.join()
        for sock in self.socks:
            sock.close()


def traffic(clients, stopped):
    """Half of the clients send a message a second."""
    talking = clients[::2]
    group = max(1, len(talking) // 20)
    while not stopped.is_set():
        for at in range(0, len(talking), group):
            for sock in talking[at : at + group]:
                sock.send(frame("hello"))
            stopped.wait(0.05)
        for sock in talking:
            try:
                sock.recv(1 << 16, socket.MSG_DONTWAIT)
            except OSError:
                pass  # nothing there, or the end of the measurement


def lists(port):
    times = []
    for _ in range(LISTS):
        start = time.perf_counter()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/sessions?sort=received&state=open&limit=50") as answer:
            found = json.load(answer)
        times.append(time.perf_counter() - start)
        assert found["sessions"]
    return sorted(times)


def watch(proxy, viewers):
    port = proxy.ports["admin"]
    seen = Viewers(port, viewers) if viewers else None
    time.sleep(2)
    cpu, count = proxy.cpu(), seen.bytes if seen else 0
    time.sleep(WATCH)
    cpu, count = proxy.cpu() - cpu, (seen.bytes if seen else 0) - count
    if seen:
        seen.stop()
    return 100 * cpu / WATCH, count / WATCH / 1000 / max(1, viewers)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--towline", default="target/release/towline")
    arguments.add_argument("--sessions", type=int, default=10_000)
    options = arguments.parse_args()
    proxy = Proxy(options.towline, options.sessions)
    stopped = threading.Event()
    try:
        clients = [handshake(proxy.ports["listener=ws"]) for _ in range(options.sessions)]
        print(f"{len(clients)} sessions", file=sys.stderr)
        thread = threading.Thread(target=traffic, args=(clients, stopped))
        thread.start()
        times = lists(proxy.ports["admin"])
        stopped.set()
        thread.join()
        print("| with {:,} sessions | |\n|---|---|".format(options.sessions))
        print(f"| a page of the list, sorted and filtered | median {1000 * times[len(times) // 2]:.0f} ms, slowest {1000 * times[-1]:.0f} ms |")
        for viewers in (0, 1, 16):
            cpu, rate = watch(proxy, viewers)
            received = f", {rate:.1f} KB/s to each" if viewers else ""
            print(f"| {viewers} viewers | {cpu:.2f} % of a core{received} |")
    finally:
        stopped.set()
        proxy.process.kill()


main()
