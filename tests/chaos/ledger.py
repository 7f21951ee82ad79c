"""The final comparison: ids reported to producers, records, and messages received by the gateway."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import redis

from threelane.store import keys
from threelane.store.states import AT_REST, Status
from threelane.store.status import MessageStatus, read

HIDE = "hide"  # the sandbox's fault: taken, never answered and never found
DENY = "code_after"  # taken, and answered with an internal error: an API without a look-up sends such a message again
HELD_AHEAD_SECONDS = 3600  # a message in doubt with no look-up before this is held for an operator


class Comparison(msgspec.Struct):
    """The comparison; each list has message ids, and ``longest_wait`` is that of lane 1."""

    reported: int
    recorded: int
    received: int
    by_status: dict[str, int]
    lost: list[str]  # neither received nor reported as unresolved
    twice: list[str]  # more than one copy, or more than two of a message that the gateway hid
    unfinished: list[str]
    disagree: list[str]
    hidden_twice: list[str]  # two copies of a message that the gateway hid
    denied_twice: list[str]  # a further copy of a message that the gateway denied to have, without a look-up
    unresolved: dict[str, int]  # reported as unknown or held, by status and reason
    in_doubt: int
    longest_wait: LongestWait
    charged_in_records: int
    charged_at_sandbox: int
    tally: dict[str, int]

    @property
    def sound(self) -> bool:
        charges = self.charged_in_records == self.charged_at_sandbox
        return charges and not (self.lost or self.twice or self.unfinished or self.disagree)


class LongestWait(NamedTuple):
    """How long a code of lane 1 waited until it arrived at the gateway, since it was accepted or due."""

    seconds: float = 0.0
    id: str = ""


def compare(reported: set[str], client: redis.Redis, ledger: dict[str, Any], *, can_look_up: bool = True) -> Comparison:
    """Compare the three; an ``unknown`` message is unresolved, and so has no known charge.

    Without a look-up, that is a final state of any message; else of those only that the gateway hid.  Nor can such an
    API be queried about a message that it took and refused with an internal error (docs/doubt.md, Remaining risks): a
    copy that was denied so is counted apart.
    """
    records = {one.id: one for one in _all(client)}
    received = Counter(entry["client_id"] for entry in ledger["messages"])
    denied = [] if can_look_up else _denied(ledger["messages"], received)
    copies = received - Counter(entry["client_id"] for entry in denied)
    hidden = {entry["client_id"] for entry in ledger["messages"] if HIDE in entry["faults"]}
    sent = {one.id for one in records.values() if one.sent_at}
    held = _held(client)
    unresolved = {one.id for one in records.values() if one.status is Status.UNKNOWN or one.id in held}
    explained = unresolved if not can_look_up else unresolved & hidden
    missing = {one for one in (reported | sent) - set(received) - unresolved if not _was_refused(records.get(one))}
    return Comparison(
        reported=len(reported),
        recorded=len(records),
        received=len(received),
        by_status=dict(Counter(str(one.status) for one in records.values())),
        lost=sorted((reported - set(records)) | missing),
        twice=sorted(one for one, times in copies.items() if times > (2 if one in hidden else 1)),
        unfinished=sorted(one.id for one in records.values() if one.status not in AT_REST and one.id not in held),
        disagree=sorted((set(received) - sent - explained) | (set(received) - set(records))),
        hidden_twice=sorted(one for one in hidden if received[one] == 2),
        denied_twice=sorted({entry["client_id"] for entry in denied}),
        unresolved=dict(Counter(f"{records[one].status} {records[one].reason}" for one in unresolved)),
        in_doubt=sum(one.status is Status.IN_DOUBT for one in records.values()),
        longest_wait=_longest_wait(records, ledger),
        charged_in_records=sum(one.charge_millionths for one in records.values() if one.id not in unresolved),
        charged_at_sandbox=sum(
            round(float(one["charge"]) * 1_000_000)
            for one in ledger["messages"]
            if one["client_id"] not in unresolved and HIDE not in one["faults"] and one not in denied
        ),
        tally={name.decode(): int(n) for name, n in client.hgetall(keys.TALLY).items()},
    )


def _denied(entries: Sequence[Mapping[str, Any]], received: Counter[str]) -> list[Mapping[str, Any]]:
    """Return the copies that the gateway denied to have, but for the only one of a message."""
    left, denied = received.copy(), []
    for entry in entries:
        if DENY in entry["faults"] and left[entry["client_id"]] > 1:
            left[entry["client_id"]] -= 1
            denied.append(entry)
    return denied


def moving(client: redis.Redis) -> int:
    """Return how many messages are on their way; those held for an operator are not."""
    on_their_way = (Status.SCHEDULED, Status.QUEUED, Status.SENDING, Status.SENT)
    waiting = sum(int(client.zcard(index)) for index in keys.indexes_of(*on_their_way))
    doubts = keys.indexes_of(Status.IN_DOUBT)
    return waiting + sum(int(client.zcount(index, "-inf", _much_later())) for index in doubts)


def _held(client: redis.Redis) -> set[str]:
    """Return the messages in doubt that are not looked up again soon: an operator is to decide."""
    indexes = keys.indexes_of(Status.IN_DOUBT)
    return {one.decode() for index in indexes for one in client.zrange(index, _much_later(), "+inf", byscore=True)}


def _much_later() -> float:
    return (time.time() + HELD_AHEAD_SECONDS) * 1000


def _was_refused(record: MessageStatus | None) -> bool:
    """Return whether a message ended without being sent, and its producer knows."""
    return record is not None and not record.sent_at and record.status in AT_REST


def _longest_wait(records: dict[str, MessageStatus], ledger: dict[str, Any]) -> LongestWait:
    """Return the longest wait from accepted or due to the arrival of the first copy, in lane 1."""
    arrived = {entry["client_id"]: entry["taken_at"] for entry in reversed(ledger["messages"])}
    codes = (one for one in records.values() if one.lane == 1 and one.id in arrived)
    waits = (LongestWait(arrived[one.id] - max(one.accepted_at, one.due_at) / 1000, one.id) for one in codes)
    return max(waits, default=LongestWait())


def history(message_id: str, client: redis.Redis, ledger: dict[str, Any], folder: Path) -> str:
    """Return the history of one message, from all ledgers and logs."""
    record = {name.decode(): value.decode() for name, value in client.hgetall(keys.record(message_id)).items()}
    lines = [json.dumps({"record": record})]
    lines += [json.dumps(entry) for entry in ledger["messages"] if entry["client_id"] == message_id]
    events = []
    for log in folder.glob("*.log"):
        for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
            if message_id in line:
                events.append((line.partition('"at":"')[2][:23], f"{log.stem}: {line}"))
    return "\n".join(lines + [line for _, line in sorted(events)])


def _all(client: redis.Redis) -> list[MessageStatus]:
    ids = [key.decode().removeprefix("tl:m:") for key in client.scan_iter("tl:m:*", count=10_000)]
    found: list[MessageStatus] = []
    for start in range(0, len(ids), 1000):
        found += [one for one in read(client, ids[start : start + 1000]) if one]
    return found
