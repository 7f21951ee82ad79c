"""Each way in has a size that it takes, and refuses more at once, unread and in words."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Any

import pytest

from threelane.contract import message
from threelane.contract.fields import FIELDS
from threelane.contract.refusal import Refusal
from threelane.producer.files import bulk
from threelane.producer.files.bulk import MAX_CELL
from threelane.store import suppression

ZA = "27831234567"
HUGE = 3_000_000
LONG = 300_000
NOW = int(time.time() * 1000)


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
@pytest.mark.parametrize("letter", ["9", "a", "\uff12", "“", " ", ","])
def test_a_field_of_300000_letters_is_refused_in_a_sentence(field: Any, letter: str) -> None:
    """The refusal repeats no more than the beginning of the value."""
    fields = {"to": ZA, "text": "Hello", field.gateway_name: letter * LONG}
    if field.name == "binary":
        del fields["text"]
    refused = message.parse(fields, NOW)
    assert isinstance(refused, Refusal)
    assert len(str(refused)) < 400


@pytest.mark.parametrize(
    "fields",
    [
        {"to": 10**5000},
        {"lane": 10**5000},
        {"tags": itertools.repeat("promo")},
        {"tags": itertools.repeat("")},
        {"binary": bytes(HUGE), "text": None},
        {"udh": bytes(HUGE)},
        {"x" * HUGE: 1},
        dict.fromkeys(map(str, range(100_000)), 1),
    ],
    ids=["to", "lane", "tags", "no tags", "binary", "udh", "name", "names"],
)
def test_huge_values_of_other_types_are_refused_as_well(fields: dict[str, Any]) -> None:
    """Numbers that Python cannot write, lists without an end, more names than anybody has."""
    answer = message.parse({"to": ZA, "text": "Hello", **fields}, NOW)
    if "tags" in fields and not isinstance(answer, Refusal):
        assert () == answer.message.tags
        return
    assert isinstance(answer, Refusal)
    assert len(str(answer)) < 400


def test_a_cell_that_never_ends_is_one_bad_row(tmp_path: Path) -> None:
    """A quote that was never closed is not read into memory as a whole."""
    file = tmp_path / "rows.csv"
    file.write_text(f'to,text\n{ZA},"' + "a" * (MAX_CELL + 2) + '"\n' + f"{ZA},Hello\n")
    with file.open("rb") as opened:
        rows = list(bulk.read_csv(opened))
    assert isinstance(rows[0].content, Refusal)
    assert len(str(rows[0].content)) < 400


def test_a_number_for_the_list_has_a_length() -> None:
    """As one that is sent to."""
    with pytest.raises(ValueError, match="3,000,000 characters instead"):
        suppression.parse_number("2" * HUGE)
