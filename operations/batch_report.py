"""Batch report: a batch as CSV, a row for each message: state, cause, cost and times."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from datetime import UTC, datetime

from threelane.contract import phone
from threelane.contract.prices import CREDIT
from threelane.runtime.spreadsheet import text_cell
from threelane.store.outcome import BatchMessage

COLUMNS = (
    "id", "to", "state", "code", "reason", "parts", "credits", "charged", "accepted", "sent", "ended", "lane",
)  # fmt: skip
"""The columns of a report."""


def head() -> str:
    """Return the line with the names of the columns."""
    return _lines([COLUMNS])


def rows(found: Iterable[BatchMessage], *, full: bool) -> str:
    """Return the lines of these messages; ``full``: with whole numbers, which are masked otherwise."""
    return _lines(_cells(one, full=full) for one in found)


def _lines(found: Iterable[Iterable[str]]) -> str:
    written = io.StringIO(newline="")
    csv.writer(written, lineterminator="\n").writerows(found)
    return written.getvalue()


def _cells(one: BatchMessage, *, full: bool) -> list[str]:
    """Return the cells of a message; an amount is the gateway's charge, or else the estimate; 0 if it was not sent."""
    charged = one.charge_millionths is not None
    amount = one.spent_millionths + one.to_come_millionths
    return [
        one.id,
        one.to if full or not one.to else phone.mask(one.to),
        str(one.status or "forgotten"),
        text_cell(one.code),
        text_cell(one.reason),
        str(one.parts),
        f"{amount / CREDIT:g}",
        "yes" if charged else "no",
        *(_time(at) for at in (one.accepted_at, one.sent_at, one.ended_at)),
        str(one.lane or ""),
    ]


def _time(at: int) -> str:
    """Return a time as programs read it, in UTC; "" for none."""
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z") if at else ""
