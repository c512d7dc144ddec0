#!/usr/bin/env python3
"""Measures the cost of TLS beside nginx and HAProxy, with the harness wsbench.

usage: benches/tls.py WSBENCH TOWLINE

Each subject accepts TLS 1.3 with the same ECDSA certificate and passes the messages on to a plain echo server. The
load generator speaks no TLS, so an HAProxy between it and the subject encrypts. That process runs on the core of the
load, and does not count. The subjects run on another core, one after another in random order, several times; the
table has medians. Needs nginx, haproxy and openssl.
"""

import json, os, random, statistics, subprocess, sys, tempfile, time

from curves import HOST, Program, free_port
from proxies import haproxy, nginx, written

PROXY_CORE, LOAD_CORE = "0", "1"
REPETITIONS, SECONDS, IDLE, SESSIONS_MAX = 3, "1", 1000, 9000
SCENARIOS = {
    "64 B, one at a time": "load --connections 100 --window 1 --size 64",
    "64 B, 32 at a time": "load --connections 100 --window 32 --size 64",
    "4 KiB, 8 at a time": "load --connections 100 --window 8 --size 4096",
    "64 KiB, 4 at a time": "load --connections 10 --window 4 --size 65536",
    "new sessions": "churn --concurrency 16 --size 64",
    "idle": f"idle --connections {IDLE} --exchange --hold 2",
}
KEYS = {"load": "proxy_us_per_msg", "churn": "proxy_us_per_session", "idle": "rss_per_session_kib"}

TOWLINE = """log.level = "warn"
admin.bind = ""
server.workers = 1
[listener.ws]
bind = "127.0.0.1:{port}"
tls.certificates = [{{ cert = "{both}", key = "{both}" }}]
max_message = "64MiB"
max_frame = "64MiB"
[upstream.echo]
url = "ws://127.0.0.1:{echo}/"
max_message = "64MiB"
max_frame = "64MiB"
[[route]]
upstream = "echo"
origins = ["*"]
"""


def start(subject, towline, echo, folder):
    """Starts a subject, and the process that encrypts. Returns both, and the port for plain load."""
    port, plain, both = free_port(), free_port(), f"{folder}/both.pem"
    if subject == "nginx":
        args = nginx(folder, HOST, port, echo, SESSIONS_MAX, certificate=both)
    elif subject == "HAProxy":
        args = haproxy(folder, HOST, port, echo, SESSIONS_MAX, bind=f"ssl crt {both} ssl-min-ver TLSv1.3")
    else:
        args = [towline, "run", "--config", written(folder, "towline.toml", TOWLINE.format(port=port, echo=echo, both=both))]
    proxy = Program(PROXY_CORE, args, port, folder)
    args = haproxy(folder, HOST, plain, port, SESSIONS_MAX, mode="tcp", server="ssl verify none ssl-min-ver TLSv1.3")
    encrypting = Program(LOAD_CORE, args, plain, folder)
    time.sleep(0.3)
    return proxy, encrypting, plain


def measure(wsbench, proxy, plain, scenario):
    kind, *args = scenario.split()
    seconds = [] if kind == "idle" else ["--seconds", SECONDS]
    url, pid = f"ws://127.0.0.1:{plain}/", str(proxy.process.pid)
    args = ["taskset", "-c", LOAD_CORE, wsbench, kind, "--url", url, "--json", "--pid", pid, *args, *seconds]
    done = subprocess.run(args, capture_output=True, text=True, timeout=60)
    if done.returncode:
        sys.exit(f"{scenario}: {done.stderr[-300:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])[KEYS[kind]]


def main(wsbench, towline):
    subjects = ["towline", "nginx", "HAProxy"]
    results = {(name, subject): [] for name in SCENARIOS for subject in subjects}
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
             "-subj", "/CN=bench", "-addext", "subjectAltName=DNS:localhost", "-keyout", folder + "/key.pem", "-out",
             folder + "/cert.pem"], check=True, capture_output=True)
        both = "".join(open(f"{folder}/{name}.pem").read() for name in ("cert", "key"))
        os.chmod(written(folder, "both.pem", both), 0o644)
        echo = free_port()
        server = Program(LOAD_CORE, [wsbench, "echo", "--port", str(echo)], echo, folder)
        try:
            for name, scenario in SCENARIOS.items():
                for _ in range(REPETITIONS):
                    for subject in random.sample(subjects, len(subjects)):
                        proxy, encrypting, plain = start(subject, towline, echo, folder)
                        try:
                            results[name, subject].append(measure(wsbench, proxy, plain, scenario))
                        finally:
                            encrypting.stop()
                            proxy.stop()
        finally:
            server.stop()
    print("| scenario | " + " | ".join(subjects) + " | to nginx | to HAProxy |")
    print("|---" * 6 + "|")
    for name in SCENARIOS:
        ours, nginx, haproxy = (statistics.median(results[name, subject]) for subject in subjects)
        print(f"| {name} | {ours:.2f} | {nginx:.2f} | {haproxy:.2f} | {ours / nginx:.2f} | {ours / haproxy:.2f} |")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
