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
| ``tl:awaiting`` | zset | ids that were sent and have no final receipt; score: when to ask the gateway for it, ms |
| ``tl:tally`` | hash | counts of all that happened, made by the scripts that let it happen |
| ``tl:holds`` | hash | what is on hold: scope -> JSON of cause, since, until |
| ``tl:rate`` | hash | the token buckets all workers share: ``tokens``, ``at``; ``asks``, ``asked`` |
| ``tl:claimed`` | hash | lane -> when the latest of its claimed ids was queued, ms: how far the lane has come |
| ``tl:worker:<name>`` | hash | a worker's last report: ``beat fetched lanes rate served``; expires in a day |
| ``tl:workers`` | zset | names of workers; score: when each reported last, ms |
| ``tl:session:<api>`` | string | the gateway session that all workers share; ``:renewing``, ``:pinged`` beside it |
| ``tl:sweep`` | hash | what the last sweep saw of each lane: ``<lane>:mark``, ``<lane>:empty`` |
| ``tl:sweeping`` | string | one sweep at a time; expires |
| ``tl:erasing`` | string | one look for what is to be erased in an hour; expires |
| ``tl:suppressed`` | hash | numbers that must not be sent to: MSISDN -> JSON list of entries, see suppression.py |
| ``tl:events`` | stream | outcomes, replies and late messages, for producers; trimmed by the sweep |
| ``tl:heard`` | string | when a callback door last wrote a report down, ms; to within some seconds |
| ``tl:late`` | zset | ids of lane 1 that were sent; score: when their producer is told that no receipt came, ms |
| ``tl:stopping`` | zset | ids that the gateway holds and shall stop; score: when to ask it, ms |
| ``tl:producers`` | hash | name of a producer -> JSON of its rights and its webhook |
| ``tl:api-keys`` | hash | id of a key of the HTTP API -> JSON of its digest, its producer and its rights |
| ``tl:api-rate:<id>`` | hash | what a key has left of its rate: ``left at``; expires |
| ``tl:console:<digest>`` | hash | a login at the operator's page: ``key csrf made said search number look``; expires |
| ``tl:console-tries:<from>`` | string | logins that were tried from an address; expires |
| ``tl:windows`` | hash | ``lane:2``, ``lane:3`` or ``tag:<tag>`` -> when its messages may be sent, as text |
| ``tl:prices`` | hash | country -> the last price of a part there, millionths of a credit |
| ``tl:balance`` | hash | what the gateway said last: ``credits at error``; ``left``: less what was claimed since |
| ``tl:burn`` | hash | minute of Unix time -> what was charged in it; the last day |
| ``tl:budgets`` | hash | ``<scope>:<period>`` -> JSON of the limit |
| ``tl:spent:<period>`` | hash | scope -> what is reserved and charged in the day or month; expires |
| ``tl:reply:<id>`` | string | replies that were taken, by the gateway's id of them; expires |
| ``tl:reply-parts:<key>`` | hash | the parts of a long reply that came so far |
| ``tl:reply-halves`` | zset | keys of these; score: when what came is passed on as it is, ms |
| ``tl:deliveries:<producer>`` | zset | events on their way to a webhook; score: when to try next, ms |
| ``tl:delivery:<producer>`` | hash | the same ids -> JSON of event and tries |
| ``tl:undelivered:<producer>`` | zset | events that a webhook never took; score: since when, ms |

A record's fields: ``status lane to parts accepted expires body`` from accept, and ``print due centre producer client
tags batch gateway_due bypassed estimate country`` if there is any; under a budget ``period counted``; ``trace`` (a
W3C traceparent) if its producer traces; ``schema`` if it is above 1; ``attempt first token`` from claim;
``gateway_id sent code reason text owner waits ended`` from settle; ``charge network rank charge_rank reports`` and the
same from receipt; ``lapses`` from lapse; ``probes doubted`` from probe and resolve; ``asks`` from poll; ``erased`` from
erase, which takes ``to body print client text reports`` away.
"""

from __future__ import annotations

from threelane.store.states import Status

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
ERASING = "tl:erasing"
SUPPRESSED = "tl:suppressed"
EVENTS = "tl:events"
LATE = "tl:late"
HEARD = "tl:heard"
STOPPING = "tl:stopping"
PRODUCERS = "tl:producers"
API_KEYS = "tl:api-keys"
WINDOWS = "tl:windows"
REPLY_HALVES = "tl:reply-halves"
WORKERS = "tl:workers"
LANE_1_WORKER = "tl:lane-1-worker"  # the name of one that fetches nothing else, while it lives
PRICES = "tl:prices"
BALANCE = "tl:balance"
BURN = "tl:burn"
BUDGETS = "tl:budgets"
SPENT = "tl:spent:"

SHELVES = (DUE, QUEUED[1], QUEUED[2], QUEUED[3], LEASES, DOUBT, DEAD, AWAITING, TALLY, EVENTS)
"""The first keys of every script that moves messages; their order is known to move.lua."""

MONEY = {"burn": BURN, "prices": PRICES, "balance": BALANCE, "budgets": BUDGETS, "spent": SPENT}
"""What the scripts count credits in; written in front of them."""

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


def api_rate(key_id: str) -> str:
    """Return the key of what a key of the HTTP API has left of its rate."""
    return "tl:api-rate:" + key_id


def console(digest: str) -> str:
    """Return the key of a login at the operator's page."""
    return "tl:console:" + digest


def console_tries(address: str) -> str:
    """Return the key that counts the logins tried from an address."""
    return "tl:console-tries:" + address


def reply(reply_id: str) -> str:
    """Return the key that says that a reply was taken."""
    return "tl:reply:" + reply_id


def reply_parts(key: str) -> str:
    """Return the key of the parts of a long reply."""
    return "tl:reply-parts:" + key


def deliveries(producer: str) -> str:
    """Return the key of the events on their way to a producer's webhook."""
    return "tl:deliveries:" + producer


def delivery(producer: str) -> str:
    """Return the key of these events' contents."""
    return "tl:delivery:" + producer


def undelivered(producer: str) -> str:
    """Return the key of the events that a producer's webhook never took."""
    return "tl:undelivered:" + producer


def queue(lane: int) -> str:
    """Return the name of a lane's Celery queue, which is also its routing key."""
    return f"sms.{lane}"
