#!/usr/bin/env python3
"""What clients experience when an upstream is killed with messages in flight.

    python3 benches/outage.py --towline target/debug/towline

For nginx, HAProxy, and Towline with `exchange = "request"` and `"stream"`, on a loopback address:

1. start an echo upstream and the proxy, and connect the clients;
2. each client sends a message and awaits its echo, then sends the messages that the upstream does not answer;
3. when the upstream has read them all, kill it (SIGKILL), and write down what each client receives;
4. connect one more client while the upstream is down;
5. start the upstream again, let clients whose connection ended reconnect, and send until each has an echo.

Prints one Markdown table: the one in README.md, without its row of costs, which comes from docs/performance.md.
Needs Python 3.8 or later and nothing else. A proxy that is not installed is left out, with a note on standard error.
"""

import argparse
import base64
import hashlib
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

from proxies import haproxy, nginx, written

HELD = "hold"  # the upstream reads messages that begin with this, and does not answer them
SESSIONS_MAX = 400  # for nginx and HAProxy; needs no more open files than the usual limit of 1024
DEADLINE = 30.0  # seconds that any one step may take

# Proxy and upstream need ports that are known in advance. On Linux every process has a loopback address of its own,
# so that nobody else takes a port between its choice and its use.
HOST = "127.0.0.1" if sys.platform != "linux" else f"127.83.{os.getpid() >> 8 & 0xff}.{os.getpid() & 0x7f | 0x80}"

TOWLINE = """
[admin]
bind = ""
[log]
level = "error"
[listener.ws]
bind = "{host}:{port}"
[upstream.echo]
url = "ws://{host}:{upstream}"
exchange = "{exchange}"
[[route]]
upstream = "echo"
"""


class Ended(Exception):
    """The connection ended without a close frame."""


class Refused(Exception):
    """The handshake was answered with another status than 101."""


class Connection:
    """One side of a WebSocket connection, with blocking reads; enough of RFC 6455 for this script."""

    def __init__(self, sock, masks):
        self.sock, self.masks = sock, masks

    @classmethod
    def open(cls, port):
        sock = socket.create_connection((HOST, port), timeout=DEADLINE)
        key = base64.b64encode(os.urandom(16)).decode()
        sock.sendall(
            f"GET / HTTP/1.1\r\nHost: {HOST}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        status = read_head(sock).split(" ")[1]
        if status != "101":
            sock.close()
            raise Refused(status)
        return cls(sock, masks=True)

    def send(self, text):
        payload = text.encode()
        assert len(payload) < 126
        mask = os.urandom(4) if self.masks else b""
        head = bytes([0x81, len(payload) | (0x80 if self.masks else 0)])
        body = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload)) if self.masks else payload
        self.sock.sendall(head + mask + body)

    def receive(self):
        """The next text message, or a close frame as (code, reason)."""
        while True:
            first, second = self.exactly(2)
            length = second & 0x7F
            if length == 126:
                (length,) = struct.unpack("!H", self.exactly(2))
            mask = self.exactly(4) if second & 0x80 else bytes(4)
            payload = bytes(byte ^ mask[at % 4] for at, byte in enumerate(self.exactly(length)))
            if first & 0x0F == 0x8:
                return int.from_bytes(payload[:2], "big"), payload[2:].decode()
            if first & 0x0F == 0x1:
                return payload.decode()

    def exactly(self, count):
        data = b""
        while len(data) < count:
            try:
                more = self.sock.recv(count - len(data))
            except ConnectionError:
                more = b""
            if not more:
                raise Ended
            data += more
        return data


def read_head(sock):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = sock.recv(1)
        if not byte:
            raise Ended
        head += byte
    return head.decode("latin-1")


# === The upstream: this script, started with --upstream HOST PORT ===


def serve(host, port):
    listening = socket.create_server((host, int(port)), backlog=512)
    print("listening", flush=True)
    while True:
        sock, _ = listening.accept()
        threading.Thread(target=echo, args=(sock,), daemon=True).start()


def echo(sock):
    head = read_head(sock).split("\r\n")
    key = next(line.split(":")[1].strip() for line in head if line.lower().startswith("sec-websocket-key"))
    digest = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
    sock.sendall(
        f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}\r\n\r\n".encode()
    )
    connection = Connection(sock, masks=False)
    try:
        while isinstance(message := connection.receive(), str):
            if message.startswith(HELD):
                # One write, so that lines of two threads do not mix.
                os.write(sys.stdout.fileno(), f"{message}\n".encode())
            else:
                connection.send(message)
    except Ended:
        pass
    sock.close()


class Upstream:
    def __init__(self, port):
        command = [sys.executable, os.path.abspath(__file__), "--upstream", HOST, str(port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "listening\n"

    def await_held(self, count):
        for _ in range(count):
            assert self.process.stdout.readline().startswith(HELD)

    def kill(self):
        self.process.kill()
        self.process.wait()


# === One proxy ===


def command_of(name, folder, port, upstream, towline):
    """The command of a proxy, or None where it is not installed."""
    if name == "nginx":
        command = nginx(folder, HOST, port, upstream, SESSIONS_MAX)
    elif name == "HAProxy":
        command = haproxy(folder, HOST, port, upstream, SESSIONS_MAX)
    else:
        exchange = "request" if "request" in name else "stream"
        text = TOWLINE.format(host=HOST, port=port, upstream=upstream, exchange=exchange)
        command = [towline, "run", "--config", written(folder, "towline.toml", text)]
    return command if shutil.which(command[0]) else None


def retry(action):
    """Repeats until the proxy serves; gives up after DEADLINE."""
    end = time.monotonic() + DEADLINE
    while True:
        try:
            return action()
        except (OSError, Refused, Ended):
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


class Client:
    def __init__(self, port):
        self.port, self.reconnects, self.named, self.end = port, 0, 0, "kept"
        self.connection = retry(lambda: Connection.open(port))

    def outage(self, messages):
        """What arrives because of the kill: error replies, a close frame, or an end without one."""
        try:
            while self.named < messages:
                message = self.connection.receive()
                if isinstance(message, tuple):
                    self.end = f"closed with {message[0]}"
                    return message[1]
                assert "event_id" in json.loads(message), message
                self.named += 1
        except Ended:
            self.end = "cut without close frame"
        return None

    def serve_again(self):
        """Reconnects if need be, and sends until one echo comes."""
        if self.end != "kept":
            self.reconnects += 1
            self.connection = retry(lambda: Connection.open(self.port))
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            self.connection.send("hello")
            if self.connection.receive() == "hello":
                return
            time.sleep(0.05)
        raise TimeoutError("no echo after the upstream is back")


def measure(name, count, messages, towline):
    with tempfile.TemporaryDirectory() as folder:
        port, at = free_ports(2)
        command = command_of(name, folder, port, at, towline)
        if command is None:
            print(f"{name} is not installed: left out", file=sys.stderr)
            return None
        upstream = Upstream(at)
        proxy = subprocess.Popen(command)
        try:
            clients = [Client(port) for _ in range(count)]
            for client in clients:
                client.connection.send("hello")
                assert client.connection.receive() == "hello"
                for number in range(messages):
                    client.connection.send(f"{HELD} {number}")
            upstream.await_held(count * messages)
            upstream.kill()
            reasons = [client.outage(messages) for client in clients]
            late = newcomer(port)
            upstream = Upstream(at)
            for client in clients:
                client.serve_again()
            return summary(clients, reasons, messages, late)
        finally:
            stop(proxy)
            upstream.kill()


def stop(proxy):
    """Towline drains at the first signal, and ends at the second."""
    proxy.terminate()
    try:
        proxy.wait(timeout=0.2)
    except subprocess.TimeoutExpired:
        proxy.terminate()
        proxy.wait()


def newcomer(port):
    try:
        Connection.open(port)
        return "accepted (101)"
    except Refused as refused:
        return f"refused ({refused})"


def summary(clients, reasons, messages, late):
    ends = sorted({client.end for client in clients})
    counts = [f"{sum(client.end == end for client in clients)} of {len(clients)} {end}" for end in ends]
    named = sum(client.named for client in clients)
    fate = f"{named} of {len(clients) * messages} reported by id" if named else "nothing reported"
    said = [reason for reason in reasons if reason]
    if said:
        fate = f"the last one sent is named in {len(said)} close reasons: `{said[0]}`"
    return [", ".join(counts), fate, str(sum(client.reconnects for client in clients)), late]


def free_ports(count):
    sockets = [socket.create_server((HOST, 0)) for _ in range(count)]
    ports = [sock.getsockname()[1] for sock in sockets]
    for sock in sockets:
        sock.close()
    return ports


def main():
    parser = argparse.ArgumentParser(description="What clients experience when an upstream is killed.")
    parser.add_argument("--towline", default="target/release/towline", help="the program to measure")
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--messages", type=int, default=3, help="messages in flight of each client")
    parser.add_argument("--upstream", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.upstream:
        serve(*options.upstream)
    names = ["nginx", "HAProxy", "Towline, `request`", "Towline, `stream`"]
    columns = {name: measure(name, options.clients, options.messages, options.towline) for name in names}
    columns = {name: cells for name, cells in columns.items() if cells}
    print(f"| | {' | '.join(columns)} |")
    print("|---" * (len(columns) + 1) + "|")
    rows = ["client connections", "messages in flight", "reconnects by clients", "new client during the outage"]
    for at, row in enumerate(rows):
        print(f"| {row} | {' | '.join(cells[at] for cells in columns.values())} |")


if __name__ == "__main__":
    main()
