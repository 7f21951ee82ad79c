"""The list as a whole: after any entries and lifts, in any order, both checks agree with a simple model."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.properties.system import System
from tests.servers import RedisServer
from threelane.producer.accept import Accepted
from threelane.store import suppression
from threelane.store.suppression import OPERATOR, STOP, Entry
from threelane.worker.inbound.report import InboundReply
from threelane.worker.process.settings import WorkerSettings
from threelane.worker.reply.reply import take
from threelane.worker.reply.words import build

DAY = 24 * 3600 * 1000
NUMBERS = ("27831234567", "27831234568")
SOURCES = {OPERATOR: 1, "code 122": 1, "code 105": 3, STOP: 1}  # and how many times each is needed
SCOPES = ("all", "sender:Shop", "tag:promo", "lanes:2,3", "lanes:1", "number:Shop")
MESSAGES: list[dict[str, Any]] = [
    {"to": number, **fields} for number in NUMBERS for fields in ({}, {"sender": "Shop"}, {"tags": ["news", "promo"]})
]

number = st.sampled_from(NUMBERS)
add = st.tuples(
    st.just("add"),
    number,
    st.sampled_from(tuple(SOURCES)),
    st.sampled_from(SCOPES),
    st.sampled_from((0, 0, 3 * DAY, 90 * DAY)),
)
lift = st.tuples(st.just("lift"), number, st.sampled_from(("", *SOURCES)), st.sampled_from(("", *SCOPES)))
replies = st.tuples(
    st.just("says"), number, st.sampled_from(("STOP", "stop all!", "START", "unstop", "please stop by"))
)
waits = st.tuples(st.just("waits"), st.sampled_from((1, DAY, 3 * DAY, 60 * DAY)))
steps = st.lists(st.one_of(add, add, lift, replies, replies, waits), max_size=14)


@dataclass
class Known:
    """One entry of the model."""

    times: int
    last: int
    expires: int

    def is_over(self, now: int) -> bool:
        return 0 < self.expires <= now


@dataclass
class Model:
    """Which entry blocks which number, in plain Python."""

    entries: dict[tuple[str, str, str], Known] = field(default_factory=dict)

    def add(self, to: str, source: str, scope: str, expires: int, now: int) -> None:
        known = self.entries.get((to, source, scope))
        times = 0 if known is None or known.is_over(now) else known.times
        self.entries[to, source, scope] = Known(times + 1, now, expires)

    def lift(self, to: str, source: str, scope: str, before: float = inf) -> int:
        meant = [one for one in self.entries if one[0] == to and source in ("", one[1]) and scope in ("", one[2])]
        meant = [one for one in meant if self.entries[one].last < before]
        for one in meant:
            del self.entries[one]
        return len(meant)

    def forbids(self, message: dict[str, Any], now: int) -> bool:
        sender = message.get("sender", "")
        fits = {"all", "lanes:2,3", f"sender:{sender}", *(f"tag:{tag}" for tag in message.get("tags", ()))}
        fits |= {f"number:{sender or 'Shop'}"}
        return any(
            to == message["to"] and scope in fits and known.times >= SOURCES[source] and not known.is_over(now)
            for (to, source, scope), known in self.entries.items()
        )


@pytest.fixture(scope="module")
def system(redis_server: RedisServer) -> Iterator[System]:
    loop = asyncio.new_event_loop()
    made = System(redis_server.port, loop, WorkerSettings(redis_url=redis_server.url, parts_per_second=100_000))
    yield made
    made.close()
    loop.close()


@settings(max_examples=60, database=None)
@given(walk=steps)
def test_accept_and_claim_agree_with_the_model(system: System, walk: list[tuple[Any, ...]]) -> None:
    """The messages wait while the list changes, so that the claim has to find what accept could not."""
    system.empty()
    model, words = Model(), build({})
    waiting = [system.draft(**fields) for fields in MESSAGES]
    system.accept(waiting)
    now = system.now - 1_000 * DAY  # the past may be as long as it likes; the messages wait a moment
    for number, (verb, *arguments) in enumerate(walk):
        if verb == "add":
            to, source, scope, lasts = arguments
            expires = now + lasts if lasts else 0
            entry = Entry(
                source=source, scope=scope, first=now, last=now, expires=expires, needs=SOURCES[source], evidence="é/\\"
            )
            suppression.add(system.sync, [(to, entry)])
            model.add(to, source, scope, expires, now)
        elif verb == "lift":
            assert model.lift(*arguments) == suppression.lift(system.sync, *arguments)
        elif verb == "says":
            to, text = arguments
            for _ in range(2):  # the gateway repeats itself
                reply = InboundReply(f"reply{number}", to, "12025550100", text, at=now)
                system.run(take(system.client, reply, words, now + 5))
            if text in ("STOP", "stop all!"):
                model.add(to, STOP, "all", 0, now)
            elif text in ("START", "unstop"):
                for source in (STOP, "code 122"):  # what the recipient decided
                    model.lift(to, source, "", now)
        else:
            now += arguments[0]
    expected = [model.forbids(fields, now) for fields in MESSAGES]

    system.now = now  # for the two checks alone: the messages' own times are of no matter to them
    answers = system.accept([system.draft(**fields) for fields in MESSAGES])
    assert expected == [not isinstance(one, Accepted) for one in answers]
    ids = [one.message.id for one in waiting]
    claimed = {one.id for one in system.claim(3, ids, "token").claimed}
    assert expected == [one not in claimed for one in ids]
    assert {to for to, _, _ in model.entries} == {one.number for one in suppression.every(system.sync)}
