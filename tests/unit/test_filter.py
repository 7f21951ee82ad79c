"""A filter's criteria reach the script that looks through records."""

from __future__ import annotations

from threelane.store.find import CRITERIA, Filter
from threelane.store.record import Field


def test_every_criterion_is_about_a_field_of_the_record() -> None:
    """One that was forgotten would match all messages, and a redrive or a cancel would take them."""
    given = {name: 2 if name == "lane" else name for name in CRITERIA if name != "tag"}
    fields = Filter(**given).fields()  # type: ignore[arg-type]

    assert set(map(str, given.values())) == set(fields.values())
    assert fields.keys() <= set(Field)


def test_a_filter_needs_a_criterion() -> None:
    """A filter that matches all messages must be requested explicitly."""
    assert not Filter()
    assert [True] * len(CRITERIA) == [bool(Filter(**{name: 1 if name == "lane" else "x"})) for name in CRITERIA]  # type: ignore[arg-type]
