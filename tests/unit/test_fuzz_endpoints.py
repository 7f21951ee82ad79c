"""The rules of ``make fuzz`` hold for the seeds of each target, cut and mixed, and a broken rule is found."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from tests.fuzz.__main__ import NAMES
from tests.fuzz.targets import TARGETS
from threelane.contract import message


def test_every_target_is_fuzzed() -> None:
    """The command lists the targets without loading them."""
    assert NAMES == tuple(TARGETS)


@pytest.mark.parametrize("name", NAMES)
def test_the_rule_holds_for_the_seeds(name: str) -> None:
    """The fuzzer starts with the seeds."""
    for seed in TARGETS[name].seeds:
        TARGETS[name].rule(seed)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=some.data())
def test_the_rule_holds_for_mutated_seeds(name: str, data: some.DataObject) -> None:
    """A seed with a piece of another in it, or with random octets."""
    one, other = (data.draw(some.sampled_from(TARGETS[name].seeds)) for _ in range(2))
    at, to = (data.draw(some.integers(0, len(one))) for _ in range(2))
    TARGETS[name].rule(one[:at] + data.draw(some.binary(max_size=8) | some.just(other[1:60])) + one[to:])


def test_a_parser_that_raises_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the fuzzer could never fail."""
    monkeypatch.setattr(message, "parse", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        TARGETS["messages"].rule(TARGETS["messages"].seeds[0])
