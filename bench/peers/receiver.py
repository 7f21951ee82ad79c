"""Receiver: the door of the peers for status callbacks; each is written to the message's key in Redis."""

from __future__ import annotations

import json
import os
from typing import Any

import redis.asyncio
from aiohttp import web


async def status(request: web.Request) -> web.Response:
    """Write one status down, then answer."""
    said = await request.post()
    values: dict[Any, Any] = {"status": str(said["status"]), "charge": str(said["charge"])}
    await request.app[OUTCOMES].hset(f"sms:{said['cliMsgId']!s}", mapping=values)
    return web.Response(text="ok")


OUTCOMES: web.AppKey[redis.asyncio.Redis] = web.AppKey("outcomes", redis.asyncio.Redis)


def main() -> None:
    """Listen on any free port, and say where in one JSON line."""
    app = web.Application()
    app[OUTCOMES] = redis.asyncio.Redis.from_url(os.environ["BENCH_OUTCOMES_URL"])
    app.router.add_post("/status", status)
    port = int(os.environ["BENCH_RECEIVER_PORT"])
    print(json.dumps({"event": "listening", "url": f"http://127.0.0.1:{port}/status"}), flush=True)
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None)


if __name__ == "__main__":
    main()
