"""A few long bodies are read at a time; short ones never wait for them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from threelane.interfaces.api.places import NoPlace
from threelane.interfaces.callbacks.body import SLOWEST, BodyReader
from threelane.worker.inbound.sieve import KIB, MOST_KEPT

BEGIN, END = b'{"content": "' + b"A" * (MOST_KEPT + KIB), b'"}'
WHOLE = BEGIN + END


async def in_two_pieces(more: asyncio.Event) -> AsyncIterator[bytes]:
    """Yield a long body whose end comes later."""
    yield BEGIN
    await more.wait()
    yield END


def answering(bodies: BodyReader) -> web.Application:
    """Return an application that answers with what is kept of a body: 503 without a place, 408 if it is too slow."""

    async def handle(request: web.Request) -> web.Response:
        try:
            return web.Response(body=await bodies.read(request))
        except NoPlace:
            return web.Response(status=503)
        except TimeoutError:
            return web.Response(status=408)

    app = web.Application()
    app.router.add_post("/{any:.*}", handle)
    return app


def test_a_long_body_waits_for_a_place_and_a_short_one_does_not() -> None:
    """With one place, a stalled body keeps the next one out, until it ends."""

    async def run() -> tuple[list[int], bytes]:
        bodies = BodyReader(60, wait_seconds=0.05, long_at_once=1)

        app = answering(bodies)
        more = asyncio.Event()
        async with TestServer(app) as server, ClientSession(server.make_url("/")) as session:
            first = asyncio.create_task(session.post("/first", data=in_two_pieces(more)).__aenter__())
            for _ in range(200):  # until the first one has its place
                statuses = [(await session.post("/next", data=WHOLE)).status]
                if statuses == [503]:
                    break
            statuses.append((await session.post("/short", data=WHOLE[:MOST_KEPT])).status)
            more.set()
            statuses += [(await first).status, (await session.post("/last", data=WHOLE)).status]
            return statuses, await (await first).read()

    statuses, kept = asyncio.run(run())
    assert [503, 200, 200, 200] == statuses
    assert {"content": {"omitted_octets": (MOST_KEPT + KIB) * 3 // 4}} == json.loads(kept)


def test_a_long_body_that_stalls_is_given_up_and_its_place_is_free() -> None:
    """It has the time of a short one, and a second for each 128 KiB that have arrived since."""

    async def run() -> tuple[list[int], list[int]]:
        bodies = BodyReader(0.3, wait_seconds=60, long_at_once=1)

        app = answering(bodies)
        async with TestServer(app) as server, ClientSession(server.make_url("/")) as session:
            stalled = [(await session.post("/", data=in_two_pieces(asyncio.Event()))).status for _ in range(2)]
            return stalled, [(await session.post("/", data=WHOLE)).status]

    assert ([408, 408], [200]) == asyncio.run(run())
    assert 128 * KIB == SLOWEST
