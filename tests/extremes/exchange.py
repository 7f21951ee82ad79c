"""Exchange: real intake on one side, the sandbox behind the real gateway class and real HTTP on the other."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Any, get_args

from tests.extremes.requests import with_parameters
from threelane import Producer, ProducerSettings
from threelane.contract import message as messages
from threelane.contract.gateways import NEVER, OURS, declared
from threelane.contract.message import Draft, Message
from threelane.contract.refusal import Refusal
from threelane.sandbox import one_codes
from threelane.worker.gateway.choose import gateway
from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind
from threelane.worker.gateway.wire import HttpReply, Wire
from threelane.worker.process.settings import AccountSettings

FEATURE_OF = {"type": "flash"}  # a field -> the feature whose parameter carries it, if the names differ
AT_ONCE = 50  # requests of an API
OWN_CODES = {("rest", field, "120"): "101" for field in ("deliver_at", "delay", "at_gateway")}
"""(API, field, our code) -> the code that this API documents for the same: Central REST calls a past time 101."""


def now_ms() -> int:
    return int(time.time() * 1000)


def choices(setting: str) -> list[str]:
    """Return the values of a setting of intake that has a closed set of them; empty if there is no such setting."""
    field = ProducerSettings.model_fields.get(setting)
    annotation: Any = field.annotation if field else ()
    return [str(one) for one in get_args(annotation) or annotation]


class Intake:
    """The intake of an installation with one API, up to the point where a message would be stored."""

    def __init__(self, redis_url: str, api: str, **settings: Any) -> None:
        self.api = api
        self._producer = Producer(ProducerSettings(redis_url=redis_url, gateway=api, **settings))

    def read(self, raw: Mapping[str, Any], now: int | None = None) -> Draft | Refusal:
        """Return the draft or the refusal of a message, as library, HTTP API and files get it."""
        drafter = self._producer._enqueuer._drafter
        found = drafter.draft(raw, drafter.caller(now or now_ms(), None))
        return found if isinstance(found, Refusal) else found.draft

    def message(self, raw: Mapping[str, Any]) -> Message:
        """Return a message that is accepted."""
        draft = self.read(raw)
        assert isinstance(draft, Draft), draft
        return draft.message

    def close(self) -> None:
        self._producer.close()


_CHANGES: ContextVar[Mapping[str, Any]] = ContextVar("changes", default={})  # noqa: B039 - nothing changes it


class ChangedWire(Wire):
    """Sends requests with some parameters changed: what a caller would send without our intake."""

    async def request(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None = None
    ) -> HttpReply | AttemptOutcome:
        changes = _CHANGES.get()
        return await super().request(method, url, headers, with_parameters(body, changes) if body and changes else body)


class Outside:
    """The gateway class of an API, connected to the sandbox."""

    def __init__(self, runner: asyncio.Runner, api: str, url: str, **settings: Any) -> None:
        self.api, self._runner = api, runner
        credentials: dict[str, Any] = {one.name: "sandbox" for one in declared()[api].credentials}
        self._settings = AccountSettings(gateway=api, gateway_url=url, **credentials, **settings)
        runner.run(self._open())

    async def _open(self) -> None:
        self._gateway: Any = gateway(self._settings)
        await self._gateway._wire.close()
        self._gateway._wire = ChangedWire(self._settings.gateway_timeout_seconds)

    def send(self, sent: Sequence[Message], at: int | None = None) -> list[str]:
        """Return the verdict on each message, sent when it is due, as many a request as a worker sends.

        ``at`` is the time at which they are sent, if another than now.
        """
        now, size = at or now_ms(), self._gateway.batch_size
        by_time: dict[int, list[int]] = defaultdict(list)
        for index, one in enumerate(sent):
            by_time[now if one.at_gateway else max(now, one.due_at)].append(index)
        parts = [
            (at, indexes[start : start + size])
            for at, indexes in by_time.items()
            for start in range(0, len(indexes), size)
        ]
        answers = self._gather([([sent[index] for index in part], {}, at) for at, part in parts])
        found = dict(zip([index for _, part in parts for index in part], answers, strict=True))
        return [found[index] for index in range(len(sent))]

    def send_changed(self, sent: Sequence[tuple[Message, Mapping[str, Any]]]) -> list[str]:
        """Return the verdict on each message, whose request has other values of some parameters."""
        return self._gather([([one], changes, now_ms()) for one, changes in sent])

    def _gather(self, calls: Sequence[tuple[Sequence[Message], Mapping[str, Any], int]]) -> list[str]:
        """Return the verdicts of several requests; each message passes its record first."""

        async def call(limit: asyncio.Semaphore, part: Sequence[Message], changes: Mapping[str, Any], at: int) -> Any:
            _CHANGES.set(changes)
            async with limit:
                return await self._gateway.send([messages.decode(messages.encode(one)) for one in part], at)

        async def all_calls() -> list[list[AttemptOutcome]]:
            limit = asyncio.Semaphore(AT_ONCE)
            return await asyncio.gather(*(asyncio.create_task(call(limit, *one)) for one in calls))

        return [verdict(outcome) for answers in self._runner.run(all_calls()) for outcome in answers]

    def close(self) -> None:
        self._runner.run(self._gateway.close())


def parameter(api: str, field: str) -> str:
    """Return the API's parameter that carries a field, or "" if none does."""
    name = declared()[api].parameter(FEATURE_OF.get(field, field))
    return "" if name in (OURS, NEVER) else name


def same_code(api: str, field: str, code: str) -> str:
    """Return the code of an API for what has the given code at intake."""
    if declared()[api].family == "one_api":
        return str(one_codes.FROM_LEGACY.get(code, code))
    return OWN_CODES.get((api, field, code), str(code))


def verdict(outcome: AttemptOutcome) -> str:
    """Return ``accepted``, or the code of a refusal; anything else is an error of the test."""
    assert outcome.kind in (OutcomeKind.ACCEPTED, OutcomeKind.REFUSED), outcome
    return outcome.code or "accepted"
