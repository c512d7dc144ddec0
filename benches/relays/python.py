"""The filter of this comparison as a relay with the package `websockets`. usage: python.py PORT UPSTREAM_PORT"""

import asyncio, json, sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

PORT, UPSTREAM_PORT = map(int, sys.argv[1:])
OPTIONS = {"compression": None, "max_size": None, "ping_interval": None}


async def to_upstream(client, upstream):
    async for text in client:
        event = json.loads(text)
        if event.get("type") == "a":
            event["seen"] = True
            await upstream.send(json.dumps(event, separators=(",", ":"), ensure_ascii=False))
    await upstream.close()


async def to_client(upstream, client):
    async for message in upstream:
        await client.send(message)
    await client.close()


async def relay(client):
    async with connect(f"ws://127.0.0.1:{UPSTREAM_PORT}/", **OPTIONS) as upstream:
        try:
            await asyncio.gather(to_upstream(client, upstream), to_client(upstream, client))
        except ConnectionClosed:
            pass


async def main():
    async with serve(relay, "127.0.0.1", PORT, backlog=8192, **OPTIONS):
        await asyncio.get_running_loop().create_future()


asyncio.run(main())
