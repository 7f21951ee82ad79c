"""A nudge on RabbitMQ: what becomes of it when a connection, a queue or a node is gone."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import amqp
import pytest
import trustme
from kombu.exceptions import OperationalError

from tests import rabbit
from tests.nudges import OnRabbitMQ
from tests.servers import free_port, wait_until
from threelane.producer.nudge import Nudger
from threelane.producer.nudge_rabbit import IDLE_SECONDS, RabbitBroker
from threelane.runtime.settings import Settings
from threelane.store import keys
from threelane.worker.process.broker import application

pytestmark = [
    pytest.mark.skipif(rabbit.script() is None, reason="no RabbitMQ here: apt-get install rabbitmq-server"),
    pytest.mark.xdist_group("nudge_rabbit"),  # one node serves them all
]


TLS = """\
listeners.ssl.1 = 127.0.0.1:{port}
listeners.ssl.2 = 127.0.0.2:{port}
ssl_options.cacertfile = {folder}/ca.pem
ssl_options.certfile = {folder}/server.pem
ssl_options.keyfile = {folder}/server.key
"""


class Certified(NamedTuple):
    """The port where RabbitMQ speaks TLS, and the CA that signed its certificate, which is for 127.0.0.1."""

    port: int
    ca: Path


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Certified:
    folder, authority = tmp_path_factory.mktemp("certificates"), trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    issued.private_key_pem.write_to_path(str(folder / "server.key"))
    issued.cert_chain_pems[0].write_to_path(str(folder / "server.pem"))
    return Certified(free_port(), folder / "ca.pem")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, certified: Certified) -> Iterator[rabbit.RabbitServer]:
    configuration = TLS.format(port=certified.port, folder=certified.ca.parent)
    made = rabbit.RabbitServer(tmp_path_factory.mktemp("rabbit"), configuration).start()
    yield made
    made.stop()


@pytest.fixture
def node(server: rabbit.RabbitServer) -> rabbit.RabbitServer:
    """A RabbitMQ with empty queues, as workers declare them."""
    OnRabbitMQ(server.url).empty()
    return server


@pytest.fixture
def nudger(node: rabbit.RabbitServer) -> Iterator[Nudger]:
    made = Nudger(Settings(broker_url=node.url, redis_timeout_seconds=2))
    yield made
    made.close()


def test_a_nudge_is_persistent_and_has_its_content_type(node: rabbit.RabbitServer, nudger: Nudger) -> None:
    """It outlives a restart, and every library of AMQP can read it."""
    assert nudger.publish(1, ["a"])
    with amqp.Connection(f"127.0.0.1:{node.port}") as connection:
        nudge = connection.channel().basic_get("sms.1", no_ack=True)

    assert [[1, ["a"]], {}] == json.loads(nudge.body)[:2]
    properties = nudge.properties
    assert (2, 0, "application/json", "utf-8") == tuple(
        properties[name] for name in ("delivery_mode", "priority", "content_type", "content_encoding")
    )
    assert keys.TASK == nudge.headers["task"]
    assert properties["correlation_id"] == nudge.headers["id"] == nudge.headers["root_id"]


def test_before_the_first_worker_the_queues_are_made_as_workers_make_them(
    node: rabbit.RabbitServer, nudger: Nudger
) -> None:
    """Otherwise the first messages of an installation would wait for the sweep, or a worker be refused its queues."""
    with amqp.Connection(f"127.0.0.1:{node.port}") as connection:
        channel = connection.channel()
        for lane in keys.LANES:
            channel.queue_delete(keys.queue(lane))
        channel.exchange_delete("sms")
        assert nudger.publish(2, ["a"])
        channel.exchange_declare("sms", "direct", durable=True, auto_delete=False)
        channel.queue_declare("sms.2", durable=True, auto_delete=False)
        channel.basic_publish(amqp.Message("by the exchange"), "sms", "sms.2")

    assert 2 == OnRabbitMQ(node.url).depth(2)


def test_a_queue_with_other_arguments_takes_nudges_too(node: rabbit.RabbitServer, nudger: Nudger) -> None:
    """No nudge is lost by an operator's policy or a quorum queue."""
    with amqp.Connection(f"127.0.0.1:{node.port}") as connection:
        channel = connection.channel()
        channel.queue_delete("sms.1")
        channel.queue_declare("sms.1", durable=True, auto_delete=False, arguments={"x-max-priority": 10})
    assert nudger.publish(1, ["a"])
    with amqp.Connection(f"127.0.0.1:{node.port}") as connection:
        taken = connection.channel().basic_get("sms.1")
        connection.channel().queue_delete("sms.1")

    assert keys.TASK == taken.headers["task"]


def test_a_nudge_for_a_queue_that_was_deleted_is_published_all_the_same(
    node: rabbit.RabbitServer, nudger: Nudger
) -> None:
    """RabbitMQ confirms, by default, also what it has no queue for."""
    assert nudger.publish(1, ["a"])
    with amqp.Connection(f"127.0.0.1:{node.port}") as connection:
        connection.channel().queue_delete("sms.1")
    assert nudger.publish(1, ["b"])

    assert [["b"]] == OnRabbitMQ(node.url).waiting(1)


def test_a_connection_that_was_cut_is_replaced_within_the_call(node: rabbit.RabbitServer, nudger: Nudger) -> None:
    """A login code of a quiet night would otherwise be late."""
    assert nudger.publish(1, ["a"])
    ((_, session),) = nudger._broker._idle  # type: ignore[attr-defined]
    session._transport.sock.shutdown(socket.SHUT_RDWR)
    assert nudger.publish(1, ["b"])

    assert [["a"], ["b"]] == OnRabbitMQ(node.url).waiting(1)


def test_a_connection_that_was_idle_for_long_is_replaced(node: rabbit.RabbitServer) -> None:
    """A firewall may have forgotten it without a word; a caller would wait a timeout to find out."""
    now = [0.0]
    broker = RabbitBroker(Settings(broker_url=node.url), lambda: now[0])
    broker.publish(1, [b"[[1, []], {}, {}]"])
    ((_, first),) = broker._idle
    now[0] += IDLE_SECONDS
    broker.publish(1, [b"[[1, []], {}, {}]"])
    ((_, second),) = broker._idle
    now[0] += IDLE_SECONDS + 1
    broker.publish(1, [b"[[1, []], {}, {}]"])
    ((_, third),) = broker._idle
    broker.close()

    assert first is second
    assert second is not third
    assert not first._connection.connected


def test_another_node_is_tried_within_the_same_timeout(node: rabbit.RabbitServer) -> None:
    """One that hangs has its share of the time; the one that answered is tried first from then on."""
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        urls = [f"amqp://guest:guest@127.0.0.1:{hanging.getsockname()[1]}//", "amqp://127.0.0.1:1//", node.url]
        nudger = Nudger(Settings(broker_url=";".join(urls), redis_timeout_seconds=3))
        started = time.monotonic()
        assert nudger.publish(1, ["a"])
        took = time.monotonic() - started
        nudger.close()
        assert nudger.publish(1, ["b"])
        again = time.monotonic() - started - took
        nudger.close()

    assert 1 <= took < 10  # a node that hangs would hold it for ever
    assert again < took + 10
    assert 2 == OnRabbitMQ(node.url).depth(1)


def test_an_alarm_for_memory_fails_a_nudge_at_once(node: rabbit.RabbitServer, nudger: Nudger) -> None:
    """RabbitMQ would let a publisher wait until the alarm is over."""
    assert nudger.publish(1, ["a"])
    node.control("set_vm_memory_high_watermark", "absolute", "1MB")
    try:
        wait_until(lambda: not nudger.publish(1, ["b"]), what="the alarm")
    finally:
        node.control("set_vm_memory_high_watermark", "absolute", "1GB")


@pytest.mark.parametrize(
    ("host", "is_trusted", "published"),
    [("127.0.0.1", True, True), ("127.0.0.1", False, False), ("127.0.0.2", True, False)],
    ids=["as it should be", "another CA", "another name"],
)
def test_the_certificate_of_rabbitmq_is_checked(
    node: rabbit.RabbitServer,
    certified: Certified,
    monkeypatch: pytest.MonkeyPatch,
    host: str,
    is_trusted: bool,
    published: bool,
) -> None:
    """TLS that checks neither the signer nor the name protects nothing."""
    if is_trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certified.ca))
    settings = Settings(broker_url=f"amqps://guest:guest@{host}:{certified.port}//")
    nudger = Nudger(settings)
    assert published == nudger.publish(1, ["a"])
    nudger.close()

    with (
        application(settings).connection_for_read() as worker,
        nullcontext() if published else pytest.raises(OperationalError, match="certificate verify failed"),
    ):
        worker.ensure_connection(max_retries=1, interval_start=0, interval_max=0, timeout=5)
