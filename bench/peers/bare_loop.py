"""Bare loop: aiohttp without any queue, the limit of an API that takes one message a request.

Nothing is kept: a message that fails or a process that dies is lost.  It is its own caller and its own worker.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterable, Mapping

import aiohttp

from bench.peers import calling

loop = asyncio.new_event_loop()


def bulk(messages: Iterable[Mapping[str, str]], at_once: int = 100) -> None:
    """Send many, so many at once."""
    loop.run_until_complete(_send_all(messages, at_once))


async def _send_all(messages: Iterable[Mapping[str, str]], at_once: int) -> None:
    remaining = iter(messages)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def sender() -> None:
            for message in remaining:
                form = calling.form(uuid.uuid4().hex, message["to"], message["text"])
                async with session.post(calling.SENDMSG, data=form) as answer:
                    if not (await answer.text()).startswith("ID: "):
                        raise ValueError("not taken")

        await asyncio.gather(*(sender() for _ in range(at_once)))
