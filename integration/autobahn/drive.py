"""Runs the cases of Autobahn|Testsuite against the proxy, and compares with the expected results.

listener:   wstest fuzzingclient -> proxy -> echo server of this file
connector:  echo client of this file -> proxy -> wstest fuzzingserver

Started by run.sh, which says what the options are. Python 3.11 or later.
"""

import argparse
import asyncio
import contextlib
import json
import pathlib
import shutil
import signal
import socket
import sys
import time

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed, WebSocketException

import results

HERE = pathlib.Path(__file__).resolve().parent

# Without 12 and 13: permessage-deflate is not there to be negotiated.
GROUPS = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*"]

# How long, in seconds: a process may take to be ready and to end; a handshake through the proxy (see
# route.toml); the suite to write its reports; one case (the suite gives its own up to 100 s); all cases
# of a side.
READY = 20
HANDSHAKE = 60
REPORT = 120
CASE = 150
SIDE = 1800

# Of the clients and servers here: whatever comes, nothing of their own accord.
PLAIN = {"compression": None, "max_size": None, "ping_interval": None}


class Trouble(Exception):
    """What kept a run from its end, in words."""


def free_port():
    """A port of 127.0.0.1 that nobody has right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def wait_open(port, process, name):
    """Returns when somebody listens on the port."""
    deadline = time.monotonic() + READY
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        if process.returncode is not None:
            raise Trouble(f"{name} ended at once with {process.returncode}")
        if time.monotonic() > deadline:
            raise Trouble(f"{name} does not listen after {READY} s")
        await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def program(log, *command):
    """A process that writes to a log file, and is gone afterwards."""
    with open(log, "wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output, cwd=log.parent
        )
    try:
        yield process
    finally:
        for stop in (process.terminate, process.kill):
            if process.returncode is None:
                stop()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), READY)


@contextlib.asynccontextmanager
async def proxy(options, work, sections):
    """The proxy with the settings of settings.toml and these sections; its port."""
    port = free_port()
    settings = (HERE / "settings.toml").read_text().replace("@BIND@", f"127.0.0.1:{port}")
    (work / "settings.toml").write_text(settings + "".join(sections))
    command = [options.proxy, "run", "--config", work / "settings.toml"]
    async with program(work / "proxy.log", *command) as process:
        await wait_open(port, process, f"the proxy (see {work / 'proxy.log'})")
        yield port
        if process.returncode is not None:
            raise Trouble(f"the proxy ended with {process.returncode}, see {work / 'proxy.log'}")


def route(name, path, url):
    """The sections of the settings that lead a path to an upstream."""
    template = (HERE / "route.toml").read_text()
    return template.replace("@NAME@", name).replace("@PATH@", path).replace("@URL@", url)


def wstest(options, work, mode, spec):
    """The suite in a mode with a specification."""
    (work / "spec.json").write_text(json.dumps({"cases": options.cases, "outdir": str(work), **spec}))
    command = [options.python2, str(HERE / "wstest.py"), options.suite, "--mode", mode]
    # A web server is no part of it.
    return program(work / "wstest.log", *command, "--spec", work / "spec.json", "--webport", "0")


async def echo(connection):
    """Sends back what comes, text as text and bytes as bytes, until the connection ends."""
    with contextlib.suppress(ConnectionClosed):
        async for message in connection:
            await connection.send(message)


async def listener_side(options, work):
    """Fuzzes the listener; the suite takes one case after the other by itself."""
    async with serve(echo, "127.0.0.1", 0, **PLAIN) as server:
        upstream = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with proxy(options, work, [route("echo", "/", upstream)]) as port:
            spec = {"servers": [{"agent": "towline", "url": f"ws://127.0.0.1:{port}"}]}
            async with wstest(options, work, "fuzzingclient", spec) as suite:
                if await suite.wait() != 0:
                    raise Trouble(f"wstest failed, see {work / 'wstest.log'}")


async def connector_side(options, work):
    """Fuzzes the connector: one case after the other, each by the route that leads to it."""
    port = free_port()
    base = f"ws://127.0.0.1:{port}"
    async with wstest(options, work, "fuzzingserver", {"url": base}) as suite:
        await wait_open(port, suite, f"wstest (see {work / 'wstest.log'})")
        count = json.loads(await ask(f"{base}/getCaseCount"))
        cases = range(1, count + 1)
        routes = [route(f"case{case}", f"/{case}", f"{base}/runCase?case={case}&agent=towline") for case in cases]
        async with proxy(options, work, routes) as port:
            for case in cases:
                await run_case(f"ws://127.0.0.1:{port}/{case}", f"{base}/getCaseStatus?case={case}&agent=towline")
        await ask(f"{base}/updateReports?agent=towline", REPORT)


async def run_case(url, status):
    """Echoes through the proxy until the suite says that it has a result.

    The client cannot tell: its connection outlives that of the upstream.
    """
    async with connect(url, proxy=None, open_timeout=HANDSHAKE, **PLAIN) as client:
        echoing = asyncio.create_task(echo(client))
        await ask(status, CASE)
        echoing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await echoing


async def ask(url, limit=READY):
    """What the suite's server says at this address before it closes; "" when it says nothing."""

    async def first():
        async with connect(url, proxy=None, open_timeout=None, **PLAIN) as client:
            async for message in client:
                return message
            return ""

    try:
        return await asyncio.wait_for(first(), limit)
    except TimeoutError:
        raise Trouble(f"no word from wstest within {limit} s at {url}") from None


SIDES = {"listener": listener_side, "connector": connector_side}


async def run_side(options, name):
    """Runs one side; whether everything was as expected."""
    work = options.work / name
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    print(f"{name}: running, reports go to {work}", flush=True)
    begin = time.monotonic()
    try:
        await asyncio.wait_for(SIDES[name](options, work), SIDE)
    except TimeoutError:
        raise Trouble(f"the {name} side took longer than {SIDE} s") from None
    seconds = time.monotonic() - begin
    partial = options.cases != GROUPS
    return results.check(name, work / "index.json", HERE / f"{name}.tsv", seconds, options.update, partial)


async def run(options):
    """Runs all sides; the exit code."""
    task = asyncio.current_task()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    good = [await run_side(options, name) for name in options.sides]
    return 0 if all(good) else 1


def main():
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python2", required=True, help="the Python 2.7 that runs the suite")
    parser.add_argument("--suite", required=True, help="the folder where the suite is installed")
    parser.add_argument("--proxy", required=True, help="the program")
    parser.add_argument("--work", required=True, type=pathlib.Path, help="the folder for logs and reports")
    parser.add_argument("--sides", type=str.split, default=list(SIDES), help="listener, connector")
    parser.add_argument("--cases", type=str.split, default=GROUPS, help='such as "7.* 9.1.1"')
    parser.add_argument("--update", action="store_true", help="write the expected results anew")
    options = parser.parse_args()
    unknown = set(options.sides) - set(SIDES)
    if unknown:
        parser.error(f"no such side: {', '.join(sorted(unknown))}")
    try:
        return asyncio.run(run(options))
    except (Trouble, OSError, WebSocketException) as error:
        print(f"make autobahn: FAILED: {error}", file=sys.stderr)
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("make autobahn: stopped", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
