"""A nudge is published without Celery, and any Celery worker runs it."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests import rabbit
from tests.celery_worker import CeleryWorker
from tests.nudges import OnRabbitMQ, OnRedis
from tests.servers import RedisServer, freeze, wait_until
from threelane.producer.nudge import PAUSE_SECONDS, Nudger
from threelane.runtime.settings import InvalidSettings, Settings, load
from threelane.store import keys
from threelane.worker.process.broker import application

pytestmark = pytest.mark.xdist_group("nudge")  # one broker of each kind serves them all
PYTHONS = [sys.executable, *filter(None, os.environ.get("THREELANE_TEST_CELERY_PYTHONS", "").split(":"))]
"""The Pythons whose Celery has to run a nudge; more than our own are named by the variable, with colons."""

IDS = [f"{number:032x}" for number in range(250)]
ESTABLISHED = "01"  # in /proc/net/tcp
DEAD = "redis://127.0.0.1:1/0"
OF_ANOTHER = {
    "CELERY_BROKER_URL": DEAD,
    "CELERY_BROKER_READ_URL": DEAD,
    "CELERY_BROKER_WRITE_URL": DEAD,
    "CELERY_RESULT_BACKEND": "no-such-backend://",
    "CELERY_CONFIG_MODULE": "no_such_module",
    "CELERY_LOADER": "no_such_module:Loader",
}
FORKING = """
import os, sys
from threelane.producer.nudge import Nudger
from threelane.runtime.settings import Settings

if __name__ == "__main__":
    nudger = Nudger(Settings())
    assert nudger.publish(3, ["before"])
    here, there = os.pipe()
    child = os.fork()
    if child == 0:
        assert nudger.publish(3, ["child"])
        print("published", flush=True)
        os.read(here, 1)
        sys.exit()  # which ends as an interpreter does: what it has is collected
    sys.stdin.readline()
    os.write(there, b"x")
    assert os.waitpid(child, 0)[1] == 0
    assert nudger.publish(3, ["after"])
    print("published", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture(scope="module", params=["Redis", "RabbitMQ"])
def broker(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisServer | rabbit.RabbitServer]:
    """A broker of each kind, which a test may freeze."""
    folder = tmp_path_factory.mktemp("broker")
    if request.param == "RabbitMQ" and rabbit.script() is None:
        pytest.skip("no RabbitMQ here: apt-get install rabbitmq-server")
    server = RedisServer(folder) if request.param == "Redis" else rabbit.RabbitServer(folder)
    server.start()
    yield server
    server.stop()


class Broker:
    """What a test does with a broker of either kind."""

    def __init__(self, server: Any) -> None:
        self.server, self.url = server, server.url
        self.is_redis = isinstance(server, RedisServer)
        self.nudges = OnRedis(redis.Redis.from_url(self.url)) if self.is_redis else OnRabbitMQ(self.url)

    def empty(self) -> None:
        for lane in keys.LANES:
            self.nudges.lose(lane)

    def freeze(self) -> None:
        freeze(self.server.process)

    def thaw(self) -> None:
        self.server.process.send_signal(signal.SIGCONT)

    def publishers(self) -> set[str]:
        """Return who is connected and has published."""
        if self.is_redis:
            clients: Any = redis.Redis.from_url(self.url).client_list()
            return {one["id"] for one in clients if one["cmd"] == "lpush"}
        lines = [line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
        return {one[1] for one in lines if one[2].endswith(f":{self.server.port:04X}") and one[3] == ESTABLISHED}


@pytest.fixture
def place(broker: Any) -> Iterator[Broker]:
    """A broker without nudges."""
    made = Broker(broker)
    made.empty()
    yield made
    made.thaw()


@pytest.fixture
def nudgers(place: Broker) -> Iterator[Callable[..., Nudger]]:
    """Makes nudgers; ``nudgers(redis_timeout_seconds=1)`` sets THREELANE_REDIS_TIMEOUT_SECONDS."""
    made: list[Nudger] = []

    def make(monotonic: Callable[[], float] = time.monotonic, **settings: Any) -> Nudger:
        made.append(Nudger(Settings(broker_url=place.url, **settings), monotonic))
        return made[-1]

    yield make
    place.thaw()
    for one in made:
        one.close()


@pytest.mark.parametrize("python", PYTHONS)
def test_a_celery_worker_runs_what_was_published(
    place: Broker, nudgers: Callable[..., Nudger], tmp_path: Path, python: str
) -> None:
    """Once each, and in order, from its lane's queue; nothing about it is unusual to Celery."""
    nudger = nudgers()
    assert nudger.publish(3, IDS)
    worker = CeleryWorker(tmp_path, place.url, python)
    try:
        worker.ran(3)
        assert nudger.publish(1, IDS[:1])
        ran = worker.ran(4)
    finally:
        worker.stop()

    assert [IDS[:99], IDS[99:198], IDS[198:], IDS[:1]] == [one["ids"] for one in ran]
    assert [(3, "sms.3")] * 3 + [(1, "sms.1")] == [(one["lane"], one["queue"]) for one in ran]
    assert 4 == len({one["task"] for one in ran})
    assert [(one["task"], 0) for one in ran] == [(one["root"], one["retries"]) for one in ran]
    assert [] == [line for line in worker.log().splitlines() if "ERROR" in line or "Traceback" in line]
    assert {1: 0, 2: 0, 3: 0} == nudger.depths()


def test_depths_count_waiting_messages(place: Broker, nudgers: Callable[..., Nudger]) -> None:
    """Also of a queue that does not exist yet."""
    nudger = nudgers()
    assert {1: 0, 2: 0, 3: 0} == nudger.depths()
    assert nudger.publish(3, IDS)
    assert nudger.publish(2, IDS[:1])
    assert {1: 0, 2: 1, 3: 3} == nudger.depths()


def test_no_celery_is_loaded_and_no_celery_variable_obeyed(place: Broker) -> None:
    """A service may have them for its own Celery; with Redis not even kombu is loaded."""
    publish = (
        "import json, sys; from threelane.producer.nudge import Nudger;"
        "from threelane.runtime.settings import Settings;"
        "print(json.dumps([Nudger(Settings()).publish(1, ['a']), sorted({n.split('.')[0] for n in sys.modules})]))"
    )
    completed = subprocess.run(
        [sys.executable, "-c", publish],
        env={**os.environ, **OF_ANOTHER, "THREELANE_BROKER_URL": place.url},
        capture_output=True,
        text=True,
        check=True,
    )
    published, loaded = json.loads(completed.stdout)

    assert published
    assert [["a"]] == place.nudges.waiting(1)
    assert (set() if place.is_redis else {"kombu", "amqp"}) == {"celery", "kombu", "amqp"} & set(loaded)


def test_a_forked_process_has_a_connection_of_its_own(place: Broker, tmp_path: Path) -> None:
    """Two processes on one socket would read each other's answers; and the end of one is not the other's."""
    script = tmp_path / "forking.py"
    script.write_text(FORKING, encoding="ascii")
    process = subprocess.Popen(
        [sys.executable, str(script)],
        env={**os.environ, "THREELANE_BROKER_URL": place.url},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    before = place.publishers()
    assert process.stdout
    assert process.stdin
    process.stdout.readline()
    two = place.publishers() - before
    process.stdin.write("\n")
    process.stdin.flush()
    process.stdout.readline()
    wait_until(lambda: len(place.publishers() - before) == 1, what="the child's connection to end")
    one = place.publishers() - before
    process.communicate("\n", 20)

    assert 0 == process.returncode
    assert [["before"], ["child"], ["after"]] == place.nudges.waiting(3)
    assert 2 == len(two)
    assert one < two


def test_threads_may_share_a_nudger(place: Broker, nudgers: Callable[..., Nudger]) -> None:
    """More threads than connections: they wait for one."""
    nudger = nudgers(redis_connections=3)
    answers: list[bool] = []

    def publish(thread: int) -> None:
        answers.extend(nudger.publish(2, [f"{thread}-{number}"]) for number in range(25))

    threads = [threading.Thread(target=publish, args=(one,)) for one in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()

    assert [True] * 200 == answers
    assert {f"{thread}-{number}" for thread in range(8) for number in range(25)} == {
        one for nudge in place.nudges.waiting(2) for one in nudge
    }


def test_a_broker_that_hangs_holds_one_call_and_the_next_ones_skip_it(
    place: Broker, nudgers: Callable[..., Nudger]
) -> None:
    """On an open connection and on a new one: each call returns, and the next one does not try again at once."""
    warm, cold = nudgers(redis_timeout_seconds=0.6), nudgers(redis_timeout_seconds=0.6)
    assert warm.publish(1, IDS[:1])
    place.freeze()
    for nudger in (warm, cold):
        assert not nudger.publish(1, IDS[:1])
        assert 0 == nudger.skipped
        assert not nudger.publish(1, IDS[:150])
        assert 150 == nudger.skipped


def test_after_a_failure_nudges_are_skipped_for_a_pause(
    place: Broker, nudgers: Callable[..., Nudger], caplog: pytest.LogCaptureFixture
) -> None:
    """They are counted, and the next log line about nudges has their number."""
    caplog.set_level(logging.INFO, "threelane")
    now = [0.0]
    nudger = nudgers(lambda: now[0])
    nudger._broker, healthy = Away(), nudger._broker
    assert not nudger.publish(1, IDS[:1])
    assert not nudger.publish(1, IDS[:5])
    now[0] += PAUSE_SECONDS
    assert not nudger.publish(2, IDS[:2])
    assert not nudger.publish(2, IDS[:7])
    now[0] += PAUSE_SECONDS
    nudger._broker = healthy
    assert nudger.publish(3, IDS[:1])
    assert nudger.publish(3, IDS[:1])

    assert 12 == nudger.skipped
    error = "ConnectionRefusedError"
    assert [
        ("nudge_failed", {"lane": 1, "messages": 1, "error": error, "skipped": 0}),
        ("nudge_failed", {"lane": 2, "messages": 2, "error": error, "skipped": 5}),
        ("nudges_resumed", {"skipped": 7}),
    ] == [(one.message, vars(one)["fields"]) for one in caplog.records if one.name == "threelane"]


class Away:
    """A broker that takes nothing."""

    def publish(self, *_: object) -> None:
        raise ConnectionRefusedError

    def depths(self) -> dict[int, int]:
        raise ConnectionRefusedError

    def close(self) -> None:
        pass

    def forget(self) -> None:
        pass


def test_a_closed_nudger_can_be_used_again(place: Broker, nudgers: Callable[..., Nudger]) -> None:
    """A service may close and go on; nothing is left open by the first."""
    nudger = nudgers()
    before = place.publishers()
    assert nudger.publish(1, IDS[:1])
    nudger.close()
    wait_until(lambda: place.publishers() <= before, what="the connection to end")
    assert nudger.publish(1, IDS[:1])
    assert 2 == place.nudges.depth(1)


def test_a_socket_of_redis_is_an_address_too(tmp_path: Path) -> None:
    """For the producer and for its workers, with the same words."""
    server = RedisServer(tmp_path, "--unixsocket", str(tmp_path / "redis")).start()
    settings = Settings(broker_url=f"unix://{tmp_path}/redis?db=2")
    nudger = Nudger(settings)
    try:
        assert nudger.publish(3, IDS[:1])
        with application(settings).connection_for_read() as worker:
            assert 1 == worker.default_channel.queue_declare("sms.3", passive=True).message_count
    finally:
        nudger.close()
        server.stop()


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("redis://127.0.0.1:1/0;redis://127.0.0.1:2/0", "only RabbitMQ may have several addresses"),
        ("amqp://127.0.0.1:1//;redis://127.0.0.1:2/0", "all addresses must be nodes of one RabbitMQ"),
    ],
)
def test_several_addresses_are_the_nodes_of_one_rabbitmq(url: str, problem: str) -> None:
    """What cannot be followed is refused at the start, and not at the first nudge."""
    with pytest.raises(InvalidSettings, match=problem):
        load(Settings, broker_url=url)


def test_without_kombu_rabbitmq_is_refused_with_what_to_install(tmp_path: Path) -> None:
    """A producer on Redis has no kombu."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in ('kombu', 'amqp', 'celery'):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Missing())\n",
        encoding="ascii",
    )
    load_settings = (
        "from threelane.runtime.settings import Settings, load\n"
        "load(Settings, broker_url='redis://127.0.0.1:1/0')\n"
        "load(Settings, broker_url='amqp://127.0.0.1:1//')\n"
    )
    completed = subprocess.run(
        [sys.executable, "-c", load_settings],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{':'.join(sys.path)}"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert "pip install 'threelane[rabbitmq]'" in completed.stderr.splitlines()[-1], completed.stderr


DRIPS = {
    "redis": b"$100000\r\n",  # a reply that never ends
    "rediss": b"\x16\x03\x03\x40\x00",  # a handshake message of 16 KB
    "amqp": b"\x01\x00\x00\x00\x01\x00\x00",  # a frame of 64 KB
    "amqps": b"\x16\x03\x03\x40\x00",
}


@pytest.fixture
def dripping() -> Iterator[Callable[[str], int]]:
    """A port where a broker accepts, and answers one byte at a time, for ever: each read succeeds in time."""
    ended = threading.Event()

    def drip(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            begun = DRIPS[kind[0]]
            connection.recv(1)
            while not ended.wait(0.05):
                connection.send(begun[:1] or b"\x00")
                begun = begun[1:]

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=drip, args=(listener.accept()[0],), daemon=True).start()

    kind = [""]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        port = listener.getsockname()[1]

        def of(scheme: str) -> int:
            kind[0] = scheme
            return int(port)

        yield of
        ended.set()


@pytest.mark.parametrize("scheme", list(DRIPS))
def test_a_broker_that_answers_byte_by_byte_holds_a_call_no_longer_than_its_timeout(
    dripping: Callable[[str], int], scheme: str
) -> None:
    """A timeout of each read would never end it; in the handshake of TLS and of AMQP, too."""
    nudger = Nudger(Settings(broker_url=f"{scheme}://127.0.0.1:{dripping(scheme)}/", redis_timeout_seconds=0.5))
    returned: list[bool] = []
    call = threading.Thread(target=lambda: returned.append(nudger.publish(1, IDS[:1])), daemon=True)
    call.start()
    call.join(15)

    assert [False] == returned
    assert (1, {"": {1: 1}}) == (nudger.unpublished, nudger.take_unreported())


def test_a_slow_broker_is_skipped_as_long_as_it_took(place: Broker, nudgers: Callable[..., Nudger]) -> None:
    """A bulk of many calls would otherwise wait for each of them."""
    now = [0.0]
    nudger = nudgers(lambda: now[0], redis_timeout_seconds=3)

    class Slow:
        def publish(self, *_: object) -> None:
            now[0] += 2

    healthy, nudger._broker = nudger._broker, Slow()  # type: ignore[assignment]
    assert nudger.publish(1, IDS[:1])
    assert not nudger.publish(1, IDS[:5])
    now[0] += 2
    nudger._broker = healthy
    assert nudger.publish(1, IDS[:1])
    assert (5, {"": {1: 5}}) == (nudger.unpublished, nudger.take_unreported())


def test_counts_of_a_parent_are_not_reported_by_its_child_too(nudgers: Callable[..., Nudger]) -> None:
    """A service that forks its workers would multiply them."""
    nudger = nudgers()
    nudger._broker = Away()  # type: ignore[assignment]
    nudger.publish(1, IDS[:3])
    assert {"": {1: 3}} == nudger.take_unreported()
    nudger.give_back({"": {1: 3}})
    nudger.forget()
    assert {} == nudger.take_unreported()
