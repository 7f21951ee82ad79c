"""Async client: AsyncHttpProducer, the HTTP client for asyncio."""

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
from threelane.producer.pause import PauseResult
from threelane.producer.reschedule import Moved
from threelane.store.batches import Batch
from threelane.store.outcome import BatchMessage
from threelane.store.progress import Progress
from threelane.store.status import MessageStatus

if TYPE_CHECKING:
    import aiohttp  # imported when a client is created: it takes a quarter of a second, and is an extra


class AsyncHttpProducer:
    """Enqueues messages through the HTTP API on one event loop, with the results and retries of ``HttpProducer``.

    Requires ``threelane[http]``.
    """

    def __init__(self, url: str, key: str, *, timeout_seconds: float = 10.0, ssl: Any = True) -> None:
        """Take the API's ``url``, as https://threelane.example:8080, an API key, and ``ssl`` as in aiohttp.

        Raises InvalidSettings.  ``timeout_seconds`` is for a whole request.
        """
        library = _load_aiohttp()
        self._url = wire.address(url).url
        self._headers = wire.headers(key)
        self._timeout = library.ClientTimeout(total=timeout_seconds)
        self._ssl = ssl
        self._session: aiohttp.ClientSession | None = None
        self._is_closed = False

    async def send(self, to: str, text: str | None = None, **fields: Unpack[MessageFields]) -> Accepted:
        """Enqueue one message; raises Refused or Unavailable."""
        self._check_open()
        return wire.accepted(await self._request(wire.one(to, text, fields)))

    async def try_send(
        self, to: str, text: str | None = None, **fields: Unpack[MessageFields]
    ) -> Accepted | Refused | Unavailable:
        """Enqueue one message, and return the exception that ``send`` would raise."""
        try:
            return await self.send(to, text, **fields)
        except (Refused, Unavailable) as failed:
            return failed.with_traceback(None)

    async def send_many(self, messages: Iterable[MessageMapping]) -> list[Answer]:
        """Enqueue messages; the answers are in the same order."""
        answers: list[Answer] = []
        try:
            async for answer in self.send_rows(messages):
                answers.append(answer)
        except Unavailable as away:
            raise away.including(answers) from None
        return answers

    def send_stream(self, messages: Iterable[MessageMapping]) -> AsyncIterator[Answer]:
        """Enqueue messages, a thousand at a time, as the answers are consumed: for more than fits in memory."""
        return self.send_rows(messages)

    def send_rows(self, rows: Iterable[Mapping[str, Any]]) -> AsyncIterator[Answer]:
        """Do the same as ``send_stream`` for untyped rows, from JSON, CSV or a database."""
        self._check_open()
        return self._stream(rows)

    async def status(self, message_id: str) -> MessageStatus | None:
        """Return the status of a message, or None if its id is unknown or expired."""
        self._check_open()
        return wire.stands(await self._request(wire.status(message_id)))

    async def cancel(self, ids: Sequence[str]) -> list[Cancelled]:
        """Cancel messages by id; each result says whether it was cancelled, or why it was too late."""
        self._check_open()
        return [wire.cancelled(one, await self._request(wire.cancel(one))) for one in ids]

    async def move(self, message_id: str, deliver_at: datetime | str) -> Moved:
        """Reschedule a scheduled message within 7 days; raises Refused."""
        self._check_open()
        return wire.moved(await self._request(wire.move(message_id, deliver_at)))

    def batches(self, *, producer: str | None = None) -> AsyncIterator[Batch]:
        """Return the batches of this key's producer, or of another, the latest first, as they are consumed.

        A viewer or operator key without ``producer`` gets those of all producers.
        """
        self._check_open()
        return self._batches(producer)

    async def batch(self, name: str, *, producer: str | None = None) -> Progress | None:
        """Return how far a batch is, None if none of its messages was accepted in 400 days."""
        self._check_open()
        return wire.progress(await self._request(wire.batch(name, producer)))

    def batch_report(self, name: str, *, producer: str | None = None) -> AsyncIterator[BatchMessage]:
        """Return each message of a batch with its outcome, unordered, as the results are consumed."""
        self._check_open()
        wire.batch(name, producer)  # an invalid name is refused here, not when the first result is consumed
        return self._batch_report(name, producer)

    async def pause_batch(self, name: str, *, producer: str | None = None) -> PauseResult | None:
        """Pause a batch: nothing of it is sent until ``resume_batch``; None if it is unknown."""
        self._check_open()
        return wire.paused(await self._request(wire.pause_batch(name, producer)))

    async def resume_batch(self, name: str, *, producer: str | None = None) -> PauseResult:
        """Resume a batch: its messages go back to their lanes, lane 1 first, or wait for their time again."""
        self._check_open()
        return wire.resumed(await self._request(wire.resume_batch(name, producer)))

    def cancel_batch(self, name: str, *, producer: str | None = None) -> AsyncIterator[Cancelled]:
        """Cancel each message of a batch that has not ended, as ``cancel`` does, as the results are consumed."""
        self._check_open()
        wire.batch(name, producer)
        return self._cancel_batch(name, producer)

    async def close(self) -> None:
        """Close all connections; every other method raises ProducerClosed from now on."""
        self._is_closed = True
        if self._session:
            await self._session.close()

    async def __aenter__(self) -> Self:
        """Use it in a ``with`` block."""
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
        for batch in wire.batches(rows):
            for answer in await self._send_batch(batch):
                yield answer

    async def _batches(self, producer: str | None) -> AsyncIterator[Batch]:
        cursor = wire.FIRST
        while True:
            page = wire.listed(await self._request(wire.batch_list(producer, cursor)))
            for one in page.found:
                yield one
            cursor = page.cursor
            if cursor == wire.FIRST:
                return

    async def _batch_report(self, name: str, producer: str | None) -> AsyncIterator[BatchMessage]:
        cursor, seen = wire.FIRST, set[str]()
        while True:
            page = wire.messages_of(await self._request(wire.batch_messages(name, producer, cursor)))
            for one in page.new(seen):
                yield one
            cursor = page.cursor
            if cursor == wire.FIRST:
                return

    async def _cancel_batch(self, name: str, producer: str | None) -> AsyncIterator[Cancelled]:
        cursor = wire.FIRST
        while True:
            page = wire.cancelled_of(await self._request(wire.cancel_batch(name, producer, cursor)))
            for one in page.messages:
                yield one
            cursor = page.cursor
            if cursor == wire.FIRST:
                return

    async def _send_batch(self, batch: Sequence[Mapping[str, Any]]) -> list[Answer]:
        request, refused = wire.many(batch)
        answers = wire.answers(await self._request(request), refused, len(batch))
        if answers is not None:
            return answers
        half = len(batch) // 2
        return await self._send_batch(batch[:half]) + await self._send_batch(batch[half:])

    async def _request(self, request: ApiRequest) -> ApiResponse:
        import aiohttp

        for is_first in (True, False):
            try:
                return await self._try(request)
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as failed:
                raise wire.lost(failed, sent=not is_first) from None
            except TimeoutError as failed:
                raise wire.lost(failed, sent=True) from None
            except (aiohttp.ClientError, OSError) as failed:
                if not (is_first and request.is_repeatable):
                    raise wire.lost(failed, sent=True) from None
        raise AssertionError("the second attempt returns or raises")

    async def _try(self, request: ApiRequest) -> ApiResponse:
        import aiohttp
        import yarl

        self._check_open()  # a stream may be consumed after the producer was closed
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(timeout=self._timeout, headers=self._headers)
        async with self._session.request(
            request.method,
            yarl.URL(self._url + request.path, encoded=True),  # as it is: the name of a batch may be ".."
            data=request.body or None,
            ssl=self._ssl,
            allow_redirects=False,
        ) as response:
            retry_after, content_type = (response.headers.get(name, "") for name in ("Retry-After", "Content-Type"))
            return ApiResponse(response.status, retry_after, await response.read(), content_type)


def _load_aiohttp() -> Any:
    """Import aiohttp; raises ImportError with the command that installs it."""
    try:
        import aiohttp
    except ImportError:
        raise ImportError("AsyncHttpProducer needs aiohttp: pip install 'threelane[http]'", name="aiohttp") from None
    return aiohttp
