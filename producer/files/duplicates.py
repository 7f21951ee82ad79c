"""Duplicates: a person who is in a file twice gets one message, unless the sender wants otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from threelane.contract.refusal import Code, Refusal
from threelane.contract.subscriber import subscriber
from threelane.producer.files.row import FileRow


def without_duplicates(rows: Iterable[FileRow]) -> Iterator[FileRow]:
    """Refuse each row whose recipient has an earlier row; numbers are read before, and spellings of one are the same.

    A refused row does not count as an earlier one.
    """
    first: dict[int, int] = {}  # numbers as integers: half the memory of strings
    for row in rows:
        if isinstance(row.content, Refusal):
            yield row
            continue
        digits = str(row.content.get("to", "")).removeprefix("+")
        if not (digits.isascii() and digits.isdigit()):
            yield row
            continue
        earlier = first.setdefault(int(subscriber(digits)), row.number)
        yield row if earlier == row.number else row._replace(content=_refused(earlier))


def _refused(earlier: int) -> Refusal:
    return Refusal(
        code=Code.CONFLICT,
        field="to",
        problem=f"duplicate: the same recipient as in row {earlier}",
        remedy="remove one of the rows, or give --duplicates send to send both",
    )
