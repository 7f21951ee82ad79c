"""RabbitMQ refuses: at start, idle and with calls under way; producers accept, and each message is sent once."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests import rabbit
from tests.error_replies.fleet import NUMBER, BaseFleet
from tests.error_replies.rabbit_states import STATES, Forced, RabbitState
from tests.integration.conftest import base_environment, taken
from tests.servers import RedisServer, typed, wait_until
from threelane import Producer, ProducerSettings
from threelane.demo.child import Child
from threelane.runtime.exits import Exit
from threelane.sandbox.running import Running
from threelane.store.states import Status

__all__ = ["base_environment"]
pytestmark = [
    pytest.mark.error_replies,
    pytest.mark.skipif(rabbit.script() is None, reason="no RabbitMQ here: apt-get install rabbitmq-server"),
]
SLOW_MS = 3000
SETTINGS = {"doubt_delays_seconds": "0.3,0.5", "sweep_seconds": 0.5, "lost_nudge_seconds": 5}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[rabbit.RabbitServer]:
    made = rabbit.RabbitServer(tmp_path_factory.mktemp("rabbit")).start()
    yield made
    made.stop()


@pytest.fixture(params=STATES, ids=lambda one: one.__name__)
def state(request: pytest.FixtureRequest, server: rabbit.RabbitServer) -> RabbitState:
    """A RabbitMQ for one row of the table; it works at first."""
    made: RabbitState = request.param(server)
    made.prepare()
    return made


class Fleet(BaseFleet):
    """A worker and a producer on one Redis and the RabbitMQ of one row."""

    def __init__(
        self, state: RabbitState, redis_url: str, folder: Path, environment: dict[str, str], sandbox: Running
    ) -> None:
        settings = {f"THREELANE_{name.upper()}": str(value) for name, value in SETTINGS.items()}
        self.environment = environment | settings | {"THREELANE_BROKER_URL": state.url}
        self.state, self.folder, self.sandbox = state, folder, sandbox
        self.producer = Producer(ProducerSettings(redis_url=redis_url, broker_url=state.url))
        self.ids: set[str] = set()
        self.children: list[Child] = []

    @property
    def worker(self) -> Child:
        return self.children[-1]

    def last_worker(self) -> Child:
        return self.worker

    def start(self) -> Child:
        """Start a worker, which need not get far."""
        words = [sys.executable, "-m", "threelane", "worker"]
        log = self.folder / f"worker-{len(self.children)}.log"
        self.children.append(Child("worker", words, log, self.environment))
        return self.worker

    def wait_until_refused(self) -> None:
        """Wait until the worker met the reply."""
        name = self.state.reply.name
        wait_until(
            lambda: any(one["reply"] == name for one in self.log("broker_refused")), 60, f"the worker to log {name}"
        )

    def wait_until_sent(self) -> None:
        """Wait until every message is sent, and assert that each was sent once."""
        wait_until(self._is_sent, 60, "every message to be sent")
        assert dict.fromkeys(self.ids, 1) == {one: len(entries) for one, entries in taken(self.sandbox).items()}

    def wait_until_fetched(self) -> None:
        """Wait until the worker fetches nudges again: one goes out that no look found."""

        def is_fetched() -> bool:
            found = sum(one["messages"] for one in self.log("found_without_nudge"))
            self.send()
            self.wait_until_sent()
            return (
                self.producer.nudger.publish(1, [])
                and sum(one["messages"] for one in self.log("found_without_nudge")) == found
            )

        wait_until(is_fetched, 60, "a nudge to be delivered")

    def assert_it_refused_to_run(self) -> None:
        """The worker ended: a setting is wrong, and no restart fixes it."""
        wait_until(lambda: self.worker.process.poll() is not None, 60, "the worker to end")
        assert Exit.USAGE == self.worker.process.returncode
        output = self.worker.log.read_text(encoding="utf-8")
        (sentence,) = [line for line in output.splitlines() if line.startswith("threelane: ")]
        assert self.state.reply.remedy in sentence
        assert "Traceback" not in output

    def assert_it_ends_with_0_after_sigterm(self) -> None:
        """Only now: before, it never ended."""
        assert self.worker.process.poll() is None, self.worker.log.read_text()[-2000:]
        self.worker.stop()
        assert 0 == self.worker.process.returncode
        assert "Traceback" not in self.worker.log.read_text(encoding="utf-8")

    def stop(self) -> None:
        self.producer.close()
        for child in self.children:
            child.stop()

    def _is_sent(self) -> bool:
        found = self.producer.statuses(sorted(self.ids))
        return {one.status for one in found if one} <= {Status.SENT, Status.DELIVERED} and None not in found


@pytest.fixture
def fleet(
    client: redis.Redis,
    redis_server: RedisServer,
    state: RabbitState,
    tmp_path: Path,
    base_environment: dict[str, str],
    sandbox: Running,
) -> Iterator[Fleet]:
    assert client.ping()
    made = Fleet(state, redis_server.url, tmp_path, base_environment, sandbox)
    yield made
    made.stop()
    state.end()


def test_at_start(fleet: Fleet, state: RabbitState) -> None:
    """A wrong setting ends the worker before its first message; anything else is waited for while looks send."""
    if isinstance(state, Forced):
        fleet.start()
        while not any(one["reply"] == state.reply.name for one in fleet.log("broker_refused")):
            state.begin()  # there is a moment between the login and the first nudge
    else:
        state.begin()
        fleet.send(lane=1)
        fleet.start()
    if state.ends_a_starting_worker:
        fleet.assert_it_refused_to_run()
        assert {} == taken(fleet.sandbox)
        state.end()
        fleet.start()
    fleet.worker.event("started")
    fleet.send()
    fleet.wait_until_sent()
    state.end()
    fleet.wait_until_fetched()
    fleet.assert_it_ends_with_0_after_sigterm()


@pytest.mark.parametrize("is_under_way", [False, True], ids=["idle", "under way"])
def test_while_it_runs(
    fleet: Fleet, state: RabbitState, caplog: pytest.LogCaptureFixture, *, is_under_way: bool
) -> None:
    """Producers accept without delay, looks send, and fetching resumes; only other arguments end a worker."""
    fleet.start().event("started")
    fleet.wait_until_fetched()
    if is_under_way:
        fleet.sandbox.control("POST", "settings", {"latency_ms": SLOW_MS})
        slow = [fleet.send(lane=lane) for lane in (1, 2, 3)]
        wait_until(lambda: _all_are(fleet, slow, Status.SENDING), 30, "the calls to be under way")
    with caplog.at_level(logging.INFO, "threelane"):
        state.begin()
        fleet.send(lane=1)
    fleet.sandbox.control("POST", "settings", {"latency_ms": 0})
    problems = [record.fields.get("problem", "") for record in caplog.records if record.message == "nudge_failed"]  # type: ignore[attr-defined]
    assert [state.reply.remedy in one for one in problems] == ([True] if state.fails_nudges else [])

    if state.ends_a_running_worker:
        fleet.assert_it_refused_to_run()
        state.end()
        fleet.start().event("started")
    elif state.reply.code:
        fleet.wait_until_refused()
    fleet.wait_until_sent()
    state.end()
    fleet.wait_until_fetched()
    assert [] == fleet.log("swept")
    fleet.assert_it_ends_with_0_after_sigterm()


def test_the_command_line(fleet: Fleet, state: RabbitState) -> None:
    """`send` accepts; `check` reports the reply and its remedy, and never exits with 0 while RabbitMQ refuses."""
    if not state.is_over_at_once:
        state.begin()
    sent = typed("send", NUMBER, "Hello", environment=fleet.environment)
    assert 0 == sent.returncode
    checked = typed("check", "--json", environment=fleet.environment)
    findings = [one for one in json.loads(checked.stdout) if one["what"] == "broker, RabbitMQ"]
    if state.is_over_at_once:
        assert ["ok"] == [one["grade"] for one in findings]
        assert Exit.OK == checked.returncode
    else:
        (finding,) = findings
        assert "error" == finding["grade"]
        assert state.reply.remedy in finding["told"]
        assert Exit.USAGE == checked.returncode


def _all_are(fleet: Fleet, ids: list[str], status: Status) -> bool:
    return all(one is not None and one.status is status for one in fleet.producer.statuses(ids))
