#!/usr/bin/env python3
"""Measures two worker threads against one, with the load generator `wsbench`: throughput, cost and fairness.

usage: benches/workers.py WSBENCH TOWLINE [--repetitions COUNT]

Nothing is pinned: two threads, load and echo upstream share all cores. With as many cores as programs, the throughput of
two threads is higher; on two cores, it shows what the second thread costs. Runs with one thread and with two alternate;
the table has medians (of 5).

- `busiest` is the CPU time of the busiest worker thread relative to the mean of both: 1.00 is even, 2.00 is all on one.
- `connections` are those of each thread while the load runs, from `towline_worker_connections`.
"""

import json, os, re, signal, statistics, subprocess, sys, tempfile, time, urllib.request

from curves import free_port, wait

SCENARIOS = {
    "100 connections, 1 in flight, 64 B": "load --connections 100 --window 1 --size 64 --seconds 2",
    "100 connections, 32 in flight, 64 B": "load --connections 100 --window 32 --size 64 --seconds 2",
    "10 connections, 4 in flight, 64 KiB": "load --connections 10 --window 4 --size 65536 --seconds 2",
    "new sessions, 16 at a time": "churn --concurrency 16 --size 64 --seconds 2",
}
SETTINGS = """log.level = "warn"
admin.bind = "127.0.0.1:{admin}"
server.workers = {workers}
[listener.ws]
bind = "127.0.0.1:{port}"
[upstream.echo]
url = "ws://127.0.0.1:{echo}"
[[route]]
upstream = "echo"
origins = ["*"]
"""


def cpu_by_thread(pid):
    times = {}
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat") as file:
            times[task] = int(file.read().split()[0])
    return times


def connections(admin):
    with urllib.request.urlopen(f"http://127.0.0.1:{admin}/metrics", timeout=10) as answer:
        lines = re.findall(r"^towline_worker_connections\{.*\} (\S+)$", answer.read().decode(), re.M)
    return [int(float(count)) for count in lines]


def measure(wsbench, towline, echo, workers, scenario):
    """Throughput, cost, 99th percentile of the latency, share of the busiest thread, connections of each thread."""
    with tempfile.TemporaryDirectory() as folder:
        port, admin = free_port(), free_port()
        with open(f"{folder}/settings.toml", "w") as file:
            file.write(SETTINGS.format(port=port, admin=admin, echo=echo, workers=workers))
        proxy = subprocess.Popen([towline, "run", "--config", f"{folder}/settings.toml"])
        try:
            wait(port, proxy)
            before = cpu_by_thread(proxy.pid)
            args = [wsbench, *scenario.split(), "--url", f"ws://127.0.0.1:{port}/", "--json", "--pid", str(proxy.pid)]
            load = subprocess.Popen(args, stdout=subprocess.PIPE, text=True)
            time.sleep(1.2)
            spread = connections(admin)
            text = load.communicate(timeout=60)[0]
            after = cpu_by_thread(proxy.pid)
        finally:
            proxy.send_signal(signal.SIGKILL)
            proxy.wait()
    if load.returncode:
        sys.exit(f"failed: {scenario}")
    result = json.loads(text.strip().splitlines()[-1])
    used = sorted((time - before.get(task, 0) for task, time in after.items()), reverse=True)[:workers]
    rate, cost = ("msgs_per_s", "proxy_us_per_msg") if "msgs_per_s" in result else ("sessions_per_s", "proxy_us_per_session")
    return result[rate], result[cost], result["p99_us"], used[0] * workers / sum(used), spread


def main(wsbench, towline, repetitions):
    echo = free_port()
    server = subprocess.Popen([wsbench, "echo", "--port", str(echo)])
    try:
        wait(echo, server)
        print("| scenario | workers | per second | CPU µs each | p99 µs | busiest | connections |")
        print("|---|---|---|---|---|---|---|")
        for name, scenario in SCENARIOS.items():
            runs = {1: [], 2: []}
            for _ in range(repetitions):
                for workers in runs:
                    runs[workers].append(measure(wsbench, towline, echo, workers, scenario))
            one = [statistics.median(column) for column in list(zip(*runs[1]))[:4]]
            for workers, results in runs.items():
                rate, cost, p99, busiest = (statistics.median(column) for column in list(zip(*results))[:4])
                spread = ", ".join(map(str, results[-1][4]))
                print(
                    f"| {name} | {workers} | {rate:.0f} ({rate / one[0]:.2f}) | {cost:.2f} ({cost / one[1]:.2f}) |"
                    f" {p99:.0f} ({p99 / one[2]:.2f}) | {busiest:.2f} | {spread} |", flush=True)
    finally:
        server.send_signal(signal.SIGKILL)
        server.wait()


if __name__ == "__main__":
    if len(sys.argv) not in (3, 5):
        sys.exit(__doc__)
    main(*map(os.path.abspath, sys.argv[1:3]), int(sys.argv[4]) if len(sys.argv) == 5 else 5)
