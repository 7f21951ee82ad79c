"""Async client: AsyncHttpProducer, the way in over HTTP for asyncio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

from threelane.contract.errors import ProducerClosed, Refused
from threelane.contract.keywords import MessageFields, MessageMapping
from threelane.producer.accept import Accepted
from threelane.producer.cancel import Cancelled
from threelane.producer.http import wire
from threelane.producer.http.wire import ApiRequest, ApiResponse
from threelane.producer.outage import Answer, Unavailable
from threelane.producer.reschedule import Moved
from threelane.store.status import MessageStatus

if TYPE_CHECKING:
    import aiohttp  # at run time only when a client is made: it takes a quarter of a second, and is an extra


class AsyncHttpProducer:
    """Enqueues messages through the HTTP API on one event loop; answers, raises and repeats as ``HttpProducer``.

    It needs ``threelane[http]``.
    """

    def __init__(self, url: str, key: str, *, timeout_seconds: float = 10.0, ssl: Any = True) -> None:
        """Speak to the API at ``url``, as https://threelane.example:8080, with a key of it; ``ssl`` as in aiohttp."""
        library = _load_aiohttp()
        wire.address(url)
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._timeout = library.ClientTimeout(total=timeout_seconds)
        self._ssl = ssl
        self._session: aiohttp.ClientSession | None = None
        self._is_closed = False

    async def send(self, to: str, text: str | None = None, **fields: Unpack[MessageFields]) -> Accepted:
        """Enqueue one message; raises Refused or Unavailable."""
        self._check_open()
        return wire.accepted(await self._ask(wire.one(to, text, fields)))

    async def try_send(
        self, to: str, text: str | None = None, **fields: Unpack[MessageFields]
    ) -> Accepted | Refused | Unavailable:
        """Enqueue one message, and return what ``send`` would raise."""
        try:
            return await self.send(to, text, **fields)
        except (Refused, Unavailable) as failed:
            return failed.with_traceback(None)

    async def send_many(self, messages: Iterable[MessageMapping]) -> list[Answer]:
        """Enqueue messages; the answers come in the same order."""
        answers: list[Answer] = []
        try:
            async for answer in self.send_rows(messages):
                answers.append(answer)
        except Unavailable as away:
            raise Unavailable(str(away), [*answers, *away.answers], away.unsure, away.retry_after) from None
        return answers

    def send_stream(self, messages: Iterable[MessageMapping]) -> AsyncIterator[Answer]:
        """Enqueue messages while the answers are read, a thousand at a time: for more than memory holds."""
        return self.send_rows(messages)

    def send_rows(self, rows: Iterable[Mapping[str, Any]]) -> AsyncIterator[Answer]:
        """Do what ``send_stream`` does for rows of JSON, CSV or a database, whose types nobody could check."""
        self._check_open()
        return self._stream(rows)

    async def status(self, message_id: str) -> MessageStatus | None:
        """Return how a message stands, or None when its id is unknown or forgotten."""
        self._check_open()
        return wire.stands(await self._ask(wire.status(message_id)))

    async def cancel(self, ids: Sequence[str]) -> list[Cancelled]:
        """Cancel messages by their ids; each answer says whether it was cancelled, or why it was too late."""
        self._check_open()
        return [wire.cancelled(one, await self._ask(wire.cancel(one))) for one in ids]

    async def move(self, message_id: str, deliver_at: datetime | str) -> Moved:
        """Put a message that waits to another time within 7 days; raises Refused when it cannot be."""
        self._check_open()
        return wire.moved(await self._ask(wire.move(message_id, deliver_at)))

    async def close(self) -> None:
        """Give all connections back; from now on each method raises ProducerClosed, except this one."""
        self._is_closed = True
        if self._session:
            await self._session.close()

    async def __aenter__(self) -> Self:
        """Use it as a context."""
        self._check_open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, failed: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.close()

    def _check_open(self) -> None:
        if self._is_closed:
            raise ProducerClosed

    async def _stream(self, rows: Iterable[Mapping[str, Any]]) -> AsyncIterator[Answer]:
        for lot in wire.lots(rows):
            for answer in await self._send_lot(lot):
                yield answer

    async def _send_lot(self, lot: Sequence[Mapping[str, Any]]) -> list[Answer]:
        ask, refused = wire.many(lot)
        answers = wire.answers(await self._ask(ask), refused, len(lot))
        if answers is not None:
            return answers
        half = len(lot) // 2
        return await self._send_lot(lot[:half]) + await self._send_lot(lot[half:])

    async def _ask(self, ask: ApiRequest) -> ApiResponse:
        import aiohttp

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

    async def _once(self, ask: ApiRequest) -> ApiResponse:
        import aiohttp

        self._check_open()  # a stream may still be read after the producer was closed
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(timeout=self._timeout, headers=self._headers)
        async with self._session.request(
            ask.method, self._url + ask.path, data=ask.body or None, ssl=self._ssl, allow_redirects=False
        ) as response:
            return ApiResponse(response.status, response.headers.get("Retry-After", ""), await response.read())


def _load_aiohttp() -> Any:
    """Return the library; raises ImportError with the command that installs it."""
    try:
        import aiohttp
    except ImportError:
        raise ImportError("AsyncHttpProducer needs aiohttp: pip install 'threelane[http]'", name="aiohttp") from None
    return aiohttp
