"""The rules that ``make fuzz`` holds the doors to hold for their seeds, cut and mixed, and can be broken."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from tests.fuzz.__main__ import NAMES
from tests.fuzz.doors import DOORS
from threelane.contract import message


def test_every_door_is_fuzzed() -> None:
    """The command knows them without loading them."""
    assert NAMES == tuple(DOORS)


@pytest.mark.parametrize("name", NAMES)
def test_the_rule_holds_for_what_is_known(name: str) -> None:
    """What the fuzzer begins with."""
    for seed in DOORS[name].seeds:
        DOORS[name].rule(seed)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=some.data())
def test_the_rule_holds_for_what_is_nearly_known(name: str, data: some.DataObject) -> None:
    """A seed with a piece of another in it, or with octets of no meaning."""
    one, other = (data.draw(some.sampled_from(DOORS[name].seeds)) for _ in range(2))
    at, to = (data.draw(some.integers(0, len(one))) for _ in range(2))
    DOORS[name].rule(one[:at] + data.draw(some.binary(max_size=8) | some.just(other[1:60])) + one[to:])


def test_a_door_that_raises_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the fuzzer runs for nothing."""
    monkeypatch.setattr(message, "parse", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        DOORS["messages"].rule(DOORS["messages"].seeds[0])
