"""Rabbit: which questions a worker asks RabbitMQ, and when; the broker's answers are given by hand."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
from amqp import spec

from threelane.store import keys
from threelane.worker.fetch.lanes import Lanes
from threelane.worker.fetch.rabbit import RabbitChannel


class Asking(RabbitChannel):
    """Keeps its questions; ``found`` and ``empty`` answer the last one."""

    def __init__(self, room: int, lanes: tuple[int, ...] = keys.LANES) -> None:
        self.asked: list[str] = []
        self.sent: list[tuple[int, int]] = []
        self.taken: list[Any] = []
        super().__init__(mock.Mock(channels={}, confirm_publish=False), 1)
        self.basic_qos(0, room, False)
        for lane in lanes:
            self.basic_consume(keys.queue(lane), f"tag {lane}", False, False, nowait=True, callback=self.taken.append)

    def send_method(self, sig: tuple[int, int], *given: Any, **_: Any) -> None:
        if sig == spec.Basic.Get:
            self.asked.append(given[1][1])
        else:
            self.sent.append(sig)

    def found(self, tag: int) -> None:
        self._callbacks[spec.Basic.GetOk](tag, False, "", self.asked[-1], 0, mock.Mock())

    def empty(self) -> None:
        self._callbacks[spec.Basic.GetEmpty]("")


@pytest.fixture
def lanes(monkeypatch: pytest.MonkeyPatch) -> Lanes:
    made = Lanes()
    monkeypatch.setattr("threelane.worker.fetch.lanes.LANES", made)
    return made


def test_lanes_are_asked_in_order_one_question_at_a_time(lanes: Lanes) -> None:
    """And after the last one nothing more, until the pause is over."""
    channel = Asking(room=8)
    channel.fetch()
    channel.fetch()
    assert ["sms.1"] == channel.asked
    for _ in range(3):
        channel.empty()
    assert ["sms.1", "sms.2", "sms.3"] == channel.asked
    channel.fetch()
    assert "sms.1" == channel.asked[-1]


def test_after_a_nudge_of_a_lower_lane_the_first_is_asked_again(lanes: Lanes) -> None:
    """There may be a code in it by now."""
    channel = Asking(room=8)
    channel.fetch()
    channel.empty()
    channel.empty()
    channel.found(1)
    assert ["sms.1", "sms.2", "sms.3", "sms.1"] == channel.asked
    (nudge,) = channel.taken
    assert ("tag 3", 1) == (nudge.delivery_info["consumer_tag"], nudge.delivery_info["delivery_tag"])


def test_nothing_is_asked_for_while_all_threads_are_busy(lanes: Lanes) -> None:
    """And the first that is free asks at once, whether its nudge was served or put back."""
    channel = Asking(room=2)
    channel.fetch()
    channel.found(1)
    channel.found(2)
    channel.fetch()
    assert 2 == len(channel.asked)
    channel.basic_ack(1)
    assert 3 == len(channel.asked)
    channel.found(3)
    assert 3 == len(channel.asked)
    channel.basic_reject(2, requeue=True)
    assert 4 == len(channel.asked)


def test_a_closed_lane_is_not_asked(lanes: Lanes) -> None:
    """Also in the middle of a rush; when all are closed, nothing is."""
    lanes.hold([1, 3])
    channel = Asking(room=8)
    channel.fetch()
    channel.found(1)
    assert ["sms.2", "sms.2"] == channel.asked
    channel.empty()
    assert 2 == len(channel.asked)
    lanes.hold(keys.LANES)
    channel.fetch()
    assert 2 == len(channel.asked)


def test_a_lane_that_is_owed_goes_first(lanes: Lanes) -> None:
    """The floor of the lower lanes holds here too."""
    lanes.served(1, 20)
    channel = Asking(room=8)
    channel.fetch()
    assert ["sms.2"] == channel.asked


def test_a_reserved_worker_asks_its_lane_alone_and_says_so(lanes: Lanes) -> None:
    """Its health is judged by the lanes that it reports."""
    channel = Asking(room=8, lanes=(1,))
    channel.fetch()
    channel.empty()
    assert ["sms.1"] == channel.asked
    assert {1} == lanes.consumed


def test_what_comes_after_the_end_of_fetching_goes_back(lanes: Lanes) -> None:
    """A worker that stops has asked once more than it serves."""
    channel = Asking(room=8)
    channel.fetch()
    for lane in keys.LANES:
        channel.basic_cancel(f"tag {lane}")
    channel.found(1)
    assert [] == channel.taken
    assert [spec.Basic.Reject] == channel.sent
    channel.fetch()
    assert 1 == len(channel.asked)


def test_an_acknowledgement_on_a_lost_connection_is_no_error(lanes: Lanes) -> None:
    """RabbitMQ gives the nudge to somebody, who finds nothing to do."""
    channel = Asking(room=1)
    channel.fetch()
    channel.found(1)
    channel.send_method = mock.Mock(side_effect=ConnectionResetError)  # type: ignore[method-assign]
    channel.basic_ack(1)
    channel.basic_reject(1, requeue=True)
