"""What is counted has one name, for the scripts that count and for all that show it."""

from __future__ import annotations

import pytest

from threelane.operations.exporter import _COUNTS
from threelane.store.tally import Count


def test_a_count_is_named_by_its_family_and_its_labels() -> None:
    """As earlier versions have counted, and still do beside this one."""
    assert ["dead:301:operator", "to:2:sent", "lifted"] == [
        Count.DEAD.field(301, "operator"),
        Count.TO.field(2, "sent"),
        Count.LIFTED.field(),
    ]


def test_a_count_with_too_few_labels_is_a_mistake() -> None:
    """It would be counted, and shown nowhere."""
    with pytest.raises(TypeError, match="DEAD has the labels code, owner"):
        Count.DEAD.field("301")


def test_the_exporter_shows_only_what_is_counted() -> None:
    """A metric of a name that nothing counts would be zero forever."""
    families = {str(family).rstrip(":"): family for family in Count}

    assert [] == [name for name in _COUNTS if name not in families]
    assert [] == [name for name, (_, _, labels) in _COUNTS.items() if len(labels) != len(families[name].labels)]
