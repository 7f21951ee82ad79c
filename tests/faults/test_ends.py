"""A process ends within the documented time after its stop signal, whatever is away then, and leaves nothing behind."""

from __future__ import annotations

import itertools
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.integration.conftest import SECRET, Workers, log_of, taken, threelane_child
from tests.rabbit import ONLY_THERE, RabbitServer
from tests.servers import RedisServer, freeze, wait_until
from threelane import Producer, ProducerSettings, Status
from threelane.demo.child import Child
from threelane.runtime.exits import Exit
from threelane.sandbox.running import Running
from threelane.store import keys
from threelane.worker.fetch import transport
from threelane.worker.process.broker import application
from threelane.worker.process.settings import WorkerSettings

pytestmark = pytest.mark.slow

CALL_SECONDS = 2
RECORD_SECONDS = 15  # as docs/operations.md states
LOAD_SECONDS = 40  # what a busy machine may add
Harm = Callable[[RedisServer], None]
Signals = tuple[signal.Signals, ...]
ONE_SIGNAL, THREE_SIGNALS = (signal.SIGTERM,), (signal.SIGHUP, signal.SIGQUIT, signal.SIGINT)


def frozen(server: RedisServer) -> None:
    """It accepts connections and answers nothing."""
    assert server.process is not None
    freeze(server.process)


def killed(server: RedisServer) -> None:
    """It refuses connections."""
    server.kill()


@pytest.fixture(autouse=True)
def _hears_a_closed_terminal() -> Iterator[None]:
    """Processes that nohup started ignore SIGHUP, and so do ours under it: the tests may be run by it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that this test may harm."""
    (tmp_path / "redis").mkdir()
    server = RedisServer(tmp_path / "redis").start()
    yield server
    assert server.process is not None
    server.process.send_signal(signal.SIGCONT)
    server.kill()


@pytest.fixture
def lease_seconds() -> int:
    """Longer than the end of a worker takes."""
    return 60


@pytest.fixture
def worker(workers: Workers, own_redis: RedisServer, tmp_path: Path, lease_seconds: int) -> Child:
    """A worker on that Redis, with a temporary folder of its own."""
    (tmp_path / "temporary").mkdir()
    workers.environment = workers.environment | {
        "THREELANE_REDIS_URL": own_redis.url,
        "TMPDIR": str(tmp_path / "temporary"),
        "THREELANE_RUN_DIR": str(tmp_path / "run"),
    }
    return workers.start(gateway_timeout_seconds=CALL_SECONDS, lease_seconds=lease_seconds)


def status(producer: Producer, message_id: str) -> Status:
    """Return the state of a message that is known."""
    found = producer.status(message_id)
    assert found is not None
    return found.status


def ended(child: Child, *numbers: signal.Signals) -> int:
    """Send stop signals, or SIGTERM, and return the exit code of the process."""
    for number in numbers or ONE_SIGNAL:
        child.process.send_signal(number)
    return child.process.wait(CALL_SECONDS + RECORD_SECONDS + LOAD_SECONDS)


@pytest.mark.parametrize(("lease_seconds", "harm"), [(5, killed), (60, frozen)])
def test_a_result_that_cannot_be_recorded_does_not_hold_the_end(
    harm: Harm, own_redis: RedisServer, worker: Child, sandbox: Running, tmp_path: Path
) -> None:
    """Only this process knows the result: it waits for Redis until the lease or its own time ends, and reports that."""
    sandbox.control("POST", "settings", {"latency_ms": 1_500})
    with Producer(ProducerSettings(redis_url=own_redis.url)) as producer:
        producer.send("27999500001", "Hello", lane=1)
    wait_until(lambda: taken(sandbox), what="the call")
    harm(own_redis)

    assert Exit.CUT_OFF == ended(worker)
    assert {10} >= {line["exit_code"] for line in log_of(worker) if line["event"] == "ended_at_deadline"}
    assert [] == list((tmp_path / "temporary").iterdir())


@pytest.mark.parametrize("harm", [frozen, killed])
def test_an_idle_worker_ends_with_0_while_redis_is_away(
    harm: Harm, own_redis: RedisServer, worker: Child, tmp_path: Path
) -> None:
    """Nothing was under way, so nothing is left to anybody."""
    harm(own_redis)

    assert Exit.OK == ended(worker)
    assert [] == list((tmp_path / "temporary").iterdir())


def test_a_worker_that_waits_for_redis_at_its_start_ends(base_environment: dict[str, str], tmp_path: Path) -> None:
    """In a container it has the process id 1: without a handler, the signal would have no effect."""
    away = base_environment | {"THREELANE_REDIS_URL": "redis://127.0.0.1:1/0"}
    child = threelane_child("worker", tmp_path, away)
    child.event("waits_for_redis")

    assert Exit.OK == ended(child)


def test_a_hanging_gateway_does_not_hold_the_end(own_redis: RedisServer, worker: Child, sandbox: Running) -> None:
    """The call ends at its timeout; the message is in doubt, and other workers look it up."""
    sandbox.control("POST", "settings", {"latency_ms": 60_000})
    with Producer(ProducerSettings(redis_url=own_redis.url)) as producer:
        message = producer.send("27999500001", "Hello", lane=1)
        wait_until(lambda: taken(sandbox), what="the call")  # a claim whose call has not begun is given back

        assert Exit.OK == ended(worker)
        assert Status.IN_DOUBT is status(producer, message.id)


@pytest.mark.parametrize("command", ["api", "callbacks", "webhooks", "exporter"])
@pytest.mark.parametrize("numbers", [THREE_SIGNALS, ONE_SIGNAL], ids=["three-signals", "one-signal"])
@pytest.mark.parametrize("harm", [frozen, killed])
def test_an_endpoint_ends_with_0_while_redis_is_away(
    command: str, numbers: Signals, harm: Harm, own_redis: RedisServer, tmp_path: Path
) -> None:
    """Callers repeat what was not answered; every stop signal and any number of them is one stop."""
    environment = {
        "THREELANE_REDIS_URL": own_redis.url,
        "THREELANE_CALLBACK_SECRET": SECRET,
        "THREELANE_CALLBACKS_PORT": "0",
        "THREELANE_METRICS_PORT": "0",
        "THREELANE_API_PORT": "0",
    }
    child = threelane_child(command, tmp_path, environment)
    child.event("metrics" if command == "exporter" else command)
    harm(own_redis)

    assert Exit.OK == ended(child, *numbers)
    assert "Traceback" not in child.log.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "numbers",
    [(signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP), (signal.SIGINT,)],
    ids=lambda numbers: "-".join(one.name for one in numbers),
)
def test_any_number_of_stop_signals_is_one_graceful_stop_of_a_worker(
    numbers: Signals, workers: Workers, producer: Producer, sandbox: Running
) -> None:
    """Celery would cut the call off at the second one, and at SIGHUP start another worker, on all lanes."""
    sandbox.control("POST", "settings", {"latency_ms": 3_000})
    child = workers.start("--lanes", "1,2")
    message = producer.send("27999500001", "Hello", lane=1)
    wait_until(lambda: taken(sandbox), what="a call")
    following = itertools.cycle(numbers)

    def end() -> bool:
        child.process.send_signal(next(following))  # which does nothing once the process has ended
        return child.process.poll() is not None

    wait_until(end, what="the end")
    assert Exit.OK == child.process.returncode
    assert Status.SENT is status(producer, message.id)
    assert {"draining", "stopped"} <= {line["event"] for line in log_of(child)}
    assert "Traceback" not in child.log.read_text(encoding="utf-8")


def test_nudges_that_cannot_be_put_back_are_not_written_into_a_file(
    own_redis: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kombu would dump them into the temporary folder, at each restart; a look finds their messages."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    with Producer(ProducerSettings(redis_url=own_redis.url)) as producer:
        producer.send("27999500001", "Hello", lane=1)
    settings = WorkerSettings(redis_url=own_redis.url)
    transport.install(settings)
    app = application(settings)
    with app.connection_for_read() as connection:
        channel: Any = connection.channel()
        held = channel.basic_get(keys.queue(1))
        assert held is not None
        redis.Redis.from_url(own_redis.url).set(keys.queue(1), "not a list")
        channel.close()

    assert [] == list((tmp_path / "temporary").iterdir())


@ONLY_THERE
@pytest.mark.parametrize("is_killed", [False, True], ids=["frozen", "killed"])
def test_a_broker_that_is_away_does_not_hold_the_end(
    is_killed: bool, rabbit_server: RabbitServer, workers: Workers, producer: Producer, sandbox: Running
) -> None:
    """The call under way ends and is recorded; its nudge needs no acknowledgement."""
    sandbox.control("POST", "settings", {"latency_ms": 1_500})
    child = workers.start(gateway_timeout_seconds=CALL_SECONDS)
    message = producer.send("27999500001", "Hello", lane=1)
    wait_until(lambda: taken(sandbox), what="the call")
    if is_killed:
        rabbit_server.kill()
    else:
        rabbit_server.freeze()
    try:
        assert Exit.OK == ended(child)
        assert Status.SENT is status(producer, message.id)
    finally:
        rabbit_server.start() if is_killed else rabbit_server.thaw()
