"""Somebody who reaches the broker sends Celery's remote control commands: no worker obeys, and none loses a lane."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
import redis

from tests.integration.conftest import Workers, log_of, taken
from tests.rabbit import RabbitServer, script
from tests.servers import RedisServer, threelane, wait_until
from threelane import Producer, ProducerSettings
from threelane.sandbox.running import Running
from threelane.store import keys

COMMANDS = """
import sys
from celery import Celery

app = Celery(broker=sys.argv[1])
for command, arguments in (
    ("cancel_consumer", {"queue": "sms.1"}),
    ("add_consumer", {"queue": "other"}),
    ("pool_shrink", {"n": 10}),
    ("pool_grow", {"n": 1}),
    ("pool_restart", {}),
    ("autoscale", {"max": 1, "min": 0}),
    ("rate_limit", {"task_name": "threelane.send", "rate_limit": "1/h"}),
    ("time_limit", {"task_name": "threelane.send", "hard": 1, "soft": 1}),
    ("revoke", {"task_id": "x", "terminate": True}),
    ("enable_events", {}),
    ("shutdown", {}),
):
    app.control.broadcast(command, arguments=arguments)
print("sent")
"""
MODES = ("off", "inspect")
EVERY_LANE = {1, 2, 3}


@pytest.fixture(scope="module", params=["Redis", "RabbitMQ"])
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of RabbitMQ, or '' if Redis is the broker."""
    if request.param == "Redis":
        yield ""
        return
    if not script():
        pytest.skip("no RabbitMQ: apt-get install rabbitmq-server")
    server = RabbitServer(tmp_path_factory.mktemp("rabbit")).start()
    yield server.url
    server.stop()


@pytest.mark.parametrize("mode", MODES)
def test_no_command_changes_a_worker(
    mode: str,
    broker: str,
    workers: Workers,
    sandbox: Running,
    redis_server: RedisServer,
    table: Callable[[str, str, str], None],
) -> None:
    """Before, a broadcast ended a worker with code 0, or took lane 1 from it, and health passed."""
    if broker:
        workers.environment = workers.environment | {"THREELANE_BROKER_URL": broker}
    child = workers.start(worker_name="a", remote_control=mode)
    client = redis.Redis(port=redis_server.port)
    wait_until(lambda: client.hget(keys.worker("a"), "lanes") == b"1,2,3", what="its report of three lanes")
    sent = subprocess.run(
        [sys.executable, "-c", COMMANDS, broker or redis_server.url], capture_output=True, text=True, check=False
    )
    assert "sent" in sent.stdout, sent.stderr
    settings = ProducerSettings(redis_url=redis_server.url, broker_url=broker or None)
    with Producer(settings) as producer:
        for lane in EVERY_LANE:
            producer.send(f"2799950000{lane}", "Hello", lane=lane)
    wait_until(lambda: len(EVERY_LANE) == len(taken(sandbox)), what="a message of each lane to be sent")
    reported = client.hget(keys.worker("a"), "beat")
    wait_until(lambda: client.hget(keys.worker("a"), "beat") != reported, what="its next report")
    healthy = threelane("health", "--worker", "a", environment=workers.environment)

    assert child.process.poll() is None
    assert 0 == healthy.returncode, healthy.stdout + healthy.stderr
    assert b"1,2,3" == client.hget(keys.worker("a"), "lanes")
    assert [] == [line for line in log_of(child) if line["event"] in ("draining", "exception")]
    table(f"{'RabbitMQ' if broker else 'Redis'}, {mode}", "broadcast shutdown, cancel_consumer and others", "no effect")
