"""Duplicates: a person who is in a file twice gets one message, unless the sender wants otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from threelane.contract.refusal import Code, Refusal
from threelane.contract.subscriber import subscriber
from threelane.producer.files.row import FileRow


class KeptRows:
    """Which row of each recipient counts: the first known one, or else the first; complete when a file was read once.

    ``has_changed`` is whether a known row took the place of a new one that was let through before.
    """

    def __init__(self) -> None:
        """Begin a file."""
        self._kept: dict[int, int] = {}  # numbers as integers: half the memory of strings
        self.has_changed = False

    def without_duplicates(self, rows: Iterable[FileRow]) -> Iterator[FileRow]:
        """Refuse each row whose recipient has another row; numbers are read before, and spellings of one are the same.

        A refused row does not count.
        """
        for row in rows:
            kept = self._number_kept(row)
            yield row if kept == row.number else row._replace(content=_refused(kept))

    def _number_kept(self, row: FileRow) -> int:
        """Return the number of the row that counts for the recipient of a row."""
        digits = "" if isinstance(row.content, Refusal) else str(row.content.get("to", "")).removeprefix("+")
        if not (digits.isascii() and digits.isdigit()):
            return row.number
        to, mark = int(subscriber(digits)), row.number * 2 + row.is_known
        kept = self._kept.setdefault(to, mark)
        if row.is_known and not kept % 2:
            self.has_changed = self.has_changed or kept // 2 != row.number
            self._kept[to] = kept = mark
        return kept // 2


def without_duplicates(rows: Iterable[FileRow]) -> Iterator[FileRow]:
    """Refuse each row whose recipient has an earlier row."""
    return KeptRows().without_duplicates(rows)


def _refused(kept: int) -> Refusal:
    return Refusal(
        code=Code.CONFLICT,
        field="to",
        problem=f"duplicate: the same recipient as in row {kept}",
        remedy="remove one of the rows, or give --duplicates send to send both",
    )
