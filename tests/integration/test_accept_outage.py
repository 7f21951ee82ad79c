"""An outage is reported within seconds, in a sentence, without an address or a password."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from tests.servers import RedisServer, free_port, freeze
from threelane import Accepted, InvalidSettings, Producer, ProducerSettings, Refused, Unavailable
from threelane.producer.enqueue import WINDOW
from threelane.runtime.settings import load

TO = "27831234567"
SECRETS = ("hunter2", "127.0.0.1", "localhost")


@pytest.fixture
def mute() -> Iterator[str]:
    """The address of a server that takes connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(64)
        yield f"redis://:hunter2@127.0.0.1:{server.getsockname()[1]}/0"


class MuteServer:
    """Takes connections, never answers, and counts them."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"redis://:hunter2@127.0.0.1:{self._socket.getsockname()[1]}/0"

    def connections(self) -> int:
        """Return how many connections came so far; they stay open in the backlog until then."""
        self._socket.setblocking(False)
        number = 0
        while True:
            try:
                self._socket.accept()[0].close()
            except BlockingIOError:
                return number
            number += 1

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def mute_server() -> Iterator[MuteServer]:
    server = MuteServer()
    yield server
    server.close()


CALLS: dict[str, Callable[[Producer], object]] = {
    "send": lambda producer: producer.send(TO, "Hello"),
    "send_many": lambda producer: producer.send_many([{"to": TO, "text": "Hello"}]),
    "status": lambda producer: producer.status("0f3c"),
    "cancel": lambda producer: producer.cancel(["0f3c"]),
    "cancel_all": lambda producer: list(producer.cancel_all(tag="spring")),
    "scheduled": lambda producer: producer.scheduled(),
    "move": lambda producer: producer.move("0f3c", "2031-06-30T14:00:00Z"),
    "now": lambda producer: producer.now(),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_redis_that_never_answers_is_waited_for_once(mute_server: MuteServer, call: str) -> None:
    """Each wait is the whole setting, so a second connection, for a retry or the nudge, would double it."""
    settings = ProducerSettings(redis_url=mute_server.url, redis_timeout_seconds=1.5)
    with Producer(settings) as producer, pytest.raises(Unavailable, match="THREELANE_REDIS_TIMEOUT_SECONDS"):
        CALLS[call](producer)
    assert 1 == mute_server.connections()


def test_a_redis_that_freezes_is_waited_for_once(own_redis: RedisServer) -> None:
    """Also on an open connection, where a second attempt would begin with a new one; the id is unsure."""
    with Producer(ProducerSettings(redis_url=own_redis.url, redis_timeout_seconds=0.5)) as producer:
        producer.send(TO, "Hello")
        with redis.Redis(port=own_redis.port) as client:
            before = client.info("stats")["total_connections_received"]
        assert own_redis.process
        freeze(own_redis.process)
        with pytest.raises(Unavailable, match="THREELANE_REDIS_TIMEOUT_SECONDS") as raised:
            producer.send(TO, "Hello")
        own_redis.process.send_signal(signal.SIGCONT)
        with redis.Redis(port=own_redis.port) as client:
            after = client.info("stats")["total_connections_received"]
    assert 1 == len(raised.value.unsure)
    assert before + 1 == after  # of this test


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that this test may stop."""
    server = RedisServer(tmp_path).start()
    yield server
    server.kill()


def unavailable(url: str) -> Unavailable:
    """Send, and return what was raised; fail when it took longer than a caller would wait."""
    started = time.monotonic()
    with Producer(ProducerSettings(redis_url=url, redis_timeout_seconds=0.4)) as producer:
        with pytest.raises(Unavailable) as raised:
            producer.send(TO, "Hello")
        with pytest.raises(Unavailable):
            producer.status("0f3c")
    assert time.monotonic() - started < 5
    assert raised.value.__cause__ is None
    assert not any(secret in f"{raised.value!r} {raised.value}" for secret in SECRETS)
    return raised.value


def test_a_redis_that_is_not_running_is_reported_in_a_sentence() -> None:
    """Nothing was sent, so nothing is unsure."""
    away = unavailable(f"redis://:hunter2@127.0.0.1:{free_port()}/0")

    assert "Redis does not answer at THREELANE_REDIS_URL: start it, or correct the address" == str(away)
    assert ([], []) == (away.answers, away.unsure)


def test_a_redis_that_never_answers_does_not_hang_its_callers(mute: str) -> None:
    """A web request must not wait forever."""
    assert "THREELANE_REDIS_TIMEOUT_SECONDS" in str(unavailable(mute))


def test_a_wrong_password_is_reported_as_such(own_redis: RedisServer) -> None:
    """A repetition would not help."""
    with redis.Redis(port=own_redis.port) as client:
        client.config_set("requirepass", "another")

    for url in (own_redis.url, f"redis://:hunter2@127.0.0.1:{own_redis.port}/0"):
        away = unavailable(url)
        assert "the user or password" in str(away)


def test_a_full_redis_takes_nothing_in(own_redis: RedisServer) -> None:
    """Refused as a whole: no half of a message is stored, and the sentence names the remedy."""
    with redis.Redis(port=own_redis.port) as client, Producer(redis_url=own_redis.url) as producer:
        client.config_set("maxmemory", "1")
        with pytest.raises(Unavailable, match="memory ceiling") as raised:
            producer.send(TO, "Hello")
        assert [] == raised.value.unsure
        assert [] == client.keys("tl:m:*")
        client.config_set("maxmemory", "0")
        assert producer.send(TO, "Hello").accepted


def test_a_redis_that_stops_in_the_middle_leaves_the_ids_unsure(own_redis: RedisServer) -> None:
    """They may be accepted or not; the same client message id finds out without sending twice."""
    with Producer(ProducerSettings(redis_url=own_redis.url, redis_timeout_seconds=0.3)) as producer:
        known = producer.send(TO, "Hello", client_message_id="order1")
        own_redis.process.send_signal(signal.SIGSTOP)
        with pytest.raises(Unavailable) as raised:
            producer.send_many([{"to": TO, "text": "Hello again", "climsgid": "order2"}])
        own_redis.process.send_signal(signal.SIGCONT)
        again = producer.send(TO, "Hello again", client_message_id="order2")

    assert isinstance(again, Accepted)
    assert [again.id] == raised.value.unsure
    assert known.id != again.id


def test_answers_from_before_an_outage_are_kept(own_redis: RedisServer) -> None:
    """The answers of the windows that went well come with the exception, in order."""
    with Producer(ProducerSettings(redis_url=own_redis.url, redis_timeout_seconds=0.5)) as producer:

        def messages() -> Iterator[dict[str, str]]:
            yield {"to": "083", "text": "refused"}
            for n in range(1_500):
                if n == 1_100:  # the first window is answered
                    own_redis.kill()
                yield {"to": TO, "text": f"Hello {n}"}

        with pytest.raises(Unavailable) as raised:
            producer.send_many(messages())

    first, *others = raised.value.answers
    assert isinstance(first, Refused)
    assert [True] * (WINDOW - 1) == [answer.accepted for answer in others]


@pytest.mark.parametrize(
    "url", ["localhost:6379", "http://:hunter2@localhost", "redis://:hunter2/x@localhost:6379", "hunter2", ""]
)
def test_an_invalid_address_is_reported_without_showing_it(url: str) -> None:
    """A password with a slash in it would otherwise be printed as a bad port."""
    with pytest.raises(InvalidSettings, match="THREELANE_REDIS_URL: not an address of Redis") as raised:
        load(ProducerSettings, redis_url=url)

    assert not any(secret in str(raised.value) for secret in SECRETS)


def test_settings_never_show_a_password() -> None:
    """They end up in logs and tracebacks."""
    settings = ProducerSettings(redis_url="redis://:hunter2@127.0.0.1:1/0", broker_url="amqp://me:hunter2@127.0.0.1//")

    assert "hunter2" not in f"{settings!r} {settings} {settings.model_dump_json()}"
