#!/usr/bin/env python3
"""Measures the curves of docs/performance.md beside nginx and HAProxy, with the load generator `wsbench`.

usage: benches/curves.py WSBENCH TOWLINE [--seconds SECONDS]

Writes docs/figures/data/curves.csv, one line for each measurement (figure,subject,x,value), and draws the figures from
it with docs/figures/curves.awk. The subjects run on one core, load and echo upstream on another. A round measures each
point of each curve once, in random order. Rounds follow until SECONDS are over (300), but at least one is complete; a
later one that does not fit is cut short. The curves show medians. `--draw` alone draws the figures again.

  cost-size        CPU time of the proxy for one message, by its size
  cost-sessions    the same, by the number of sessions
  cost-pipelines   the same, by the number of incoming pipelines; Towline only
  memory-sessions  resident memory, by the number of idle sessions

Needs nginx, haproxy, and 20,000 open files.
"""

import json, os, random, resource, signal, socket, subprocess, sys, tempfile, time

from proxies import haproxy, nginx, written

HERE = os.path.dirname(os.path.abspath(__file__))
FIGURES = os.path.join(HERE, "..", "docs", "figures")
DATA = os.path.join(FIGURES, "data", "curves.csv")
PROXY_CORE, LOAD_CORE = "0", "1"
SUBJECTS = ["Towline", "nginx", "HAProxy"]
NAMES = ["cost-size", "cost-sessions", "cost-pipelines", "memory-sessions"]
SIZES = [64, 256, 1024, 4096, 16384, 65536, 262144, 1048576]
SESSIONS = [10, 100, 1000, 4000, 9000]
IDLE = [1000, 3000, 5000, 7000, 9000]
SESSIONS_MAX = 9900  # for nginx and HAProxy
HOST = "127.0.0.1"
PIPELINES = [0, 1, 2, 4, 8, 16]
PASS = "select event from in into out;"
# A program that has to look at each event, and passes it.
LOOK = 'select event from in where event != "" into out;'

TOWLINE = """log.level = "warn"
admin.bind = ""
server.workers = 1
[listener.ws]
bind = "127.0.0.1:{port}"
[upstream.echo]
url = "ws://127.0.0.1:{echo}"
[pipeline.pass]
source = '{passing}'
{pipelines}
[[route]]
upstream = "echo"
origins = ["*"]
incoming = [{incoming}]
outgoing = ["pass"]
errors = ["pass"]
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait(port, process):
    end = time.monotonic() + 15
    while time.monotonic() < end and process.poll() is None:
        try:
            return socket.create_connection(("127.0.0.1", port), 0.3).close()
        except OSError:
            time.sleep(0.02)
    sys.exit(f"nothing listens on {port}")


class Program:
    """A process in a group of its own, pinned to a core."""

    def __init__(self, core, args, port, folder):
        self.port = port
        log = open(folder + "/log", "ab")
        self.process = subprocess.Popen(["taskset", "-c", core] + args, stdout=log, stderr=log, start_new_session=True)
        wait(port, self.process)

    def stop(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def towline_settings(port, echo, pipelines):
    names = [f"look{number}" for number in range(pipelines)]
    texts = "\n".join(f"[pipeline.{name}]\nsource = '{LOOK}'" for name in names)
    incoming = ", ".join(f'"{name}"' for name in names)
    return TOWLINE.format(port=port, echo=echo, passing=PASS, pipelines=texts, incoming=incoming)


def start(subject, towline, echo, folder, pipelines):
    port = free_port()
    if subject == "nginx":
        args = nginx(folder, HOST, port, echo, SESSIONS_MAX)
    elif subject == "HAProxy":
        args = haproxy(folder, HOST, port, echo, SESSIONS_MAX)
    else:
        args = [towline, "run", "--config", written(folder, "towline.toml", towline_settings(port, echo, pipelines))]
    return Program(PROXY_CORE, args, port, folder)


def points():
    """What one round measures: figure, subject, x, pipelines, and the command of wsbench."""
    load, long_load = "load --warmup 0.2 --seconds 0.6", "load --warmup 0.5 --seconds 1.5"
    for subject in SUBJECTS:
        for x in SIZES:
            yield "cost-size", subject, x, 0, f"{load if x < 100_000 else long_load} --connections 20 --window 4 --size {x}"
        for x in SESSIONS:
            yield "cost-sessions", subject, x, 0, f"{load if x < 2000 else long_load} --connections {x} --window 1 --size 64"
        for x in IDLE:
            yield "memory-sessions", subject, x, 0, f"idle --connections {x} --exchange --hold 0.2 --sources 4"
    for x in PIPELINES:
        yield "cost-pipelines", "Towline", x, x, f"{load} --connections 100 --window 8 --size 64"


def measure(wsbench, proxy, command):
    """The cost in µs, or the memory in MB; `None` if wsbench fails, as when no message arrives in time."""
    url, pid = f"ws://127.0.0.1:{proxy.port}/", str(proxy.process.pid)
    kind, *args = command.split()
    args = ["taskset", "-c", LOAD_CORE, wsbench, kind, "--url", url, "--json", "--pid", pid, *args]
    done = subprocess.run(args, capture_output=True, text=True, timeout=60)
    if done.returncode:
        print(f"failed: {command}: {done.stderr[-300:].strip()}", file=sys.stderr)
        return None
    result = json.loads(done.stdout.strip().splitlines()[-1])
    return result["rss_open_kib"] / 1024 if kind == "idle" else result["proxy_us_per_msg"]


def rounds(wsbench, towline, seconds):
    """The lines of the file."""
    lines, end, longest = [], time.monotonic() + seconds, 0
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        echo_port = free_port()
        echo = Program(LOAD_CORE, [wsbench, "echo", "--port", str(echo_port)], echo_port, folder)
        try:
            for number in range(1, 1000):
                every = list(points())
                for figure, subject, x, pipelines, command in random.sample(every, len(every)):
                    began = time.monotonic()
                    if number > 1 and began + longest > end:
                        return lines
                    proxy = start(subject, towline, echo_port, folder, pipelines)
                    try:
                        value = measure(wsbench, proxy, command)
                    finally:
                        proxy.stop()
                    if value is not None:
                        lines.append((NAMES.index(figure), SUBJECTS.index(subject), x, f"{value:.3f}"))
                    longest = max(longest, time.monotonic() - began)
                print(f"round {number}: {end - time.monotonic():.0f} s left", flush=True)
                if time.monotonic() > end:
                    return lines
        finally:
            echo.stop()
    return lines


def draw():
    for name in NAMES:
        command = ["awk", "-v", f"figure={name}", "-f", f"{FIGURES}/curves.awk", DATA]
        with open(f"{FIGURES}/{name}.svg", "w") as file:
            subprocess.run(command, stdout=file, check=True)


def main(arguments):
    if arguments == ["--draw"]:
        return draw()
    seconds = float(arguments[3]) if len(arguments) == 4 and arguments[2] == "--seconds" else 300
    if len(arguments) not in (2, 4):
        sys.exit(__doc__)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    wsbench, towline = map(os.path.abspath, arguments[:2])
    lines = sorted(rounds(wsbench, towline, seconds))
    with open(DATA, "w") as file:
        file.write("figure,subject,x,value\n")
        file.writelines(f"{NAMES[name]},{SUBJECTS[subject]},{x},{value}\n" for name, subject, x, value in lines)
    draw()


if __name__ == "__main__":
    main(sys.argv[1:])
