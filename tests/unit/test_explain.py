"""The history of a message shows what can be read of it."""

from __future__ import annotations

import msgspec
import pytest

from threelane.interfaces.api.messages import STANDS
from threelane.operations.explain import _receipts

DAMAGED = ("9" * 40 + " 1", '{"a":1}', "x", "1.5 4", "\N{ARABIC-INDIC DIGIT ONE} 4")


@pytest.mark.parametrize("report", DAMAGED)
def test_a_report_without_a_possible_time_is_left_out(report: str) -> None:
    """A time of forty digits ended explain, the console's page and the API's timeline with an error."""
    known = msgspec.structs.replace(STANDS, reports=("1767225600120 004", report))

    assert [(1_767_225_600_120, "004")] == [(one.at, one.detail) for one in _receipts(known)]
