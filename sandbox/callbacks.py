"""Status callbacks: pushes what receipts say, and again when they are not acknowledged."""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import lru_cache, partial
from typing import Final

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from yarl import URL

from sandbox import receipts
from sandbox.apis import Api
from sandbox.codes import AT_NETWORK
from sandbox.faults import Do
from sandbox.ledger import Message
from sandbox.receipts import Receipt
from sandbox.settings import Settings
from sandbox.timetable import Timetable

_MINUTES: Final = 60.0
RETRIES_AFTER_SECONDS: Final = (*(2**n * _MINUTES for n in range(1, 8)), 3 * 24 * 60 * _MINUTES)

_log = logging.getLogger(__name__)


class Callbacks:
    """The receipts that wait and the few connections that carry them."""

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
    )

    def __init__(self, timetable: Timetable, clock: Callable[[], float], settings: Callable[[], Settings]) -> None:
        self._timetable = timetable
        self._clock = clock
        self._settings = settings
        self._queue: deque[list[Receipt]] = deque()  # the receipts of a list go one after the other
        self._arrived = asyncio.Semaphore(0)
        self._swapped: dict[str, list[Receipt]] = {}  # by gateway id: a 003 that lets the final status pass
        self._counts: Counter[str] = Counter()
        self._epoch = 0  # what is under way at a clear no longer counts
        self._session: ClientSession | None = None
        self._workers: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Opens the connections as they are needed."""
        connections = self._settings().callback_connections
        self._session = ClientSession(connector=TCPConnector(limit=connections), cookie_jar=DummyCookieJar())
        self._workers = [asyncio.create_task(self._carry_all(self._session)) for _ in range(connections)]

    async def stop(self) -> None:
        """Drops whatever was on its way."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        if self._session:
            await self._session.close()

    def clear(self) -> None:
        """Forgets every receipt that waits, and the counts."""
        self._queue.clear()
        self._swapped.clear()
        self._counts.clear()
        self._epoch += 1

    def push(self, message: Message, status: str, at: float) -> None:
        """Pushes a status that is wanted, if a URL is set, as the message's faults have it."""
        if not receipts.address(message.order.api, self._settings()) or not receipts.is_wanted(message, status):
            return
        train, faults = [receipts.write(message, status, at)], message.effects.receipts
        if Do.RECEIPTS_LOST in faults:
            return
        if Do.RECEIPTS_DOUBLED in faults:
            train *= 2
        if Do.RECEIPTS_OUT_OF_ORDER in faults:
            if status == AT_NETWORK:
                self._swapped[message.id] = train
                return
            train += self._swapped.pop(message.id, [])
        if message.effects.receipts_late_seconds:
            self._timetable.at(at + message.effects.receipts_late_seconds, partial(self._enqueue, train))
        else:
            self._enqueue(train)

    def as_json(self) -> dict[str, int]:
        """Returns how many receipts wait, and how many requests came to what."""
        counts = {name: self._counts[name] for name in ("acknowledged", "refused", "given_up")}
        return {"waiting": sum(map(len, self._queue)), **counts}

    def _enqueue(self, train: list[Receipt]) -> None:
        self._queue.append(train)
        self._arrived.release()

    async def _carry_all(self, session: ClientSession) -> None:
        while True:
            await self._arrived.acquire()
            if not self._queue:  # cleared meanwhile
                continue
            for receipt in self._queue.popleft():
                try:
                    await self._carry(session, receipt)
                except Exception:
                    _log.exception("a callback could not be made")  # a bad URL must not stop this worker

    async def _carry(self, session: ClientSession, receipt: Receipt) -> None:
        settings = self._settings()
        address = receipts.address(receipt.api, settings)
        if address is None:
            return
        acknowledged, epoch = False, self._epoch
        try:
            async with self._request(session, settings, address, receipt) as answer:
                acknowledged = 200 <= answer.status < 300
        except (ClientError, TimeoutError, OSError) as error:
            _log.debug("a callback failed: %s", type(error).__name__)
        if epoch == self._epoch:
            self._settle(receipt, acknowledged, settings.callback_retry_scale)

    @staticmethod
    def _request(
        session: ClientSession, settings: Settings, address: str, receipt: Receipt
    ) -> AbstractAsyncContextManager[ClientResponse]:
        timeout = _timeout(settings.callback_timeout_seconds)
        if settings.callback_method == "GET" and receipt.api is not Api.ONE:
            url = URL(f"{address}{'&' if '?' in address else '?'}{receipt.content}", encoded=True)
            return session.get(url, timeout=timeout, allow_redirects=False)
        body, headers = receipt.content.encode(), {"Content-Type": receipt.content_type}
        return session.post(_url(address), data=body, headers=headers, timeout=timeout, allow_redirects=False)

    def _settle(self, receipt: Receipt, acknowledged: bool, retry_scale: float) -> None:
        if acknowledged:
            self._counts["acknowledged"] += 1
            return
        self._counts["refused"] += 1
        if receipt.retries == len(RETRIES_AFTER_SECONDS):
            self._counts["given_up"] += 1
            return
        wait = RETRIES_AFTER_SECONDS[receipt.retries] * retry_scale
        again = replace(receipt, retries=receipt.retries + 1)
        self._timetable.at(self._clock() + wait, partial(self._enqueue, [again]))


@lru_cache(maxsize=8)
def _url(address: str) -> URL:
    return URL(address)


@lru_cache(maxsize=8)
def _timeout(seconds: float) -> ClientTimeout:
    return ClientTimeout(total=seconds)
