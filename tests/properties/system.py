"""System: the real scripts on a real Redis, a clock that is moved by hand, and everything Redis holds at a glance."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any
from unittest import mock

import redis
import redis.asyncio

from tests.servers import RedisServer, allow_repeats
from threelane.contract import message
from threelane.contract.message import Draft
from threelane.contract.refusal import Refusal
from threelane.contract.window import Windows
from threelane.producer import pause as pausing
from threelane.producer.accept import Admission, accept
from threelane.producer.cancel import Cancelled, GatewayStops, cancel
from threelane.producer.drafting import Caller, Routed
from threelane.producer.rehearse import Rehearsed, rehearse
from threelane.producer.reschedule import Moved, move
from threelane.producer.routes import NOT_CHOSEN, Routes, own_account
from threelane.store import keys, suppression
from threelane.store.find import Filter
from threelane.store.keys import HERE, Space
from threelane.store.states import STORED, Status
from threelane.store.suppression import Entry
from threelane.worker.dead import redrive as dead_letters
from threelane.worker.doubt.lapse import lapse
from threelane.worker.doubt.resolve import resolve
from threelane.worker.fetch.release import release
from threelane.worker.gateway.outcome import AttemptOutcome, LookUp, OutcomeKind
from threelane.worker.inbound.report import StatusReport
from threelane.worker.policy.legacy import LEGACY
from threelane.worker.process.settings import WorkerSettings
from threelane.worker.receipt.receipt import receive
from threelane.worker.send.claim import Claimed, Claims, claim
from threelane.worker.send.defer import defer
from threelane.worker.send.judge import Decision, Patience, Tried, judge
from threelane.worker.send.settle import Settlement, settle
from threelane.worker.upkeep.expire import expire
from threelane.worker.upkeep.sweep import sweep

START = 1_800_000_000_000


@dataclass
class Glance:
    """All of Redis that matters, read between two steps."""

    space: Space = HERE
    records: dict[str, dict[str, str]] = field(default_factory=dict)
    expiring: dict[str, bool] = field(default_factory=dict)
    indexes: dict[str, dict[str, float]] = field(default_factory=dict)
    tally: dict[str, int] = field(default_factory=dict)
    holds: dict[str, str] = field(default_factory=dict)
    rate: dict[str, float] = field(default_factory=dict)
    claimed: dict[str, int] = field(default_factory=dict)
    pauses: set[str] = field(default_factory=set)
    order: set[str] = field(default_factory=set)

    def of(self, status: Status) -> dict[str, float]:
        """Return the members of all indexes of a state, with their scores."""
        indexes = keys.indexes_of(status, space=self.space)
        return {one: score for key in indexes for one, score in self.indexes[key].items()}

    def status(self, message_id: str) -> Status | None:
        record = self.records.get(message_id)
        return Status(record["status"]) if record else None


class Unanswered:
    """A gateway that has the requests of one lane's look-ups; their answers are still on the way."""

    can_look_up = True
    look_ups_per_request = 1

    def __init__(self) -> None:
        self.queried: dict[str, asyncio.Future[LookUp]] = {}
        self.has_requests = asyncio.Event()

    async def look_up_many(self, message_ids: Sequence[str]) -> list[LookUp]:
        """Stand in for the gateway."""
        answers: list[asyncio.Future[LookUp]] = [asyncio.get_running_loop().create_future() for _ in message_ids]
        self.queried.update(zip(message_ids, answers, strict=True))
        self.has_requests.set()
        return await asyncio.gather(*answers)


class PendingLookUp:
    """A look-up of what is due in all lanes: the gateway has the requests."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._lanes = [Unanswered() for _ in keys.LANES]
        client, settings, now = system.client, system.settings, system.now
        self._tasks = [
            system.loop.create_task(resolve(client, gateway, settings, lane, now))
            for lane, gateway in zip(keys.LANES, self._lanes, strict=True)
        ]
        system.run(self._until_it_waits())

    @property
    def queried(self) -> dict[str, asyncio.Future[LookUp]]:
        """The requests by message."""
        return {one: answer for gateway in self._lanes for one, answer in gateway.queried.items()}

    def answer(self, found: dict[str, LookUp]) -> dict[int, list[str]]:
        """Let the answers arrive; returns what is to be nudged."""
        for message_id, future in self.queried.items():
            future.set_result(found[message_id])
        return self.end()

    def end(self) -> dict[int, list[str]]:
        """Wait for the end; returns what is to be nudged."""
        done = [self._system.run(task) for task in self._tasks]
        return {lane: ids for _, again in done for lane, ids in again.items()}

    async def _until_it_waits(self) -> None:
        for task, gateway in zip(self._tasks, self._lanes, strict=True):
            waits = asyncio.create_task(gateway.has_requests.wait())
            await asyncio.wait({task, waits}, return_when=asyncio.FIRST_COMPLETED)
            waits.cancel()


class System:
    """Every verb of a message's life, with the time and the token that a test sets."""

    def __init__(self, port: int, loop: asyncio.AbstractEventLoop, settings: WorkerSettings) -> None:
        self.loop = loop
        self.settings = settings
        self.now = START
        self._drafts = 0
        self._attempts = 0
        self.table = LEGACY
        self.can_look_up = False  # True: an internal error is looked up before its retry
        self.space = settings.space
        self.names = keys.names(self.space)
        self.sync = redis.Redis(port=port)
        self.client = redis.asyncio.Redis(port=port)

    def run(self, work: Coroutine[Any, Any, Any] | asyncio.Task[Any]) -> Any:
        return self.loop.run_until_complete(work)

    def empty(self) -> None:
        self.now = START
        self._drafts = 0
        self.sync.flushdb()
        allow_repeats(self.sync)

    def close(self) -> None:
        self.run(self.client.aclose())
        self.sync.close()

    def draft(self, **fields: Any) -> Draft:
        """Make a draft; ids are counted, since Hypothesis repeats a walk to make it shorter."""
        self._drafts += 1
        with mock.patch("threelane.contract.message.new_id", return_value=f"{self._drafts:032x}"):
            parsed = message.parse({"to": "27831234567", "text": "Hello", **fields}, self.now)
        assert not isinstance(parsed, Refusal), parsed
        return parsed

    def accept(self, drafts: list[Draft]) -> list[Admission]:
        return accept(self.sync, drafts, self.now, space=self.space)

    def rehearse(self, draft: Draft) -> Rehearsed | Refusal:
        """Return the result that accept would have."""
        routes = Routes(own_account(self.settings))
        caller = Caller(self.now, None, "", "", names_account=True)
        (found,) = rehearse(self.sync, [Routed(draft, NOT_CHOSEN, routes, {}, caller)], self.now)
        return found

    def take(self, **fields: Any) -> str:
        """Accept one message; returns its id."""
        draft = self.draft(**fields)
        self.accept([draft])
        return draft.message.id

    def claim(self, lane: int, ids: list[str], token: str, behind: int = 0) -> Claims:
        """Claim with a token of the test's choice, by a clock that may be a little behind."""
        with mock.patch("threelane.worker.send.claim.secrets.token_hex", lambda _: token):  # noqa: PT008 - a Mock is slow to make
            return self.run(claim(self.client, lane, ids, self.settings, self.now - behind))

    def judge(self, claimed: Claimed, outcome: AttemptOutcome) -> Decision:
        patience = Patience(first_probe_seconds=self.settings.doubt_delays_seconds[0], can_look_up=self.can_look_up)
        tried = Tried(
            claimed.message, claimed.attempt, claimed.first_tried_at, claimed.queued_at, may_move=claimed.may_move
        )
        return judge(tried, outcome, self.table, patience, self.now, Random(0))

    def settle(self, ended: list[Settlement]) -> list[bool]:
        return list(self.run(settle(self.client, ended, self.settings.keeping, self.now, space=self.space)).each)

    def cancel(self, ids: list[str], *, gateway_stops: bool = True) -> list[Cancelled]:
        return cancel(self.sync, ids, self.settings.retention_ms, self.now, lambda _: GatewayStops(gateway_stops))

    def move(self, message_id: str, due_at: int) -> Moved | Refusal:
        return move(self.sync, message_id, due_at, self.now)

    def defer(self, windows: Windows, lane: int, ids: list[str]) -> list[str]:
        """Return those that may go on to be claimed."""
        return list(self.run(defer(self.client, windows, lane, ids, self.now, self.space)))

    def attempt(self, message_id: str, outcome: AttemptOutcome, lane: int = 3) -> None:
        """Do all that a worker does with a queued message."""
        self._attempts += 1
        (claimed,) = self.claim(lane, [message_id], f"token {self._attempts}").claimed
        assert [True] == self.settle([Settlement(claimed, outcome, self.judge(claimed, outcome))])

    def outcomes(self, message_id: str) -> list[dict[str, str]]:
        """Return the events of a message's end, in the order in which producers get them."""
        events = [_text(event) for _, event in self.sync.xrange(keys.EVENTS)]
        return [event for event in events if event["id"] == message_id and event["type"] == "outcome"]

    def release(self) -> dict[int, list[str]]:
        """Release a batch of each lane; returns by lane what is to be nudged."""
        lanes = {lane: self.run(release(self.client, lane, self.now, self.space)) for lane in keys.LANES}
        return {lane: ids for lane, ids in lanes.items() if ids}

    def lapse(self) -> list[str]:
        return self.run(lapse(self.client, int(self.settings.doubt_delays_seconds[0] * 1000), self.now, self.space))

    def start_look_up(self) -> PendingLookUp:
        return PendingLookUp(self)

    def receive(self, reports: list[StatusReport]) -> list[str]:
        return self.run(receive(self.client, reports, self.settings.keeping, self.now, space=self.space))

    def sweep(self, depths: dict[int, int]) -> dict[int, list[str]]:
        return self.run(sweep(self.client, depths, self.settings, self.now))

    def redrive(self, code: str) -> dict[str, int]:
        return dead_letters.redrive(self.sync, mock.Mock(), Filter(code=code), self.now)

    def suppress(self, number: str) -> None:
        suppression.add(self.sync, [(number, Entry(source="test", first=self.now, last=self.now))])

    def pause(self, batch: str, ids: list[str]) -> int:
        """Pause a batch of no producer; a pause that is killed on the way moves only some of its ids."""
        return pausing.pause(self.sync, "", batch, ids, self.now).messages

    def resume(self, batch: str) -> list[str]:
        """Resume a batch; returns what is nudged."""
        nudger = mock.Mock()
        with mock.patch("threelane.producer.pause.spaces", return_value=(self.space,)):
            pausing.resume(self.sync, nudger, "", batch, self.now)
        return [one for call in nudger.publish.call_args_list for one in call.args[1]]

    def expire(self) -> int:
        return self.run(expire(self.client, self.settings.retention_ms, self.now, self.space))

    def hold(self, scope: str, until: int) -> None:
        self.sync.hset(self.names.HOLDS, scope, f'{{"code":"130","cause":"test","since":0,"until":{until}}}')

    def glance(self, ids: list[str]) -> Glance:
        """Read everything in one trip."""
        indexes = keys.indexes_of(*keys.INDEXES, space=self.space)
        with self.sync.pipeline() as pipe:
            for one in ids:
                pipe.hgetall(keys.record(one))
                pipe.pttl(keys.record(one))
            for key in indexes:
                pipe.zrange(key, 0, -1, withscores=True)
            for key in (self.names.TALLY, self.names.HOLDS, self.names.RATE, self.names.CLAIMED):
                pipe.hgetall(key)
            pipe.hkeys(keys.PAUSES)
            pipe.zrange(self.names.PAUSED_ORDER, 0, -1)
            replies = pipe.execute()
        seen = Glance(self.space)
        for number, one in enumerate(ids):
            record, left = replies[2 * number], replies[2 * number + 1]
            if record:
                seen.records[one] = _text(record)
                if "paused" in seen.records[one]:
                    assert STORED[Status.PAUSED] == seen.records[one]["status"]
                    seen.records[one]["status"] = Status.PAUSED
                seen.expiring[one] = left > 0
        for key, members in zip(indexes, replies[2 * len(ids) :], strict=False):
            seen.indexes[key] = {member.decode(): score for member, score in members}
        tally, holds, rate, claimed = (_text(reply) for reply in replies[-6:-2])
        seen.pauses, seen.order = ({one.decode() for one in reply} for reply in replies[-2:])
        seen.tally = {name: int(count) for name, count in tally.items()}
        seen.holds = holds
        seen.rate = {name: float(value) for name, value in rate.items()}
        seen.claimed = {lane: int(score) for lane, score in claimed.items()}
        return seen


@contextmanager
def open_system(server: RedisServer, **changes: Any) -> Iterator[System]:
    """Yield a system on a test's Redis, with a loop of its own."""
    loop = asyncio.new_event_loop()
    made = System(server.port, loop, WorkerSettings(redis_url=server.url, **changes))
    allow_repeats(made.sync)
    try:
        yield made
    finally:
        made.close()
        loop.close()


@contextmanager
def open_accounts(server: RedisServer, names: Sequence[str]) -> Iterator[dict[str, System]]:
    """Yield a system for each account on one Redis, each with ids of its own."""
    with ExitStack() as opened:
        made = {}
        for place, account in enumerate(names):
            changes: dict[str, Any] = {"account": account, "parts_per_second": 1_000, "look_ups_per_second": 1_000}
            made[account] = opened.enter_context(open_system(server, doubt_delays_seconds=(5,), **changes))
            made[account]._drafts = 1_000 * place
        yield made


def reached(outcome: AttemptOutcome) -> bool:
    """Return whether the gateway took the message, for outcomes made by this package."""
    return outcome.kind is OutcomeKind.ACCEPTED or outcome.text == "taken"


def _text(reply: dict[bytes, bytes]) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in reply.items()}
