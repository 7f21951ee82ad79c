"""Rabbit: which requests a worker sends to RabbitMQ, and when; the test gives the broker's answers."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
from amqp import spec

from threelane.producer import task_message
from threelane.store import keys
from threelane.worker.fetch.lanes import Lanes
from threelane.worker.fetch.rabbit import RabbitChannel


class RecordingChannel(RabbitChannel):
    """Keeps its questions; ``found`` and ``empty`` answer the last one."""

    def __init__(self, room: int, lanes: tuple[int, ...] = keys.LANES) -> None:
        self.queried: list[str] = []
        self.sent: list[tuple[int, int]] = []
        self.taken: list[Any] = []
        super().__init__(mock.Mock(channels={}, confirm_publish=False), 1)
        self.basic_qos(0, room, False)
        for lane in lanes:
            self.basic_consume(keys.queue(lane), f"tag {lane}", False, False, nowait=True, callback=self.taken.append)

    def send_method(self, sig: tuple[int, int], *given: Any, **_: Any) -> None:
        if sig == spec.Basic.Get:
            self.queried.append(given[1][1])
        else:
            self.sent.append(sig)

    def found(self, tag: int) -> None:
        self._callbacks[spec.Basic.GetOk](tag, False, "", self.queried[-1], 0, _nudge())

    def empty(self) -> None:
        self._callbacks[spec.Basic.GetEmpty]("")


def _nudge() -> Any:
    return mock.Mock(body=task_message.body(3, ["a"]), properties={"application_headers": task_message.headers("t")})


@pytest.fixture
def lanes(monkeypatch: pytest.MonkeyPatch) -> Lanes:
    made = Lanes()
    for module in ("lanes", "rabbit"):
        monkeypatch.setattr(f"threelane.worker.fetch.{module}.LANES", made)
    return made


def test_lanes_are_queried_in_order_one_get_at_a_time(lanes: Lanes) -> None:
    """And after the last one nothing more, until the pause is over."""
    channel = RecordingChannel(room=8)
    channel.fetch()
    channel.fetch()
    assert ["sms.1"] == channel.queried
    for _ in range(3):
        channel.empty()
    assert ["sms.1", "sms.2", "sms.3"] == channel.queried
    channel.fetch()
    assert "sms.1" == channel.queried[-1]


def test_after_a_nudge_of_a_lower_lane_the_first_is_queried_again(lanes: Lanes) -> None:
    """There may be a code in it by now."""
    channel = RecordingChannel(room=8)
    channel.fetch()
    channel.empty()
    channel.empty()
    channel.found(1)
    assert ["sms.1", "sms.2", "sms.3", "sms.1"] == channel.queried
    (nudge,) = channel.taken
    assert ("tag 3", 1) == (nudge.delivery_info["consumer_tag"], nudge.delivery_info["delivery_tag"])


def test_nothing_is_fetched_while_all_threads_are_busy(lanes: Lanes) -> None:
    """And the first free one queries at once."""
    channel = RecordingChannel(room=2)
    channel.fetch()
    channel.found(1)
    channel.found(2)
    channel.fetch()
    assert 2 == len(channel.queried)
    channel.basic_ack(1)
    assert 3 == len(channel.queried)
    channel.found(3)
    assert 3 == len(channel.queried)


def test_a_nudge_that_waits_for_the_rate_is_kept_and_served_first(lanes: Lanes) -> None:
    """A requeue counts against the delivery limit of a quorum queue, and the end of the lane is behind its backlog."""
    channel = RecordingChannel(room=2)
    channel.fetch()
    channel.found(1)
    channel.found(2)
    lanes.close_for(1, 3600)
    channel.basic_reject(2, requeue=True)
    channel.basic_reject(1, requeue=True)
    assert [] == channel.sent
    assert 2 == len(channel.taken)
    for _ in range(2):  # the gets of the other lanes
        channel.empty()
    lanes.close_for(1, 0)
    channel.fetch()
    assert [1, 2] == [one.delivery_info["delivery_tag"] for one in channel.taken[2:]]
    assert "sms.3" == channel.queried[-1]


def test_a_kept_nudge_is_served_in_the_middle_of_a_round_and_fetching_goes_on(lanes: Lanes) -> None:
    """Its lane may open while a higher one is queried."""
    channel = RecordingChannel(room=2, lanes=(1, 3))
    lanes.close_for(1, 3600)
    channel.fetch()
    channel.found(1)
    lanes.close_for(3, 3600)
    channel.empty()  # the get of lane 3 that was under way
    channel.basic_reject(1, requeue=True)
    lanes.close_for(1, 0)
    lanes.close_for(3, 0)
    channel.fetch()
    channel.empty()
    assert [1, 1] == [one.delivery_info["delivery_tag"] for one in channel.taken]
    before = len(channel.queried)
    channel.basic_ack(1)
    assert before < len(channel.queried) or channel.queried[-1] == "sms.1"
    channel.empty()
    assert "sms.3" == channel.queried[-1]


def test_a_kept_nudge_whose_lane_is_held_is_handed_over_to_be_published_again(lanes: Lanes) -> None:
    """A hold may last for days, and other workers cannot reach what this one keeps."""
    channel = RecordingChannel(room=1)
    channel.fetch()
    channel.found(1)
    lanes.close_for(1, 3600)
    channel.basic_reject(1, requeue=True)
    for _ in range(2):
        channel.empty()
    assert 1 == len(channel.taken)
    lanes.hold([1])
    channel.fetch()
    assert 2 == len(channel.taken)


def test_a_closed_lane_is_not_queried(lanes: Lanes) -> None:
    """Also in the middle of a rush; when all are closed, nothing is."""
    lanes.hold([1, 3])
    channel = RecordingChannel(room=8)
    channel.fetch()
    channel.found(1)
    assert ["sms.2", "sms.2"] == channel.queried
    channel.empty()
    assert 2 == len(channel.queried)
    lanes.hold(keys.LANES)
    channel.fetch()
    assert 2 == len(channel.queried)


def test_a_lane_that_is_owed_goes_first(lanes: Lanes) -> None:
    """The floor of the lower lanes holds here too."""
    lanes.served(1, 20)
    channel = RecordingChannel(room=8)
    channel.fetch()
    assert ["sms.2"] == channel.queried


def test_a_reserved_worker_queries_only_its_lane_and_logs_it(lanes: Lanes) -> None:
    """Its health is judged by the lanes that it reports."""
    channel = RecordingChannel(room=8, lanes=(1,))
    channel.fetch()
    channel.empty()
    assert ["sms.1"] == channel.queried
    assert {1} == lanes.consumed


def test_a_nudge_that_arrives_after_fetching_ended_goes_back(lanes: Lanes) -> None:
    """A worker that stops has one request more under way than it serves."""
    channel = RecordingChannel(room=8)
    channel.fetch()
    for lane in keys.LANES:
        channel.basic_cancel(f"tag {lane}")
    channel.found(1)
    assert [] == channel.taken
    assert [spec.Basic.Reject] == channel.sent
    channel.fetch()
    assert 1 == len(channel.queried)


def test_an_acknowledgement_on_a_lost_connection_is_not_an_error(lanes: Lanes) -> None:
    """RabbitMQ gives the nudge to somebody, who finds nothing to do."""
    channel = RecordingChannel(room=1)
    channel.fetch()
    channel.found(1)
    channel.send_method = mock.Mock(side_effect=ConnectionResetError)  # type: ignore[method-assign]
    channel.basic_ack(1)
    channel.basic_reject(1, requeue=True)


def test_what_is_no_nudge_is_acknowledged_and_never_handed_over(lanes: Lanes) -> None:
    """Requeued, it would come back for ever; the next get follows at once."""
    channel = RecordingChannel(room=2)
    channel.fetch()
    channel._callbacks[spec.Basic.GetOk](7, False, "", "sms.1", 0, mock.Mock(body=b"x", properties={}))
    assert [spec.Basic.Ack] == channel.sent
    assert [] == channel.taken
    assert 2 == len(channel.queried)
