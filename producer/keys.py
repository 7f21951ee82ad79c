"""Keys: every Redis key and every name on the broker, in one place.

| key | type | holds |
|---|---|---|
| ``tl:m:<id>`` | hash | the record, the truth about one message; expires ``retention`` after it was sent or ended, |
|  |  | and is without its ``body`` from then on |
| ``tl:due`` | zset | ids that wait for a time; score: when they are due, ms |
| ``tl:queued:<lane>`` | zset | ids that are due and not claimed; score: when they were queued, ms |
| ``tl:leases`` | zset | ids with an attempt under way; score: when the lease runs out, ms |
| ``tl:doubt`` | zset | ids in doubt; score: when to ask the gateway next, ms |
| ``tl:dead`` | zset | dead letters; score: since when, ms |
| ``tl:awaiting`` | zset | ids that were sent and have no final receipt; score: when they were sent, ms |
| ``tl:tally`` | hash | counts of all that happened, made by the scripts that let it happen |
| ``tl:holds`` | hash | what is on hold: scope -> JSON of cause, since, until |
| ``tl:rate`` | hash | the token buckets all workers share: ``tokens``, ``at``; ``asks``, ``asked`` |
| ``tl:claimed`` | hash | lane -> when the latest of its claimed ids was queued, ms: how far the lane has come |
| ``tl:worker:<name>`` | hash | a worker's last report: ``beat``, ``fetched``, ``lanes``; expires in a day |
| ``tl:session:<api>`` | string | the gateway session that all workers share; ``:renewing``, ``:pinged`` beside it |
| ``tl:sweep`` | hash | what the last sweep saw of each lane: ``<lane>:mark``, ``<lane>:empty`` |
| ``tl:sweeping`` | string | one sweep at a time; expires |
| ``tl:suppressed`` | hash | numbers that must not be sent to: MSISDN -> JSON of code, source, at |

A record's fields: ``status lane to parts accepted expires body`` from accept, and ``print due centre`` if there is
any; ``attempt first token`` from claim; ``gateway_id sent code reason text owner waits ended`` from settle;
``charge network`` and the same from receipt; ``lapses`` from lapse; ``probes doubted`` from probe and resolve.
"""

from __future__ import annotations

from producer.states import Status

LANES = (1, 2, 3)

DUE = "tl:due"
QUEUED = {lane: f"tl:queued:{lane}" for lane in LANES}
LEASES = "tl:leases"
DOUBT = "tl:doubt"
DEAD = "tl:dead"
AWAITING = "tl:awaiting"
TALLY = "tl:tally"
HOLDS = "tl:holds"
RATE = "tl:rate"
CLAIMED = "tl:claimed"
SWEEP = "tl:sweep"
SWEEPING = "tl:sweeping"
SUPPRESSED = "tl:suppressed"

SHELVES = (DUE, QUEUED[1], QUEUED[2], QUEUED[3], LEASES, DOUBT, DEAD, AWAITING, TALLY)
"""The first keys of every script that moves messages; their order is known to move.lua."""

SHELF_OF = {
    Status.SCHEDULED: DUE,
    Status.SENDING: LEASES,
    Status.IN_DOUBT: DOUBT,
    Status.DEAD: DEAD,
    Status.SENT: AWAITING,
}
"""Which set holds the ids of a state; a queued id is in its lane's set, a final one in none."""

TASK = "threelane.send"


def record(message_id: str) -> str:
    """Return the key of a message's record."""
    return "tl:m:" + message_id


def session(api: str) -> str:
    """Return the key of the gateway session that all workers share."""
    return "tl:session:" + api


def worker(name: str) -> str:
    """Return the key of a worker's report."""
    return "tl:worker:" + name


def queue(lane: int) -> str:
    """Return the name of a lane's Celery queue, which is also its routing key."""
    return f"sms.{lane}"
