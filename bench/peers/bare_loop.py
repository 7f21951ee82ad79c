"""Bare loop: aiohttp without a queue, the limit of an API with one message per request.

Nothing is stored: a failed message, or every message of a crashed process, is lost.  It is both caller and worker.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterable, Mapping

import aiohttp

from bench.peers import calling

loop = asyncio.new_event_loop()


def bulk(messages: Iterable[Mapping[str, str]], at_once: int = 100) -> None:
    """Send many messages, ``at_once`` of them concurrently."""
    loop.run_until_complete(_send_all(messages, at_once))


async def _send_all(messages: Iterable[Mapping[str, str]], at_once: int) -> None:
    remaining = iter(messages)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def sender() -> None:
            for message in remaining:
                form = calling.form(uuid.uuid4().hex, message["to"], message["text"])
                async with session.post(calling.SENDMSG, data=form) as response:
                    if not (await response.text()).startswith("ID: "):
                        raise ValueError("not accepted")

        await asyncio.gather(*(sender() for _ in range(at_once)))
