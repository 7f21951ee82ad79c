"""Status callbacks: pushes the statuses of each message's mask, and again when they are not acknowledged."""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Final
from urllib.parse import quote_plus

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from yarl import URL

from sandbox.codes import AT_NETWORK, MASKS
from sandbox.faults import Do
from sandbox.form import FORM_TYPE
from sandbox.ledger import Message
from sandbox.settings import Settings
from sandbox.timetable import Timetable

_MINUTES: Final = 60.0
_FORM: Final = {"Content-Type": FORM_TYPE}
RETRIES_AFTER_SECONDS: Final = (*(2**n * _MINUTES for n in range(1, 8)), 3 * 24 * 60 * _MINUTES)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Receipt:
    """One status of one message on its way to the callback URL."""

    form: str
    retries: int = 0


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
        """Pushes a status that the message's mask holds, if a URL is set, as the message's faults have it."""
        if not self._settings().callback_url or status not in MASKS[message.order.callback]:
            return
        receipts, faults = [Receipt(_form(message, status, at))], message.effects.receipts
        if Do.RECEIPTS_LOST in faults:
            return
        if Do.RECEIPTS_DOUBLED in faults:
            receipts *= 2
        if Do.RECEIPTS_OUT_OF_ORDER in faults:
            if status == AT_NETWORK:
                self._swapped[message.id] = receipts
                return
            receipts += self._swapped.pop(message.id, [])
        if message.effects.receipts_late_seconds:
            self._timetable.at(at + message.effects.receipts_late_seconds, partial(self._enqueue, receipts))
        else:
            self._enqueue(receipts)

    def as_json(self) -> dict[str, int]:
        """Returns how many receipts wait, and how many requests came to what."""
        counts = {name: self._counts[name] for name in ("acknowledged", "refused", "given_up")}
        return {"waiting": sum(map(len, self._queue)), **counts}

    def _enqueue(self, receipts: list[Receipt]) -> None:
        self._queue.append(receipts)
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
        if settings.callback_url is None:
            return
        acknowledged, epoch = False, self._epoch
        try:
            async with self._request(session, settings, settings.callback_url, receipt) as answer:
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
        if settings.callback_method == "GET":
            url = URL(f"{address}{'&' if '?' in address else '?'}{receipt.form}", encoded=True)
            return session.get(url, timeout=timeout, allow_redirects=False)
        body = receipt.form.encode("ascii")
        return session.post(_url(address), data=body, headers=_FORM, timeout=timeout, allow_redirects=False)

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


def _form(message: Message, status: str, at: float) -> str:
    """Returns a callback as a form; written by hand, since urlencode costs as much as taking a message."""
    order = message.order
    return (
        f"api_id={quote_plus(message.api_id)}&apiMsgId={message.id}&cliMsgId={quote_plus(order.client_id)}"
        f"&to={message.to}&from={quote_plus(order.sender)}&timestamp={int(at)}&status={status}"
        f"&charge={message.charge:.6f}"
    )
