"""Which lane is fetched from next: 1 first, with a floor for those below."""

from __future__ import annotations

from collections import Counter
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from threelane.store import keys
from threelane.worker.fetch import lanes as lanes_module
from threelane.worker.fetch.lanes import LaneOrder, Lanes


class Clock:
    """A clock that only a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lanes(clock: Clock) -> Lanes:
    return Lanes(clock)


def test_lane_1_is_first_and_lane_3_last(lanes: Lanes) -> None:
    """As long as no lane is owed anything."""
    assert [1, 2, 3] == lanes.order()


def test_reading_the_order_changes_nothing(lanes: Lanes) -> None:
    """kombu calls at every turn, also when all lanes are empty."""
    lanes.served(1, 10)
    assert [[2, 3, 1]] * 5 == [lanes.order() for _ in range(5)]


# Lanes that are closed, held or stopped.


def test_a_closed_lane_is_left_out_until_its_time_is_up(lanes: Lanes, clock: Clock) -> None:
    """The rate is used up: its nudges stay on the broker, for the first worker that may fetch them."""
    lanes.close_for(2, 0.5)
    assert [1, 3] == lanes.order()
    clock.now += 0.499
    assert [1, 3] == lanes.order()
    clock.now += 0.001
    assert [1, 2, 3] == lanes.order()


def test_a_lane_that_is_closed_again_stays_closed_for_the_newer_time(lanes: Lanes, clock: Clock) -> None:
    """The rate is as the last claim reported it."""
    lanes.close_for(1, 10)
    lanes.close_for(1, 1)
    clock.now += 1
    assert [1, 2, 3] == lanes.order()


@pytest.mark.parametrize(("held", "crowded"), [([3] * 6, False), ([3, 2] * 3 + [3], True), ([1] * 6 + [3] * 2, False)])
def test_lanes_2_and_3_together_leave_one_thread_to_lane_1(lanes: Lanes, held: list[int], crowded: bool) -> None:
    """Of eight; otherwise a code waits until somebody's hundred newsletters are sent."""
    lanes.threads = 8
    lanes.holding(keys.queue(lane) for lane in held)
    assert ([1] if crowded else [1, 2, 3]) == lanes.order()


@pytest.mark.parametrize(("held", "order"), [([], [1, 2, 3]), ([1], [1, 2, 3]), ([3], [2, 3]), ([2, 3] * 3 + [3], [])])
def test_a_busy_process_leaves_lane_1_to_a_reserved_worker(lanes: Lanes, held: list[int], order: list[int]) -> None:
    """An idle one is as quick as the other, and takes what comes."""
    lanes.threads, lanes.spared = 8, True
    lanes.holding(keys.queue(lane) for lane in held)
    assert order == lanes.order()
    lanes.spared = False
    assert 1 in lanes.order()


def test_a_process_of_one_thread_leaves_none(lanes: Lanes) -> None:
    lanes.threads = 1
    lanes.holding([])
    assert [1, 2, 3] == lanes.order()


def test_a_held_lane_is_left_out_until_the_hold_is_lifted(lanes: Lanes, clock: Clock) -> None:
    """A hold has no timer of its own here: the code that reads the holds ends it."""
    lanes.hold([1, 3])
    clock.now += 1e9
    assert ([2], [True, False, True]) == (lanes.order(), [lanes.is_held(lane) for lane in keys.LANES])
    lanes.hold([])
    assert [1, 2, 3] == lanes.order()


def test_a_stop_of_all_lanes_ends_by_itself_and_leaves_holds_as_they_are(lanes: Lanes, clock: Clock) -> None:
    """Between the gateway's refusal and the next look at the holds nothing more is fetched."""
    lanes.hold([3])
    lanes.stop_all_for(1.0)
    assert ([], [True] * 3) == (lanes.order(), [lanes.is_held(lane) for lane in keys.LANES])
    clock.now += 0.999
    assert [] == lanes.order()
    clock.now += 0.001
    assert [1, 2] == lanes.order()


def test_a_closed_lane_is_not_held(lanes: Lanes) -> None:
    """What was fetched from it already may still be sent."""
    lanes.close_for(2, 5)
    assert not lanes.is_held(2)


def test_a_lane_that_is_owed_is_not_fetched_from_while_it_is_closed(lanes: Lanes) -> None:
    """The floor does not bypass a hold or the rate."""
    lanes.served(1, 100)
    lanes.close_for(3, 1)
    lanes.hold([2])
    assert [1] == lanes.order()


# The floor.


def simulated(lanes: Lanes, backlog: dict[int, float], sizes: dict[int, int], fetches: int) -> Counter[int]:
    """Fetch nudge after nudge of the first lane that has any; returns the messages served by lane."""
    served: Counter[int] = Counter()
    for _ in range(fetches):
        lane = next((lane for lane in lanes.order() if backlog[lane] > 0), None)
        if lane is None:
            break
        backlog[lane] -= sizes[lane]
        lanes.served(lane, sizes[lane])
        served[lane] += sizes[lane]
    return served


ENDLESS = float("inf")


@pytest.mark.parametrize("share", [0.05, 0.1])
@pytest.mark.parametrize("size_1", [1, 10, 100])
@pytest.mark.parametrize("size_3", [1, 10, 100])
def test_lane_3_keeps_its_share_while_lane_1_is_never_empty(share: float, size_1: int, size_3: int) -> None:
    """For each message of lane 1 a share of one, whatever the size of the nudges, to within a tenth of it."""
    lanes = Lanes(Clock())
    lanes.share = share
    served = simulated(lanes, {1: ENDLESS, 2: 0, 3: ENDLESS}, {1: size_1, 2: 1, 3: size_3}, 20_000)
    assert share == pytest.approx(served[3] / served[1], rel=0.1)


@pytest.mark.parametrize("share", [0.05, 0.1, 0.2])
def test_lanes_2_and_3_keep_a_share_each_while_no_lane_is_ever_empty(share: float) -> None:
    """Lane 3 has its share of both above it: it is not the one that pays for the floor of lane 2."""
    lanes = Lanes(Clock())
    lanes.share = share
    served = simulated(lanes, dict.fromkeys(keys.LANES, ENDLESS), dict.fromkeys(keys.LANES, 10), 50_000)
    assert (share, share) == pytest.approx((served[2] / served[1], served[3] / (served[1] + served[2])), rel=0.1)


@given(some.lists(some.tuples(some.sampled_from([1, 2, 3]), some.integers(1, 100)), max_size=60))
def test_the_order_is_strict_unless_a_lane_is_owed_a_whole_message(history: list[tuple[int, int]]) -> None:
    """Whatever was served: no lane goes before a higher one without a message that it is owed."""
    lanes = Lanes(Clock())
    owed = {2: 0.0, 3: 0.0}
    for lane, messages in history:
        lanes.served(lane, messages)
        for lower in owed:
            if lower > lane:
                owed[lower] = min(10.0, owed[lower] + messages * 0.1)
            elif lower == lane:
                owed[lower] = max(-100.0, owed[lower] - messages)
        first = [one for one in (2, 3) if owed[one] >= 1.0]
        assert [*first, *(one for one in (1, 2, 3) if one not in first)] == lanes.order()


def test_an_idle_lane_does_not_save_up_for_a_rush(lanes: Lanes) -> None:
    """A day of codes does not let a newsletter go before the next code for minutes."""
    lanes.served(1, 1_000_000)
    served = simulated(lanes, {1: ENDLESS, 2: 0, 3: ENDLESS}, {1: 1, 2: 1, 3: 1}, 100)
    assert served[3] <= 10 + 10


def test_a_lane_that_was_alone_for_hours_does_not_pay_for_them_later(lanes: Lanes) -> None:
    """A night of newsletters does not starve them through the morning's codes."""
    lanes.served(3, 1_000_000)
    served = simulated(lanes, {1: ENDLESS, 2: 0, 3: ENDLESS}, {1: 1, 2: 1, 3: 1}, 2_000)
    assert served[3] >= 50


def test_nothing_is_lost_of_the_pace_when_higher_lanes_are_empty(lanes: Lanes) -> None:
    """A floor is not a ceiling: a lane alone is served all the time."""
    assert Counter({3: 500}) == simulated(lanes, {1: 0, 2: 0, 3: ENDLESS}, {1: 1, 2: 1, 3: 5}, 100)


# The strategy that kombu makes by its name.


@pytest.fixture
def order(monkeypatch: pytest.MonkeyPatch, lanes: Lanes) -> LaneOrder:
    monkeypatch.setattr(lanes_module, "LANES", lanes)
    return LaneOrder(["sms.3", "sms.1", "sms.2"])


def test_the_order_is_of_kombu_s_queues(order: LaneOrder, lanes: Lanes) -> None:
    """As many as kombu requests, in the lanes' order."""
    assert ["sms.1", "sms.2", "sms.3"] == order.consume(10)
    assert ["sms.1"] == order.consume(1)
    lanes.served(1, 10)
    assert ["sms.2", "sms.3", "sms.1"] == order.consume(3)


@pytest.mark.parametrize("way", list(permutations(["sms.1", "sms.2", "sms.3"])))
def test_neither_kombu_s_order_nor_what_was_fetched_last_changes_ours(order: LaneOrder, way: tuple[str, ...]) -> None:
    """A round robin would let a newsletter go before a code every third time."""
    order.update(way)
    assert ["sms.3", "sms.1", "sms.2"] == [order.rotate(name) for name in ("sms.3", "sms.1", "sms.2")]
    assert ["sms.1", "sms.2", "sms.3"] == order.consume(3)


def test_a_queue_that_kombu_does_not_consume_is_not_fetched(order: LaneOrder) -> None:
    """``-Q sms.1`` makes a worker for codes alone."""
    order.update(["sms.1"])
    assert ["sms.1"] == order.consume(3)


def test_a_client_of_celery_gets_its_replies(order: LaneOrder, lanes: Lanes) -> None:
    """Its reply queue is no lane, and no hold stops it."""
    order.update(["1.reply.celery.pidbox"])
    lanes.stop_all_for(1)
    assert ["1.reply.celery.pidbox"] == order.consume(3)


def test_with_all_lanes_closed_nothing_is_fetched(order: LaneOrder, lanes: Lanes) -> None:
    """An empty list, and kombu calls again at its next turn."""
    lanes.stop_all_for(1)
    assert [] == order.consume(3)


def test_a_strategy_without_queues_fetches_nothing() -> None:
    """kombu makes it before it knows its queues."""
    assert [] == LaneOrder().consume(3)


# What a look needs to know.


def test_a_lane_keeps_its_threads_in_looks_as_in_fetches(lanes: Lanes) -> None:
    """Of four threads, lanes 2 and 3 have three together, nudges and looks alike; lane 1 may have all."""
    lanes.threads = 4
    assert [4, 3, 3] == [lanes.free_threads(lane) for lane in keys.LANES]
    with lanes.serving(3), lanes.serving(2, look=True):
        assert [2, 1, 1] == [lanes.free_threads(lane) for lane in keys.LANES]
        with lanes.serving(3, look=True):
            assert [1, 0, 0] == [lanes.free_threads(lane) for lane in keys.LANES]
            assert [1] == lanes.to_look_at()
            with lanes.serving(1):
                assert [] == lanes.to_look_at()
    assert [1, 2, 3] == lanes.to_look_at()


def test_looks_under_way_count_when_a_process_is_crowded(lanes: Lanes) -> None:
    """It would otherwise fetch as many newsletters again as it looks after already."""
    lanes.threads = 4
    with lanes.serving(3, look=True), lanes.serving(3, look=True):
        lanes.holding([keys.queue(3)])
        assert [1] == lanes.order()
    lanes.holding([keys.queue(3)])
    assert [1, 2, 3] == lanes.order()


def test_only_lanes_that_this_worker_serves_are_looked_at(lanes: Lanes) -> None:
    """A worker for codes alone stays one, also while the broker is away and nothing is consumed."""
    lanes.serves = frozenset({1})
    assert [1] == lanes.to_look_at()
    lanes.close_for(1, 1)
    assert [] == lanes.to_look_at()


def test_a_lane_is_empty_when_the_broker_had_no_nudge_of_it_last(lanes: Lanes, clock: Clock) -> None:
    """A backlog that the broker delivers is not taken for lost nudges."""
    assert None is lanes.empty_for(3)
    lanes.found(3, nudge=False)
    clock.now += 0.5
    assert 0.5 == lanes.empty_for(3)
    lanes.requested([3])
    assert 0.0 == lanes.empty_for(3)
    lanes.found(3, nudge=True)
    assert None is lanes.empty_for(3)


def test_a_broker_that_does_not_respond_counts_as_empty(lanes: Lanes, clock: Clock) -> None:
    """After a start it has longer: a worker that connects must not take a whole backlog for lost."""
    clock.now += 60  # for the gateway's balance
    lanes.connecting()
    clock.now += lanes_module.CONNECT_SECONDS
    assert None is lanes.empty_for(3)
    clock.now += 0.1
    assert 0.0 == lanes.empty_for(3)
    lanes.found(3, nudge=True)
    clock.now += lanes_module.AWAY_SECONDS
    assert None is lanes.empty_for(3)
    clock.now += 0.1
    assert 0.0 == lanes.empty_for(3)


def test_a_process_that_was_fully_busy_gives_the_broker_time_to_respond(lanes: Lanes, clock: Clock) -> None:
    """It requested nothing meanwhile; the backlog is not lost for that."""
    lanes.threads = 1
    lanes.found(3, nudge=True)
    with lanes.serving(3):
        clock.now += 60
    assert None is lanes.empty_for(3)
    clock.now += lanes_module.TURN_SECONDS + 0.1
    assert 0.0 == lanes.empty_for(3)


def test_kombu_s_responses_show_which_lanes_are_empty(order: LaneOrder, lanes: Lanes) -> None:
    """BRPOP takes from the first queue that has something: those before it were empty."""
    assert ["sms.1", "sms.2", "sms.3"] == order.consume(3)
    order.rotate("sms.2")
    assert [0.0, None, None] == [lanes.empty_for(lane) for lane in keys.LANES]
    order.consume(3)
    order.was_empty()
    assert [0.0, 0.0, 0.0] == [lanes.empty_for(lane) for lane in keys.LANES]
