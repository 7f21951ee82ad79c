"""A batch has the name that its producer gave it, in any script; what nobody sees is in no name."""

from __future__ import annotations

import pytest

from threelane.contract.fields import batch_name
from threelane.contract.refusal import Refusal
from threelane.store.batches import digest, subscriber_tag


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("newsletter-7", "newsletter-7"),
        ("январь.csv", "январь.csv"),
        ("通知.csv", "通知.csv"),
        ("  spring (final) & summer, 2  ", "spring (final) & summer, 2"),
        ("Ame\u0301lie", "Am\u00e9lie"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("x" * 255, "x" * 255),
        ("e\u0301" * 255, "\u00e9" * 255),
    ],
)
def test_a_name_of_any_script_is_kept_as_given(given: str, name: str) -> None:
    """Files have such names; only the two spellings of an accent, and spaces around it, become one."""
    assert name == batch_name(given, "batch")


@pytest.mark.parametrize("given", ["", "   ", "x" * 256, "a\nb", "a\0b", "a\u202eb", "a\u200bb", "a\ud800b", 7, None])
def test_a_name_that_nobody_can_type_again_is_refused(given: object) -> None:
    """It would be shown like another one."""
    assert isinstance(batch_name(given, "batch"), Refusal)


def test_two_names_that_differ_at_their_end_are_two_batches() -> None:
    """Names over 64 letters collided; so did all names without Latin letters."""
    names = ["январь.csv", "февраль.csv", "通知.csv", "x" * 254 + "1", "x" * 254 + "2"]

    assert len(names) == len({digest("shop", one) for one in names})
    assert digest("shop", "7") != digest("bank", "7")


def test_a_person_has_another_tag_in_each_batch() -> None:
    """Nobody follows a person from batch to batch by the tags."""
    tags = {subscriber_tag(digest("shop", name), "27831234567") for name in ("1", "2")}

    assert 2 == len(tags)
    assert {6} == {len(tag) for tag in tags}
