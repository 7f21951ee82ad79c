"""Redis is killed, frozen or full: callers get an error, workers recover on their own, and the ledgers agree."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

import threelane
from tests.integration.api import API
from tests.integration.conftest import Workers, taken, threelane_child
from tests.servers import RedisServer, wait_until
from threelane import Producer, ProducerSettings, Status, Unavailable
from threelane.sandbox.running import Running
from threelane.store import keys

pytestmark = pytest.mark.slow

SETTINGS = {
    "doubt_delays_seconds": "0.3,0.5",
    "sweep_seconds": 0.5,
    "lost_nudge_seconds": 1,
    "lease_seconds": 5,
    "gateway_timeout_seconds": 2,
}
LONGEST_CALL_SECONDS = 10
OURS = (str(Path(threelane.__file__).parent),)


class Caller:
    """A service that enqueues all the time, and repeats each request that got no answer."""

    def __init__(self, settings: ProducerSettings) -> None:
        self.accepted: set[str] = set()
        self.unsure: set[str] = set()
        self.outages = 0
        self.raised: list[BaseException] = []
        self.longest = 0.0
        self._producer = Producer(settings)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._call, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(30)
        assert not self._thread.is_alive(), "a call hangs"
        self._producer.close()

    def _call(self) -> None:
        number = 0
        while not self._stopped.is_set():
            number += 1
            started = time.monotonic()
            try:
                messages = [{"to": f"27999500{one:03d}", "text": f"Hello {number}"} for one in range(10)]
                self.accepted |= {answer.id for answer in self._producer.send_many(messages)}
            except Unavailable as away:
                self.outages += 1
                self.accepted |= {answer.id for answer in away.answers}
                self.unsure |= set(away.unsure)
            except BaseException as other:
                self.raised.append(other)
            self.longest = max(self.longest, time.monotonic() - started)
            self._stopped.wait(0.05)


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that this test may harm; everything that it acknowledged is on disk."""
    server = RedisServer(tmp_path, "--appendfsync", "always").start()
    yield server
    server.process.send_signal(signal.SIGCONT)
    server.kill()


@pytest.fixture
def workers_there(
    own_redis: RedisServer, sandbox: Running, base_environment: dict[str, str], tmp_path: Path
) -> Iterator[Workers]:
    """Workers on that Redis."""
    made = Workers(tmp_path, base_environment | {"THREELANE_REDIS_URL": own_redis.url})
    yield made
    made.stop()


@pytest.fixture
def caller(own_redis: RedisServer, workers_there: Workers, sandbox: Running) -> Iterator[Caller]:
    """Two workers and a caller at work."""
    for _ in range(2):
        workers_there.start(**SETTINGS)
    made = Caller(ProducerSettings(redis_url=own_redis.url))
    wait_until(lambda: len(taken(sandbox)) > 100, what="the first messages")
    yield made
    made.stop()


def killed_and_started_again(server: RedisServer) -> None:
    """Kill -9, and three seconds of nothing."""
    server.kill()
    _let_pass(3)
    server.start()


def frozen(server: RedisServer) -> None:
    """Connections are taken and nothing is answered for five seconds."""
    server.process.send_signal(signal.SIGSTOP)
    _let_pass(5)
    server.process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("harm", [killed_and_started_again, frozen])
def test_an_outage_makes_messages_late_and_neither_lost_nor_doubled(
    own_redis: RedisServer,
    workers_there: Workers,
    caller: Caller,
    sandbox: Running,
    harm: Callable[[RedisServer], None],
) -> None:
    """Callers get Unavailable and nothing else; the same workers send on; each message is at the gateway once."""
    harm(own_redis)
    before, accepted = len(taken(sandbox)), len(caller.accepted)
    wait_until(lambda: len(caller.accepted) > accepted + 50, what="intake after the outage")
    wait_until(lambda: len(taken(sandbox)) > before + 50, what="sending after the outage")
    caller.stop()

    assert [] == caller.raised
    assert caller.outages > 0 or caller.longest > 2  # what is frozen may be a nudge, or a command that is answered yet
    assert caller.longest < LONGEST_CALL_SECONDS
    there = caller.accepted | _known(own_redis, caller.unsure)
    wait_until(lambda: taken(sandbox).keys() >= there, 60, what="every accepted message at the gateway")
    wait_until(lambda: at_rest(own_redis, there), what="every record to be at rest")
    assert there == taken(sandbox).keys()
    assert {1} == {len(entries) for entries in taken(sandbox).values()}
    assert [None, None] == [child.process.poll() for child in workers_there.children]
    assert [] == our_tracebacks(workers_there)


def test_a_full_redis_refuses_new_messages_and_sends_those_it_has(
    tmp_path: Path, sandbox: Running, base_environment: dict[str, str]
) -> None:
    """Intake ends below the ceiling, the rest is room to work in; what was sent makes room for intake again."""
    server = RedisServer(tmp_path, "--maxmemory", "6mb").start()
    workers = Workers(tmp_path, base_environment | {"THREELANE_REDIS_URL": server.url})
    try:
        with Producer(ProducerSettings(redis_url=server.url)) as producer:
            accepted = _fill(producer)
            assert 500 < len(accepted)
            full = _one_by_one(producer, accepted)
            assert "memory" in str(full)
            assert [] == full.unsure

            workers.start(**SETTINGS)
            wait_until(lambda: len(taken(sandbox)) == len(accepted), 60, what="all that was taken in")
            wait_until(lambda: at_rest(server, accepted), what="every record to be at rest")
            assert accepted == taken(sandbox).keys()
            assert {1} == {len(entries) for entries in taken(sandbox).values()}
            assert [] == our_tracebacks(workers)

            one_more = wait_until(lambda: _taken_in(producer), what="room for one more")
            wait_until(lambda: one_more in taken(sandbox), what="what was accepted then")
    finally:
        workers.stop()
        server.kill()


def test_a_redis_without_any_room_does_not_end_a_worker(
    tmp_path: Path, sandbox: Running, base_environment: dict[str, str]
) -> None:
    """The broker cannot write a word then; what it had is sent, and with room again the same worker goes on."""
    server = RedisServer(tmp_path).start()
    workers = Workers(tmp_path, base_environment | {"THREELANE_REDIS_URL": server.url})
    try:
        child = workers.start(**SETTINGS)
        with Producer(ProducerSettings(redis_url=server.url)) as producer, redis.Redis(port=server.port) as client:
            first = producer.send("27999500001", "Hello").id
            wait_until(lambda: first in taken(sandbox), what="the worker to consume")
            message = producer.send("27999500001", "Hello", delay=2).id
            nudged = producer.send("27999500002", "Hello").id
            client.config_set("maxmemory", "1")
            wait_until(lambda: client.zcard(keys.DUE[3]) == 0, what="its time")
            wait_until(lambda: nudged in taken(sandbox), what="what was nudged before")
            connections = len(client.client_list())
            _let_pass(2)
            assert child.process.poll() is None
            assert len(client.client_list()) <= connections + 2
            client.config_set("maxmemory", "0")
            wait_until(lambda: message in taken(sandbox), what="what came due meanwhile")
        assert child.process.poll() is None
    finally:
        workers.stop()
        server.kill()


def test_a_worker_starts_on_a_redis_without_any_room(
    tmp_path: Path, sandbox: Running, base_environment: dict[str, str]
) -> None:
    """Otherwise nothing that is in there could be sent, and no room would ever be made."""
    server = RedisServer(tmp_path).start()
    workers = Workers(tmp_path, base_environment | {"THREELANE_REDIS_URL": server.url})
    try:
        with Producer(ProducerSettings(redis_url=server.url)) as producer, redis.Redis(port=server.port) as client:
            there = {producer.send("27999500001", "Hello", lane=lane).id for lane in keys.LANES}
            client.config_set("maxmemory", "1")
            child = workers.start(**SETTINGS)
            wait_until(lambda: taken(sandbox).keys() >= there, what="what was in there")
            assert child.process.poll() is None
            client.config_set("maxmemory", "0")
            message = producer.send("27999500001", "Hello").id
            wait_until(lambda: message in taken(sandbox), what="what came later")
    finally:
        workers.stop()
        server.kill()


def _fill(producer: Producer) -> set[str]:
    """Enqueue until Redis has no room; returns the ids that were accepted."""
    accepted: set[str] = set()
    for _ in range(200):
        messages = [{"to": f"27999500{one:03d}", "text": "News " * 80} for one in range(100)]
        try:
            accepted |= {answer.id for answer in producer.send_many(messages)}
        except Unavailable as full:
            return accepted | {answer.id for answer in full.answers}
    raise AssertionError("it never was full")


def _one_by_one(producer: Producer, accepted: set[str]) -> Unavailable:
    """Enqueue single messages until there is no room for one; a bulk's own buffers took some of it before."""
    for _ in range(1_000):
        try:
            accepted.add(producer.send("27999500001", "One more").id)
        except Unavailable as full:
            return full
    raise AssertionError("it never was full")


def _taken_in(producer: Producer) -> str:
    """Return the id of an accepted message; empty while the room of the workers' buffers is not given back."""
    try:
        return producer.send("27999500001", "One more").id
    except Unavailable:
        return ""


def _known(server: RedisServer, ids: set[str]) -> set[str]:
    """Return those that were accepted although the answer did not come."""
    with redis.Redis(port=server.port) as client:
        return {one for one in ids if client.exists(keys.record(one))}


def at_rest(server: RedisServer, ids: set[str]) -> bool:
    with redis.Redis(port=server.port) as client, client.pipeline(transaction=False) as pipe:
        for one in ids:
            pipe.hget(keys.record(one), "status")
        return {status.decode() for status in pipe.execute()} <= {Status.SENT, Status.DELIVERED}


def our_tracebacks(workers: Workers) -> list[str]:
    """Return the lines of logged tracebacks that lead through our code."""
    lines = [line for child in workers.children for line in child.log.read_text(encoding="utf-8").splitlines()]
    return [line[:2000] for line in lines if "File " in line and any(folder in line for folder in OURS)]


def _let_pass(seconds: float) -> None:
    """Let an outage last this long."""
    threading.Event().wait(seconds)


def test_a_worker_that_starts_before_redis_waits_for_it(
    tmp_path: Path, base_environment: dict[str, str], sandbox: Running
) -> None:
    """Containers start in any order; before, such a worker went on with half an engine and sent nothing."""
    server = RedisServer(tmp_path)
    child = threelane_child("worker", tmp_path, base_environment | {"THREELANE_REDIS_URL": server.url})
    try:
        assert "Redis does not answer" in child.event("waits_for_redis")["problem"]
        server.start()
        child.event("started")
        with Producer(ProducerSettings(redis_url=server.url, gateway=API.name)) as producer:
            answer = producer.send("27999500001", "Hello")
            wait_until(lambda: producer.status(answer.id).status in ("sent", "delivered"), what="it to be sent")
    finally:
        child.stop()
        server.kill()
