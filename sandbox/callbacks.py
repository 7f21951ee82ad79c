"""Callbacks: pushes statuses and replies, and retries those not acknowledged."""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import lru_cache, partial
from typing import Final

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from yarl import URL

from threelane.sandbox import receipts
from threelane.sandbox.apis import CENTRAL, CallbackForm
from threelane.sandbox.codes import AT_NETWORK
from threelane.sandbox.faults import Do
from threelane.sandbox.ledger import LedgerMessage
from threelane.sandbox.push import Push, address
from threelane.sandbox.settings import SandboxSettings
from threelane.sandbox.timetable import Timetable

_MINUTES: Final = 60.0
RETRIES_AFTER_SECONDS: Final = (*(2**n * _MINUTES for n in range(1, 8)), 3 * 24 * 60 * _MINUTES)
CENTRAL_REPLY_RETRIES_AFTER_SECONDS: Final = (*(2**n * _MINUTES for n in range(1, 5)), 25 * _MINUTES)

Writer = Callable[[LedgerMessage, str, float], str]  # from a message, its status and when it came to it

_log = logging.getLogger(__name__)


class Callbacks:
    """The queue of callbacks and the few connections that send them."""

    __slots__ = (
        "_arrived",
        "_clock",
        "_counts",
        "_epoch",
        "_queue",
        "_session",
        "_settings",
        "_swapped",
        "_timetable",
        "_workers",
        "_writers",
    )

    def __init__(
        self, timetable: Timetable, clock: Callable[[], float], settings: Callable[[], SandboxSettings]
    ) -> None:
        self._timetable = timetable
        self._clock = clock
        self._settings = settings
        self._queue: deque[Sequence[Push]] = deque()  # the callbacks of one batch are sent in order
        self._arrived = asyncio.Semaphore(0)
        self._swapped: dict[str, list[Push]] = {}  # by gateway id: a 003 held back until after the final status
        self._counts: Counter[str] = Counter()
        self._epoch = 0  # requests in flight at a clear are not counted
        self._session: ClientSession | None = None
        self._workers: list[asyncio.Task[None]] = []
        self._writers: dict[str, Writer] = {}

    def plug(self, api: str, write: Writer) -> None:
        """Registers the writer of another API's statuses, pushed as JSON to the path with the API's name."""
        self._writers[api] = write

    async def start(self) -> None:
        """Starts the workers; connections open on demand."""
        connections = self._settings().callback_connections
        self._session = ClientSession(connector=TCPConnector(limit=connections), cookie_jar=DummyCookieJar())
        self._workers = [asyncio.create_task(self._send_all(self._session)) for _ in range(connections)]

    async def stop(self) -> None:
        """Cancels the requests in flight and closes the connections."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        if self._session:
            await self._session.close()

    def clear(self) -> None:
        """Drops every waiting callback and resets the counts."""
        self._queue.clear()
        self._swapped.clear()
        self._counts.clear()
        self._epoch += 1

    def push(self, message: LedgerMessage, status: str, at: float) -> None:
        """Pushes a requested status, if a URL is set, with the message's receipt faults applied."""
        settings = self._settings()
        if not address(message.order.api, False, settings) or not receipts.is_wanted(message, status):
            return
        batch, faults = [self._written(message, status, at, settings.callback_method)], message.effects.receipts
        if Do.RECEIPTS_LOST in faults:
            return
        if Do.RECEIPTS_DOUBLED in faults:
            batch *= 2
        if Do.RECEIPTS_OUT_OF_ORDER in faults:
            if status == AT_NETWORK:
                self._swapped[message.id] = batch
                return
            batch += self._swapped.pop(message.id, [])
        if message.effects.receipts_late_seconds:
            self._timetable.at(at + message.effects.receipts_late_seconds, partial(self.enqueue, batch))
        else:
            self.enqueue(batch)

    def _written(self, message: LedgerMessage, status: str, at: float, method: CallbackForm) -> Push:
        if write := self._writers.get(message.order.api):
            return Push(message.order.api, CallbackForm.JSON, write(message, status, at))
        return receipts.write(message, status, at, method)

    def as_json(self) -> dict[str, int]:
        """Returns how many callbacks wait, and the number of requests by result."""
        counts = {name: self._counts[name] for name in ("acknowledged", "refused", "given_up")}
        return {"waiting": sum(map(len, self._queue)), **counts}

    def enqueue(self, batch: Sequence[Push]) -> None:
        """Pushes a batch in order, as soon as a connection is free."""
        self._queue.append(batch)
        self._arrived.release()

    async def _send_all(self, session: ClientSession) -> None:
        while True:
            await self._arrived.acquire()
            if not self._queue:  # cleared meanwhile
                continue
            for push in self._queue.popleft():
                try:
                    await self._send(session, push)
                except Exception:
                    _log.exception("a callback could not be sent")  # a bad URL must not stop this worker

    async def _send(self, session: ClientSession, push: Push) -> None:
        settings = self._settings()
        url = address(push.api, push.is_reply, settings)
        if url is None:
            return
        acknowledged, epoch = False, self._epoch
        try:
            async with _request(session, settings, url, push) as response:
                acknowledged = 200 <= response.status < 300
        except (ClientError, TimeoutError, OSError) as error:
            _log.debug("a callback failed: %s", type(error).__name__)
        if epoch == self._epoch:
            self._settle(push, acknowledged, settings.callback_retry_scale)

    def _settle(self, push: Push, acknowledged: bool, retry_scale: float) -> None:
        if acknowledged:
            self._count(push, "acknowledged")
            return
        self._count(push, "refused")
        waits = RETRIES_AFTER_SECONDS
        if push.is_reply and push.api in CENTRAL:
            waits = CENTRAL_REPLY_RETRIES_AFTER_SECONDS
        if push.retries == len(waits):
            self._count(push, "given_up")
            return
        again = replace(push, retries=push.retries + 1)
        self._timetable.at(self._clock() + waits[push.retries] * retry_scale, partial(self.enqueue, [again]))

    def _count(self, push: Push, result: str) -> None:
        self._counts[result] += 1
        if push.tally is not None:
            push.tally[result] += 1


def _request(
    session: ClientSession, settings: SandboxSettings, url: str, push: Push
) -> AbstractAsyncContextManager[ClientResponse]:
    timeout = _timeout(settings.callback_timeout_seconds)
    if push.form is CallbackForm.GET:
        target = URL(f"{url}{'&' if '?' in url else '?'}{push.content}", encoded=True)  # already percent-encoded
        return session.get(target, timeout=timeout, allow_redirects=False)
    body, headers = push.content.encode(), {"Content-Type": push.content_type}
    return session.post(_url(url), data=body, headers=headers, timeout=timeout, allow_redirects=False)


@lru_cache(maxsize=8)
def _url(address: str) -> URL:
    return URL(address)


@lru_cache(maxsize=8)
def _timeout(seconds: float) -> ClientTimeout:
    return ClientTimeout(total=seconds)
