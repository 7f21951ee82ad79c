"""Async client: AsyncHttpProducer, the way in over HTTP for asyncio."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import aiohttp

from threelane.contract.refusal import Refused
from threelane.producer.accept import Answer
from threelane.producer.cancel import Cancelled
from threelane.producer.client import Unavailable
from threelane.producer.http import wire
from threelane.producer.http.wire import Ask, Told
from threelane.producer.reschedule import Moved
from threelane.store.status import MessageStatus


class AsyncHttpProducer:
    """Enqueues messages through the HTTP API on one event loop; answers, raises and repeats as ``HttpProducer``."""

    def __init__(self, url: str, key: str, *, timeout_seconds: float = 10.0, ssl: Any = True) -> None:
        """Speak to the API at ``url``, as https://threelane.example:8080, with a key of it; ``ssl`` as in aiohttp."""
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._ssl = ssl
        self._session: aiohttp.ClientSession | None = None

    async def send(self, to: str, text: str | None = None, **fields: Any) -> Answer:
        """Enqueue one message; ``fields`` are those of ``Producer.send``, by our name or the gateway's."""
        said = {"to": to, "text": text} | fields
        ask = wire.one({name: value for name, value in said.items() if value is not None})
        return ask if isinstance(ask, Refused) else wire.answer(await self._ask(ask))

    async def send_many(self, messages: Iterable[Mapping[str, Any]]) -> list[Answer]:
        """Enqueue messages given as mappings of field names; the answers come in the same order."""
        answers: list[Answer] = []
        try:
            for lot in wire.lots(messages):
                answers += await self._send_lot(lot)
        except Unavailable as away:
            raise Unavailable(str(away), [*answers, *away.answers], away.unsure, away.retry_after) from None
        return answers

    async def status(self, message_id: str) -> MessageStatus | None:
        """Return how a message stands, or None when its id is unknown or forgotten."""
        return wire.stands(await self._ask(wire.status(message_id)))

    async def cancel(self, ids: Sequence[str]) -> list[Cancelled]:
        """Cancel messages by their ids; each answer says whether it was cancelled, or why it was too late."""
        return [wire.cancelled(one, await self._ask(wire.cancel(one))) for one in ids]

    async def move(self, message_id: str, deliver_at: datetime | str) -> Moved | Refused:
        """Put a message that waits to another time within 7 days."""
        return wire.moved(await self._ask(wire.move(message_id, deliver_at)))

    async def close(self) -> None:
        """Give all connections back."""
        if self._session:
            await self._session.close()

    async def __aenter__(self) -> Self:
        """Use it as a context."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, failed: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.close()

    async def _send_lot(self, lot: Sequence[Mapping[str, Any]]) -> list[Answer]:
        ask, refused = wire.many(lot)
        answers = wire.answers(await self._ask(ask), refused, len(lot))
        if answers is not None:
            return answers
        half = len(lot) // 2
        return await self._send_lot(lot[:half]) + await self._send_lot(lot[half:])

    async def _ask(self, ask: Ask) -> Told:
        for may_repeat in (ask.is_repeatable, False):
            try:
                return await self._once(ask)
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as failed:
                raise wire.lost(failed, sent=False) from None
            except TimeoutError as failed:
                raise wire.lost(failed, sent=True) from None
            except (aiohttp.ClientError, OSError) as failed:
                if not may_repeat:
                    raise wire.lost(failed, sent=True) from None
        raise AssertionError("the second try returns or raises")

    async def _once(self, ask: Ask) -> Told:
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(timeout=self._timeout, headers=self._headers)
        async with self._session.request(
            ask.method, self._url + ask.path, data=ask.body or None, ssl=self._ssl, allow_redirects=False
        ) as response:
            return Told(response.status, response.headers.get("Retry-After", ""), await response.read())
