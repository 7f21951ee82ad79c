"""Kill -9 at each step of a message's way: another process sends it once, and no repair is needed.

What the dead process held of a nudge is gone with it, so each of these messages is found by what the living do by
themselves: sweep, lapse, release and look-ups.  RabbitMQ gives a nudge back at once.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from tests.integration.api import needs_a_look_up
from tests.integration.conftest import Workers, attempts, log_of, taken
from tests.nudges import nudges_of
from tests.servers import wait_until
from threelane import Producer, Status
from threelane.demo.child import Child
from threelane.sandbox.running import Running
from threelane.store import keys
from threelane.store.status import MessageStatus

Until = Callable[..., MessageStatus]
pytestmark = [pytest.mark.main_job, pytest.mark.slow]
TO = "27999500001"
QUICK = {
    "doubt_delays_seconds": "0.3,0.5",
    "sweep_seconds": 0.5,
    "lost_nudge_seconds": 1,
    "lease_seconds": 2,
    "gateway_timeout_seconds": 0.9,
}


class Dying:
    """Starts processes that will die, or freeze, at a point, and ends those that did not come to it."""

    def __init__(self, workers: Workers, folder: Path) -> None:
        self.workers = workers
        self.folder = folder
        self.children: list[Child] = []

    def start(self, point: str, *command: str, freeze: bool = False) -> Child:
        words = [sys.executable, "-m", "tests.faults.dying", point, *(command or ("worker",))]
        quick = {f"THREELANE_{name.upper()}": str(value) for name, value in QUICK.items()}
        environment = self.workers.environment | quick | ({"THREELANE_TEST_FREEZE": "1"} if freeze else {})
        child = Child(point, words, self.folder / f"{point}-{len(self.children)}.log", environment)
        self.children.append(child)
        return child

    def die_at(self, point: str, *command: str) -> Child:
        """Start it, and wait until it has killed itself."""
        child = self.start(point, *command)
        try:
            code = child.process.wait(30)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it never came to {point}:\n{child.log.read_text()[-2000:]}") from None
        assert -signal.SIGKILL == code, child.log.read_text()[-2000:]
        return child

    def stop(self) -> None:
        for child in self.children:
            child.process.kill()
            child.process.wait()


@pytest.fixture
def dying(workers: Workers, tmp_path: Path):
    made = Dying(workers, tmp_path)
    yield made
    made.stop()


@pytest.fixture
def ends_once(workers: Workers, sandbox: Running, until: Until) -> Callable[[str], MessageStatus]:
    """Returns a function that lets a healthy worker go on, and waits for the one SMS."""

    def wait(message_id: str) -> MessageStatus:
        workers.start(**QUICK)
        found = until(message_id, Status.SENT, Status.DELIVERED, seconds=30)
        (entry,) = taken(sandbox)[message_id]
        assert entry["id"] == found.gateway_id
        return found

    return wait


def status_of(producer: Producer, message_id: str) -> Status:
    found = producer.status(message_id)
    assert found
    return found.status


def test_a_producer_dies_between_accept_and_the_nudge(
    producer: Producer, dying: Dying, client: redis.Redis, ends_once: Callable[[str], MessageStatus]
) -> None:
    """The caller got no answer, but the record is there: it counts, and the sweep finds it."""
    dying.die_at("before_the_nudge", "send", TO, "Hello", "--client-message-id", "order1")
    (message,) = [key.decode().removeprefix(keys.record("")) for key in client.keys(keys.record("*"))]
    assert Status.QUEUED is status_of(producer, message)
    assert 0 == nudges_of(client).depth(3)

    assert 1 == ends_once(message).attempts


def test_a_caller_who_repeats_its_request_after_its_death_finds_the_same_message(
    producer: Producer, dying: Dying, client: redis.Redis, ends_once: Callable[[str], MessageStatus]
) -> None:
    """It does not know whether it was accepted; the same request again is safe, and nudges at once."""
    dying.die_at("before_the_nudge", "send", TO, "Hello", "--client-message-id", "order1")
    answer = producer.send(TO, "Hello", client_message_id="order1")
    assert answer.repeated
    assert 1 == nudges_of(client).depth(3)

    ends_once(answer.id)


def test_a_worker_dies_with_a_nudge_before_the_claim(
    producer: Producer, dying: Dying, client: redis.Redis, ends_once: Callable[[str], MessageStatus]
) -> None:
    """Nothing is written yet: the nudge is gone with it, and the sweep replaces it; RabbitMQ gives it back."""
    message = producer.send(TO, "Hello").id
    dying.die_at("before_the_claim")
    assert Status.QUEUED is status_of(producer, message)
    left = nudges_of(client)
    wait_until(lambda: int(left.returns_at_once) == left.depth(3), what="what the broker makes of a death")

    assert 1 == ends_once(message).attempts


@needs_a_look_up
def test_a_worker_dies_after_the_claim_before_the_request(
    producer: Producer, sandbox: Running, dying: Dying, ends_once: Callable[[str], MessageStatus]
) -> None:
    """Others cannot know whether it was sent: it is looked up, the gateway does not know it, and gets it."""
    message = producer.send(TO, "Hello").id
    dying.die_at("after_the_claim")
    assert Status.SENDING is status_of(producer, message)
    assert {} == taken(sandbox)

    assert 2 == ends_once(message).attempts


@needs_a_look_up
def test_a_worker_dies_after_the_request_left_before_the_answer(
    producer: Producer, sandbox: Running, dying: Dying, ends_once: Callable[[str], MessageStatus]
) -> None:
    """The gateway has it, without our knowledge: it is found by its id and adopted."""
    sandbox.control("POST", "faults", {"do": "slow", "seconds": 5})
    message = producer.send(TO, "Hello").id
    dying.die_at("after_the_request_left")
    wait_until(lambda: message in taken(sandbox), what="the request to arrive")

    assert 1 == ends_once(message).attempts


@needs_a_look_up
def test_a_worker_dies_after_the_answer_before_settle(
    producer: Producer, sandbox: Running, dying: Dying, ends_once: Callable[[str], MessageStatus]
) -> None:
    """It knew, and its knowledge died with it."""
    message = producer.send(TO, "Hello").id
    dying.die_at("after_the_answer")
    assert Status.SENDING is status_of(producer, message)
    assert 1 == len(taken(sandbox)[message])

    assert 1 == ends_once(message).attempts


def test_a_worker_dies_after_settle_before_the_acknowledgement(
    producer: Producer, dying: Dying, client: redis.Redis, ends_once: Callable[[str], MessageStatus]
) -> None:
    """A nudge that is delivered again finds nothing to claim."""
    message = producer.send(TO, "Hello").id
    dying.die_at("after_settle")
    assert Status.SENT is status_of(producer, message)
    ends_once(message)

    producer.nudger.publish(3, [message])
    wait_until(lambda: 0 == nudges_of(client).depth(3), what="the second nudge")
    follower = producer.send(TO, "The next").id
    wait_until(lambda: status_of(producer, follower) in (Status.SENT, Status.DELIVERED), what="the next message")
    found = producer.status(message)
    assert found
    assert 1 == found.attempts


def test_a_worker_dies_after_release_before_the_nudge(
    producer: Producer, dying: Dying, client: redis.Redis, ends_once: Callable[[str], MessageStatus]
) -> None:
    """A scheduled message whose time has come is on its lane, without a nudge."""
    message = producer.send(TO, "Hello", delay=1).id
    dying.die_at("after_release")
    assert Status.QUEUED is status_of(producer, message)
    assert 0 == nudges_of(client).depth(3)

    assert 1 == ends_once(message).attempts


@needs_a_look_up
@pytest.mark.parametrize(("to", "times"), [("27999300101", 1), ("27999300201", 2)], ids=["taken", "not-taken"])
def test_a_worker_dies_in_a_look_up(
    producer: Producer, dying: Dying, ends_once: Callable[[str], MessageStatus], to: str, times: int
) -> None:
    """The gateway answered, and the answer was not stored: it is looked up again."""
    message = producer.send(to, "Hello").id
    dying.die_at("in_a_look_up")
    assert Status.IN_DOUBT is status_of(producer, message)

    assert times == ends_once(message).attempts


@needs_a_look_up
def test_a_worker_dies_after_a_look_up_before_the_nudge(
    producer: Producer, dying: Dying, client: redis.Redis, ends_once: Callable[[str], MessageStatus]
) -> None:
    """It may be sent again, is on its lane, without a nudge."""
    message = producer.send("27999300201", "Hello").id
    dying.die_at("after_resolve")
    assert Status.QUEUED is status_of(producer, message)
    assert 0 == nudges_of(client).depth(3)

    assert 2 == ends_once(message).attempts


@needs_a_look_up
def test_a_worker_that_slept_through_its_lease_does_not_send_when_it_wakes(
    producer: Producer, sandbox: Running, dying: Dying, ends_once: Callable[[str], MessageStatus]
) -> None:
    """A frozen machine does not know that it was; meanwhile others looked the message up, and sent it."""
    message = producer.send(TO, "Hello").id
    frozen = dying.start("after_the_claim", freeze=True)
    wait_until(lambda: _is_stopped(frozen.process.pid), what="the worker to freeze")
    assert {} == taken(sandbox)
    ends_once(message)

    os.kill(frozen.process.pid, signal.SIGCONT)
    wait_until(lambda: _events(frozen, "settled_elsewhere"), what="the frozen worker to find out")
    assert 1 == len(attempts(sandbox, message))
    assert 1 == len(taken(sandbox)[message])


def _events(child: Child, name: str) -> list[dict[str, object]]:
    return [line for line in log_of(child) if name == line["event"]]


def _is_stopped(pid: int) -> bool:
    time.sleep(0.02)
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
