"""Receiver: the peers' endpoint for status callbacks; writes each status to the message's key in Redis."""

from __future__ import annotations

import json
import os
from typing import Any

import redis.asyncio
from aiohttp import web


async def status(request: web.Request) -> web.Response:
    """Record one status, then respond."""
    fields = await request.post()
    values: dict[Any, Any] = {"status": str(fields["status"]), "charge": str(fields["charge"])}
    await request.app[OUTCOMES].hset(f"sms:{fields['cliMsgId']!s}", mapping=values)
    return web.Response(text="ok")


OUTCOMES: web.AppKey[redis.asyncio.Redis] = web.AppKey("outcomes", redis.asyncio.Redis)


def main() -> None:
    """Listen on BENCH_RECEIVER_PORT, and print the URL as one JSON line."""
    app = web.Application()
    app[OUTCOMES] = redis.asyncio.Redis.from_url(os.environ["BENCH_OUTCOMES_URL"])
    app.router.add_post("/status", status)
    port = int(os.environ["BENCH_RECEIVER_PORT"])
    print(json.dumps({"event": "listening", "url": f"http://127.0.0.1:{port}/status"}), flush=True)
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None)


if __name__ == "__main__":
    main()
