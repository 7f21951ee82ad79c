"""The clock that processes share: never ahead of Redis, and soon right again after a slow answer."""

from __future__ import annotations

import pytest

from threelane.runtime.clock import PROMPT_SECONDS, RESYNC_SECONDS, RESYNC_SOON_SECONDS, RedisClock


class Machine:
    """A monotonic clock that a test moves; Redis is a million seconds ahead of it."""

    def __init__(self) -> None:
        self.at = 50.0

    def __call__(self) -> float:
        return self.at

    def redis_ms(self) -> int:
        return int((self.at + 1_000_000) * 1000)


@pytest.mark.parametrize("there", [0.0, 0.01, 0.8])
@pytest.mark.parametrize("back", [0.0, 0.01, 0.8])
def test_it_is_never_ahead_and_behind_by_the_way_back_at_most(there: float, back: float) -> None:
    """A message that is due goes late by a slow answer, and not early by it."""
    machine = Machine()
    clock = RedisClock(machine)
    queried_at = machine.at
    machine.at += there
    redis_time = (int(machine.at + 1_000_000), round(machine.at % 1 * 1_000_000))
    machine.at += back
    clock.follow(redis_time, queried_at)
    machine.at += 5

    assert -1 <= machine.redis_ms() - clock.now() - back * 1000 <= 1


@pytest.mark.parametrize(
    ("took", "again"), [(PROMPT_SECONDS / 2, RESYNC_SECONDS), (PROMPT_SECONDS * 2, RESYNC_SOON_SECONDS)]
)
def test_a_slow_answer_is_soon_requested_again(took: float, again: float) -> None:
    """The delay that it adds is corrected within a second, and a quick answer holds for ten."""
    machine = Machine()
    clock = RedisClock(machine)
    assert clock.is_stale()
    clock.follow((1_000_050, 0), machine.at - took)
    stale = []
    for seconds in (again - 0.01, 0.02):
        machine.at += seconds
        stale.append(clock.is_stale())
    assert [False, True] == stale
