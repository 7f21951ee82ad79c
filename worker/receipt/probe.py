"""Probe: takes messages that are due for a look-up, lane by lane, as many as the shared rate of look-ups allows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import redis.asyncio

from threelane.store import keys, rows
from threelane.store.keys import RecordKey
from threelane.store.scripts import script
from threelane.store.states import Status
from threelane.store.visibility import Sight, Visibility
from threelane.worker.gateway.outcome import LookUp
from threelane.worker.policy.statuses import meaning
from threelane.worker.process.settings import WorkerSettings

REQUESTS_AT_ONCE = 20  # of one lane and state in one process
MOST_AT_ONCE = 200  # messages


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
    resent_at: int  # from doubt; 0: never
    retry_at: int  # in doubt after a temporary refusal; 0: not
    expires_at: int
    former_id: str = ""  # the gateway's id of the attempt before the message was returned, or of its other copy
    is_cancelled: bool = False

    def is_former(self, found: LookUp) -> bool:
        """Return whether a look-up found only the attempt before, or the other copy of what was resent from doubt.

        A delivered copy is good news of the message, whichever it is.
        """
        is_good = bool(self.resent_at) and meaning(found.status) is Status.DELIVERED
        return self.former_id != "" and found.gateway_id == self.former_id and not is_good


class Taken(NamedTuple):
    """The messages to look up now, and what was known of visibility before."""

    messages: Sequence[Probed]
    visibility: Visibility = Visibility()


def _taken(reply: Any) -> Taken:
    seen, messages = reply
    return Taken([_probed(*one) for one in messages], Visibility.read(seen))


def _probed(
    message_id: bytes, probes: bytes, doubted: bytes, lapses: bytes, body: bytes, gateway_id: bytes, *rest: bytes
) -> Probed:
    *numbers, former_id, cancelled = rest
    sent, polls, resent, retry, expires = map(int, numbers)
    return Probed(
        message_id.decode(),
        int(probes),
        int(doubted),
        int(lapses),
        body,
        gateway_id.decode(),
        sent,
        polls,
        resent,
        retry,
        expires,
        former_id.decode(),
        cancelled == b"1",
    )


@script(__file__, _taken, [Sight])
def _probe(
    *,
    records: Sequence[RecordKey],
    now: int,
    status: Status,
    lane: int,
    again_at: int,
    a_second: float,
    most_a_second: float,
    per_request: int,
    ids: Sequence[str],
) -> None:
    """Take messages in doubt, or sent, for a look-up; returns those that were due."""


async def take_due(
    client: redis.asyncio.Redis,
    status: Status,
    lane: int,
    settings: WorkerSettings,
    now: int,
    per_request: int = 1,
) -> Taken:
    """Take the messages of a lane in doubt, or sent, that are due for a look-up, within the rate."""
    names = keys.names(settings.space)
    index = (names.DOUBT if status is Status.IN_DOUBT else names.AWAITING)[lane]
    most = min(REQUESTS_AT_ONCE * per_request, MOST_AT_ONCE)
    due: Any = await client.zrange(index, "-inf", now, byscore=True, offset=0, num=most)
    ids = await rows.take_ids(client, index, due)
    if not ids:
        return Taken([])
    return await _probe.within(settings.space).run(
        client,
        records=keys.records(ids),
        now=now,
        status=status,
        lane=lane,
        again_at=now + settings.lease_ms,
        a_second=settings.look_ups_per_second,
        most_a_second=settings.most_look_ups_per_second,
        per_request=per_request,
        ids=ids,
    )
