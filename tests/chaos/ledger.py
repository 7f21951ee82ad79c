"""The final comparison: ids reported to producers, records, and messages received by the gateway."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import redis

from threelane.store import keys
from threelane.store.states import AT_REST, Status
from threelane.store.status import MessageStatus, read


class Comparison(msgspec.Struct):
    reported: int
    recorded: int
    received: int
    by_status: dict[str, int]
    lost: list[str]
    twice: list[str]
    unfinished: list[str]
    disagree: list[str]
    charged_in_records: int
    charged_at_sandbox: int
    tally: dict[str, int]

    @property
    def sound(self) -> bool:
        charges = self.charged_in_records == self.charged_at_sandbox
        return charges and not (self.lost or self.twice or self.unfinished or self.disagree)


def compare(reported: set[str], client: redis.Redis, ledger: dict[str, Any], *, can_look_up: bool = True) -> Comparison:
    """Compare the three; without a look-up (One API), ``unknown`` is a final state without a known charge."""
    records = {one.id: one for one in _all(client)}
    received = Counter(entry["client_id"] for entry in ledger["messages"])
    sent = {one.id for one in records.values() if one.sent_at}
    unknown = {one.id for one in records.values() if one.status is Status.UNKNOWN and not can_look_up}
    tally = {name.decode(): int(n) for name, n in client.hgetall(keys.TALLY).items()}
    return Comparison(
        reported=len(reported),
        recorded=len(records),
        received=len(received),
        by_status=dict(Counter(str(one.status) for one in records.values())),
        lost=sorted(reported - set(records)),
        twice=sorted(one for one, times in received.items() if times > 1),
        unfinished=sorted(one.id for one in records.values() if one.status not in AT_REST),
        disagree=sorted(((sent ^ set(received)) - unknown) | (set(received) - set(records))),
        charged_in_records=sum(one.charge_millionths for one in records.values()),
        charged_at_sandbox=sum(
            round(float(one["charge"]) * 1_000_000) for one in ledger["messages"] if one["client_id"] not in unknown
        ),
        tally=tally,
    )


def moving(client: redis.Redis) -> int:
    states = (Status.SCHEDULED, Status.QUEUED, Status.SENDING, Status.IN_DOUBT, Status.SENT)
    return sum(int(client.zcard(index)) for index in keys.indexes_of(*states))


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
