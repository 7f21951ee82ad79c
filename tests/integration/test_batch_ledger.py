"""Progress and report of a batch agree with the sandbox's ledger, row by row and in credits."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests.integration.conftest import Workers, taken
from tests.servers import wait_until
from threelane import Accepted, MessageMapping, Producer, Status
from threelane.contract.prices import CREDIT
from threelane.sandbox.running import Running

NAME = "通知 8"
REFUSED, ENDS_IN_007 = "27999111300", "27999200700"
DELIVERED = [f"2799950{at:04}" for at in range(60)]


def test_progress_and_report_agree_with_the_ledger(producer: Producer, reporting: Running, workers: Workers) -> None:
    """What the gateway took, delivered and charged is what the batch reports; what it refused is not in its ledger."""
    rows: list[MessageMapping] = [
        {"to": to, "text": f"Hello {to}", "batch": NAME, "lane": 1} for to in (*DELIVERED, REFUSED, ENDS_IN_007)
    ]
    ids = {one.id for one in producer.send_many(rows) if isinstance(one, Accepted)}
    assert len(rows) == len(ids)
    workers.start()

    def at_rest() -> bool:
        found = producer.batch(NAME)
        return found is not None and found.delivered + sum(found.failed.values()) == len(rows)

    wait_until(at_rest, 60)
    wait_until(lambda: all(one.charge_millionths is not None for one in _sent(producer)), 30)
    ledger, found = taken(reporting), producer.batch(NAME)
    assert found

    assert (len(DELIVERED), 2, 0) == (found.delivered, sum(found.failed.values()), found.waiting)
    report = {one.id: one for one in producer.batch_report(NAME)}
    assert ids == report.keys()
    for message_id, one in report.items():
        entries = ledger.get(message_id, [])
        assert (0 if one.to == REFUSED else 1) == len(entries)
        for entry in entries:
            assert one.to == entry["to"]
            assert (one.status is Status.DELIVERED) == (entry["status"] == "004")
            assert round(_charge(entry) * CREDIT) == one.charge_millionths
    charged = sum(_charge(entry) for entries in ledger.values() for entry in entries)
    assert round(charged * CREDIT) == found.cost_so_far
    assert Counter(found.states) == Counter(str(one.status) for one in report.values())


def _sent(producer: Producer) -> list[Any]:
    return [one for one in producer.batch_report(NAME) if one.status is not Status.DEAD]


def _charge(entry: dict[str, Any]) -> float:
    return float(entry["charge"])
