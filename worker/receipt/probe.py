"""Probe: takes messages that are due for a look-up, as many as the rate of look-ups allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import redis.asyncio

from threelane.store import keys
from threelane.store.keys import RecordKey
from threelane.store.scripts import script
from threelane.store.states import Status
from threelane.worker.process.settings import WorkerSettings


class Probed(NamedTuple):
    """A message to look up now; times in milliseconds."""

    id: str
    probes: int  # look-ups with the result "not found"
    doubted: int  # since when it is in doubt
    lapses: int
    body: bytes
    gateway_id: str
    sent_at: int  # when the gateway took it, or is to send it
    polls: int


def _probed(reply: Any) -> list[Probed]:
    return [
        Probed(one.decode(), int(probes), int(doubted), int(lapses), body, gateway_id.decode(), int(sent), int(polls))
        for one, probes, doubted, lapses, body, gateway_id, sent, polls in reply
    ]


@script(__file__, _probed)
def _probe(
    *,
    records: Sequence[RecordKey],
    now: int,
    lane: int,
    status: Status,
    again_at: int,
    a_second: float,
    ids: Sequence[str],
) -> None:
    """Take messages in doubt, or sent, for a look-up; returns those that were due."""


async def probe(
    client: redis.asyncio.Redis, due: Mapping[int, Sequence[str]], status: Status, settings: WorkerSettings, now: int
) -> list[Probed]:
    """Take due messages for a look-up, lane by lane, each for as long as a lease; returns those that were due."""
    taken: list[Probed] = []
    for lane, ids in due.items():
        taken += await _probe.run(
            client,
            records=keys.records(ids),
            now=now,
            lane=lane,
            status=status,
            again_at=now + settings.lease_ms,
            a_second=settings.look_ups_per_second,
            ids=ids,
        )
    return taken
