"""Put back: when a nudge of RabbitMQ is kept, and when it is published again."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from threelane.worker.fetch import put_back
from threelane.worker.fetch.lanes import Lanes
from threelane.worker.fetch.put_back import PutBack, on_rabbitmq


class Publisher:
    """Keeps what is published."""

    def __init__(self) -> None:
        self.published: list[tuple[int, Sequence[str]]] = []
        self.accepts = True

    def publish(self, lane: int, ids: Sequence[str]) -> bool:
        self.published.append((lane, ids))
        return self.accepts


@pytest.fixture
def lanes(monkeypatch: pytest.MonkeyPatch) -> Lanes:
    made = Lanes(lambda: 100.0)
    monkeypatch.setattr(put_back, "LANES", made)
    monkeypatch.setattr(put_back, "WAITING", {1: 0, 2: 0, 3: 5})
    return made


@pytest.fixture
def publisher() -> Publisher:
    return Publisher()


@pytest.fixture
def back(lanes: Lanes, publisher: Publisher) -> PutBack:
    return on_rabbitmq(publisher)


def test_a_nudge_that_waits_for_the_rate_is_kept_while_others_wait_behind_it(
    back: PutBack, lanes: Lanes, publisher: Publisher
) -> None:
    """Published again, it would be behind them."""
    lanes.close_for(3, 0.05)
    assert not back(3, ["a"], began=99.0)
    assert [] == publisher.published


def test_a_nudge_is_kept_also_when_its_calls_lasted_longer_than_the_wait(back: PutBack, lanes: Lanes) -> None:
    """The lane is open again by then, and the rest of the nudge is still the oldest of the lane."""
    lanes.close_for(3, -4.0)
    assert not back(3, ["a"], began=95.0)


def test_a_nudge_without_others_behind_it_is_published_again(back: PutBack, lanes: Lanes, publisher: Publisher) -> None:
    """Its place is the same, and other workers see it."""
    lanes.close_for(2, 0.05)
    assert back(2, ["a"], began=99.0)
    assert [(2, ["a"])] == publisher.published


def test_a_nudge_of_a_held_or_stopped_lane_is_published_again(
    back: PutBack, lanes: Lanes, publisher: Publisher
) -> None:
    """It may wait for days; and a worker that stops or claims nothing must not keep it."""
    assert back(3, ["a"], began=99.0)
    lanes.close_for(3, 0.05)
    lanes.hold([3])
    assert back(3, ["b"], began=99.0)
    assert [(3, ["a"]), (3, ["b"])] == publisher.published


def test_a_nudge_that_rabbitmq_refuses_is_acknowledged_all_the_same(back: PutBack, publisher: Publisher) -> None:
    """Looks find its messages; requeued, it would come back at once, as long as the alarm lasts."""
    publisher.accepts = False
    assert back(1, ["a"], began=99.0)


def test_a_lane_closes_while_redis_is_away(back: PutBack, lanes: Lanes) -> None:
    """Otherwise its nudges would come back as fast as the broker can deliver them."""
    assert not back(3, ["a"], began=99.0, failed=True)
    assert 3 not in lanes.order()
