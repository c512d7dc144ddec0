#!/usr/bin/env python3
"""Counts the instructions that the proxy executes for one message or one session, with callgrind.

usage: benches/callgrind.py TOWLINE [--check | --write | --centres | --functions [COUNT] | --calls PATTERN | --misses]
       [SCENARIO...]

Counts are almost the same on a busy machine and on an idle one, so they show a regression that a time would hide. This
script is the client and the upstream at once. In one round, each client sends its messages in one write, the upstream
reads all of them and answers them in one write per connection, and the clients read all answers. Each scenario runs twice,
with N and 2N rounds; the difference divided by the messages in N rounds is the cost of one message there and back.
Start, handshakes and end are in both runs, so they cancel out. In the scenario `churn`, each round opens sessions, exchanges
one message in each, and closes them, so the result is the cost of a session. The scenarios `d`, `e1` and `e2` have larger
messages and no baseline, and run only by name: how many bytes the proxy finds at once depends on the kernel.

  --check      compare with benches/callgrind.json, and fail if a count exceeds it by more than the tolerance there
  --write      write the counts to benches/callgrind.json
  --centres    also list the cost of each part of the proxy, by the names of functions
  --functions  also list the functions with the highest own cost per message (30, or COUNT)
  --calls      also list how often the functions are called per message whose names match the regular expression
  --misses     also count the lines of memory that are not in a cache of 1 MiB (a simulation, which takes twice as long)

Build the program with `cargo build --locked --profile profiling`. Without valgrind, nothing is counted and the exit
status is 0.

For large blocks, the memcpy and memset of glibc use one instruction that repeats itself. Callgrind counts each repetition,
so that a copied byte would count as an instruction, although the processor moves many at once. The thresholds in `COPYING`
make them use the vector instructions that they use for small blocks. Another libc ignores them.
"""

import argparse, base64, hashlib, json, os, re, shutil, signal, socket, subprocess, sys, tempfile, time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

HERE = os.path.dirname(os.path.abspath(__file__))
BASELINE = os.path.join(HERE, "callgrind.json")
DEADLINE = 120
# name: connections, messages in flight of each, bytes of a message, rounds in the shorter run
SCENARIOS = {"b": (100, 1, 64, 20), "c": (100, 32, 64, 4), "s1k": (100, 8, 1024, 6), "n1000": (1000, 1, 64, 4),
             "churn": (16, 1, 64, 10)}
UNCHECKED = {"d": (100, 8, 4096, 4), "e1": (10, 4, 65536, 4), "e2": (10, 4, 1 << 20, 2)}
# The number of bytes that the buffers of a socket hold in any case.
FITTING = 64 * 1024
# A first-level cache as in most servers, and a last-level cache of which other programs use the rest.
CACHES = ["--cache-sim=yes", "--I1=32768,8,64", "--D1=32768,8,64", "--LL=1048576,16,64"]
# The parts of the proxy, by the names of functions. The first match counts.
CENTRES = {
    "frames to messages": r"decoder|Decoder|wire::burst|Header::parse|apply_mask|bytes_mut|ReadBuffer|poll_next|core::slice",
    "messages to events": r"poll_event|Channel<S,T>::decode|Inbound|decode_text|Budget|Value::size|Data::size",
    "session": r"session|[Ll]edger|[Tt]racker|sequencer|Delivery",
    "connector": r"connector|exchange",
    "events to frames": r"Outbound|encode|outbox|push_event|rand|chacha|Link<S,T>::push|poll_flush|LocalKey|call_mut",
    "copies and allocations": r"^__mem|malloc|free|realloc|calloc|alloc::|rdl_|unlink_chunk|shared_v_drop|drop_in_place",
    "rest": "",
}
COPYING = ":".join(f"glibc.cpu.x86_rep_{name}_threshold={1 << 40}" for name in ("movsb", "stosb"))
MASK = b"\x12\x34\x56\x78"
# Close frames with the code 1000, of a server and of a client.
CLOSE = b"\x88\x02\x03\xe8"
CLOSE_MASKED = b"\x88\x82" + MASK + bytes(byte ^ key for byte, key in zip(CLOSE[2:], MASK))


def payload(connection, size):
    return f"message of connection {connection} ".ljust(size, ".").encode()


def frame(data, mask):
    """A text frame in the shortest encoding."""
    if len(data) < 126:
        length = len(data).to_bytes(1)
    else:
        length = b"\x7e" + len(data).to_bytes(2) if len(data) < 1 << 16 else b"\x7f" + len(data).to_bytes(8)
    if not mask:
        return b"\x81" + length + data
    key = int.from_bytes((mask * (len(data) // 4 + 1))[: len(data)])
    masked = (int.from_bytes(data) ^ key).to_bytes(len(data))
    return b"\x81" + bytes([length[0] | 0x80]) + length[1:] + mask + masked


def unmasked(data, size, count):
    """The frames without mask and key. They have the same header otherwise."""
    step = len(frame(b"." * size, MASK))
    header = step - size - 4
    frames = []
    for at in range(0, step * count, step):
        one = data[at : at + step]
        mask = one[header : header + 4]
        key = int.from_bytes((mask * (size // 4 + 1))[:size])
        body = (int.from_bytes(one[header + 4 :]) ^ key).to_bytes(size)
        frames.append(one[:1] + bytes([one[1] & 0x7F]) + one[2:header] + body)
    return b"".join(frames)


def receive(sock, count):
    data = bytearray()
    while len(data) < count:
        piece = sock.recv(count - len(data))
        if not piece:
            sys.exit("the proxy ended a connection")
        data += piece
    return bytes(data)


def head(sock):
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        data += receive(sock, 1)
    return data.decode()


def accept(server):
    """An upstream connection, after its handshake."""
    sock, _ = server.accept()
    sock.settimeout(DEADLINE)
    key = re.search(r"(?i)sec-websocket-key: *(\S+)", head(sock)).group(1)
    digest = hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    sock.sendall(f"{answer}Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}\r\n\r\n".encode())
    return sock


def connect(port, process):
    """A client's socket. Waits until the proxy listens."""
    start = time.monotonic()
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), DEADLINE)
        except ConnectionRefusedError:
            if process.poll() is not None or time.monotonic() - start > DEADLINE:
                sys.exit("the proxy does not listen")
            time.sleep(0.05)


def open_client(port, server, process):
    client = connect(port, process)
    client.sendall(
        f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    upstream = accept(server)
    if " 101 " not in head(client):
        sys.exit("the proxy refuses the handshake")
    for sock in (client, upstream):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client, upstream


def send_all(process, sends):
    """Sends while the proxy is stopped, so that it finds all sockets ready at once, in each run."""
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
    for sock, data in sends:
        sock.sendall(data)
    process.send_signal(signal.SIGCONT)


def send_meanwhile(senders, sends):
    """Sends by threads while the proxy runs, because the buffers of the sockets do not hold all messages."""
    for sock, data in sends:
        senders.submit(sock.sendall, data)


def run_rounds(process, pairs, window, size, rounds):
    with ThreadPoolExecutor(len(pairs)) as senders:
        fits = window * size <= FITTING
        send = partial(send_all, process) if fits else partial(send_meanwhile, senders)
        exchange(send, pairs, window, size, rounds)


def exchange(send, pairs, window, size, rounds):
    requests = [frame(payload(at, size), MASK) * window for at in range(len(pairs))]
    replies = [frame(payload(at, size), b"") * window for at in range(len(pairs))]
    clients, upstreams = zip(*pairs)
    for _ in range(rounds):
        send(zip(clients, requests))
        for upstream, request, reply in zip(upstreams, requests, replies):
            if unmasked(receive(upstream, len(request)), size, window) != reply:
                sys.exit("the upstream got another message")
        send(zip(upstreams, replies))
        for client, reply in zip(clients, replies):
            if receive(client, len(reply)) != reply:
                sys.exit("the client got another message")


def run_churn(process, open_pair, connections, size, rounds):
    for _ in range(rounds):
        pairs = [open_pair() for _ in range(connections)]
        run_rounds(process, pairs, 1, size, 1)
        close_sessions(process, pairs)


def close_sessions(process, pairs):
    """Closes sessions by their clients. Each server ends its TCP connection first."""
    send_all(process, [(client, CLOSE_MASKED) for client, _ in pairs])
    for _, upstream in pairs:
        receive(upstream, len(CLOSE_MASKED))
    send_all(process, [(upstream, CLOSE) for _, upstream in pairs])
    for client, upstream in pairs:
        upstream.close()
        receive(client, len(CLOSE))
        while client.recv(4096):
            pass
        client.close()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def count(program, name, rounds, folder, extra):
    """Runs the scenario. `extra`: more arguments of callgrind. Returns the file with the counts."""
    connections, window, size, _ = (SCENARIOS | UNCHECKED)[name]
    port, out = free_port(), os.path.join(folder, f"out.{rounds}")
    with socket.create_server(("127.0.0.1", 0), backlog=connections) as server:
        server.settimeout(DEADLINE)
        environment = {
            "TOWLINE__LISTENER__WS__BIND": f"127.0.0.1:{port}",
            "TOWLINE__UPSTREAM__ECHO__URL": f"ws://127.0.0.1:{server.getsockname()[1]}",
            # A run with many connections takes longer than the default, and pings would be counted.
            "TOWLINE__LISTENER__WS__PING_INTERVAL": "never",
            "TOWLINE__UPSTREAM__ECHO__PING_INTERVAL": "never",
            "GLIBC_TUNABLES": COPYING,
        }
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", *extra, program]
        command += ["run", "--config", os.path.join(HERE, "passthrough.toml")]
        with open(os.path.join(folder, "log"), "wb") as log:
            process = subprocess.Popen(command, env=os.environ | environment, stdout=log, stderr=log)
        try:
            open_pair = lambda: open_client(port, server, process)
            if name == "churn":
                run_churn(process, open_pair, connections, size, rounds)
            else:
                pairs = [open_pair() for _ in range(connections)]
                run_rounds(process, pairs, window, size, rounds)
                close_sessions(process, pairs)
            process.send_signal(signal.SIGTERM)
            process.wait(DEADLINE)
        finally:
            process.kill()
            process.wait()
    return out


def totals(out):
    """The sums of all events that callgrind counts, by name."""
    with open(out) as lines:
        names = next(line.split()[1:] for line in lines if line.startswith("events:"))
        sums = next(line.split()[1:] for line in lines if line.startswith("totals:"))
    return dict(zip(names, map(int, sums)))


def calls(out, pattern):
    """The number of calls of each function whose name matches. A call that the compiler inlines is none."""
    names, called, counts = {}, "", {}
    with open(out) as lines:
        for line in lines:
            if named := re.match(r"c?fn=\((\d+)\)(?: (.*))?$", line):
                number, name = named.groups()
                called = names.setdefault(number, re.sub(r"'\d+$|::h[0-9a-f]{16}", "", name or ""))
            elif line.startswith("calls=") and re.search(pattern, called):
                counts[called] = counts.get(called, 0) + int(line[6:].split()[0])
    return counts


def each(before, after, messages):
    """The difference of two runs for one message, the highest first."""
    costs = {name: (count - before.get(name, 0)) / messages for name, count in after.items()}
    return sorted(costs.items(), key=lambda item: -item[1])


def functions(out):
    """The own cost of each function."""
    command = ["callgrind_annotate", "--threshold=100", "--show=Ir", "--auto=no", out]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    costs = {}
    for cost, name in re.findall(r"^ *([\d,]+) (?:\([ \d.]+%\) +)?\S*?:(.+?)(?: \[.*\])?$", text, re.M):
        name = re.sub(r"'\d+$|::h[0-9a-f]{16}", "", name)
        costs[name] = costs.get(name, 0) + int(cost.replace(",", ""))
    return costs


def by_centre(costs):
    sums = dict.fromkeys(CENTRES, 0)
    for name, cost in costs.items():
        sums[next(centre for centre, names in CENTRES.items() if re.search(names, name))] += cost
    return sums


def measure(program, name, options):
    connections, window, _, rounds = (SCENARIOS | UNCHECKED)[name]
    messages = connections * window * rounds
    with tempfile.TemporaryDirectory() as folder:
        extra = CACHES if options.misses else []
        outs = [count(program, name, factor * rounds, folder, extra) for factor in (1, 2)]
        costs = each(*map(functions, outs), messages) if options.functions or options.centres else []
        for function, cost in costs[: options.functions or 0]:
            print(f"{cost:10.1f}  {function}")
        for centre, cost in by_centre(dict(costs)).items() if options.centres else ():
            print(f"{cost:10.0f}  {centre}")
        if options.calls:
            for function, times in each(*(calls(out, options.calls) for out in outs), messages):
                if times >= 0.01:
                    print(f"{times:10.2f}  {function}")
        sums = dict(each(*map(totals, outs), messages))
        if options.misses:
            near, far = (sum(sums[cache + kind] for kind in ("r", "w")) for cache in ("D1m", "DLm"))
            print(f"{near:10.1f}  lines not in the first-level cache, {far:.1f} of them not in the last-level cache")
        return round(sums["Ir"])


def parsed():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].split("\n\n")[0])
    parser.add_argument("program")
    parser.add_argument("scenarios", nargs="*", choices=[*SCENARIOS, *UNCHECKED, []], metavar="SCENARIO")
    for name in ("--check", "--write", "--centres", "--misses"):
        parser.add_argument(name, action="store_true")
    parser.add_argument("--functions", nargs="?", const=30, type=int, metavar="COUNT")
    parser.add_argument("--calls", metavar="PATTERN")
    return parser.parse_args()


def main():
    options = parsed()
    if not shutil.which("valgrind"):
        print("callgrind: SKIPPED: no valgrind here (apt-get install valgrind)")
        return
    program = os.path.abspath(options.program)
    names = options.scenarios or list(SCENARIOS)
    counts = {}
    for name in names:
        counts[name] = measure(program, name, options)
        print(f"{name}: {counts[name]} instructions per {'session' if name == 'churn' else 'message'}", flush=True)
    with open(BASELINE) as file:
        baseline = json.load(file)
    if options.write:
        baseline["instructions_per_message"] |= counts
        with open(BASELINE, "w") as file:
            file.write(json.dumps(baseline, indent=2) + "\n")
    if options.check and not all([is_within(baseline, name, counts[name]) for name in names]):
        sys.exit(1)


def is_within(baseline, name, counted):
    expected, tolerance = baseline["instructions_per_message"].get(name), baseline["tolerance_percent"]
    if expected is None:
        print(f"{name}: no baseline; add it with --write")
        return True
    change = 100 * (counted - expected) / expected
    if change < -tolerance:
        print(f"{name}: {-change:.1f} % less than the baseline; lower it with --write")
    if change > tolerance:
        print(f"{name}: {change:.1f} % more than the baseline of {expected}, tolerance {tolerance} %")
    return change <= tolerance


main()
