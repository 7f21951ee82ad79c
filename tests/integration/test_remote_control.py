"""Celery's own tools look at workers when an operator has switched that on, and never change one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.integration.conftest import Workers, kill, log_of, taken
from tests.rabbit import ONLY_THERE, RabbitServer
from tests.servers import wait_until
from threelane import Producer
from threelane.demo.child import Child
from threelane.sandbox.running import Running

CELERY = [sys.executable, "-m", "celery", "-A", "threelane.worker.app"]
CHANGES = """
import sys
from celery import Celery

app = Celery(broker=sys.argv[1])
for command, arguments in (
    ("shutdown", {}),
    ("pool_grow", {"n": 1}),
    ("cancel_consumer", {"queue": "sms.1"}),
    ("rate_limit", {"task_name": "threelane.send", "rate_limit": "1/h"}),
    ("enable_events", {}),
):
    print(app.control.broadcast(command, arguments=arguments, reply=True, timeout=5, limit=1))
"""
LOOKS = """
import json, sys
from celery import Celery

inspect = Celery(broker=sys.argv[1]).control.inspect(timeout=30, limit=2)
for command in ("active", "active_queues", "registered", "reserved", "scheduled", "stats", "revoked", "conf"):
    print(json.dumps([command, sorted(getattr(inspect, command)())]))
"""
PERMISSIONS = r"^(sms|amq\.default|celery|reply\.celery)|\.celery\.pidbox$"
SECONDS = 5  # in which every worker must have replied, also on a busy machine

pytestmark = pytest.mark.slow  # each case starts two workers and three programs of Celery


def celery(workers: Workers, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Celery's command line as an operator does, who needs no account for it."""
    ours = {name: value for name, value in workers.environment.items() if "CLICKATELL" not in name}
    environment = os.environ | ours | {"THREELANE_REMOTE_CONTROL": "inspect"}
    return subprocess.run([*CELERY, *words], env=environment, capture_output=True, text=True, timeout=120, check=False)


def inspected(workers: Workers, *words: str) -> Mapping[str, object]:
    """Return the replies of the workers by their names."""
    done = celery(workers, "inspect", "--json", "-t", str(SECONDS), *words)
    replies: Mapping[str, object] = json.loads(done.stdout or "{}")
    return replies


def run_on_broker(program: str, workers: Workers) -> str:
    """Run a program with another client of Celery's, with the address of the broker; returns what it printed."""
    broker = os.environ.get("THREELANE_BROKER_URL") or workers.environment["THREELANE_REDIS_URL"]
    return subprocess.run([sys.executable, "-c", program, broker], capture_output=True, text=True, check=True).stdout


def left_on(client: redis.Redis) -> set[str]:
    """Return the keys that Celery's remote control stores."""
    names: Any = client.keys()
    return {name.decode() for name in names if b"pidbox" in name or b"celeryev" in name}


def test_each_worker_is_named_by_inspect_and_status(workers: Workers) -> None:
    """Also two of one host: each process has a name of its own."""
    for name in ("a", "b"):
        workers.start(worker_name=name, remote_control="inspect")
    names = {"celery@a", "celery@b"}

    assert {name: {"ok": "pong"} for name in names} == inspected(workers, "ping")
    looked = dict(map(json.loads, run_on_broker(LOOKS, workers).splitlines()))
    assert 8 == len(looked)
    assert {command: sorted(names) for command in looked} == looked
    listed = celery(workers, "status", "-t", str(SECONDS))
    assert 0 == listed.returncode
    assert all(f"{name}: OK" in listed.stdout for name in names)


def test_no_command_changes_a_worker(workers: Workers, producer: Producer, sandbox: Running) -> None:
    """Whoever reaches the broker could otherwise stop sending; another client than ours may send such a command."""
    child = workers.start(worker_name="a", remote_control="inspect")
    assert 0 != celery(workers, "control", "shutdown").returncode
    changes = run_on_broker(CHANGES, workers)

    assert 5 == changes.count("reading commands only"), changes
    producer.send("27999500001", "Hello", lane=1)
    wait_until(lambda: taken(sandbox), what="a message to be sent")
    assert child.process.poll() is None
    assert [] == [line for line in log_of(child) if "exception" in line]


@pytest.mark.parametrize("mode", ["off", "inspect"])
def test_dead_workers_leave_nothing_on_redis(mode: str, workers: Workers, client: redis.Redis) -> None:
    """Pods come and go with new names for years; off, there is nothing even while one lives."""
    for number in range(3):
        child = workers.start(worker_name=f"pod-{number}", remote_control=mode)
        if mode == "inspect":
            wait_until(lambda name=f"celery@pod-{number}": name in inspected(workers, "ping", "-d", name), 60)
        else:
            assert set() == left_on(client)
        kill(child)

    assert set() == left_on(client)


@pytest.mark.parametrize("started_by", ["threelane", "celery"])
def test_switched_off_no_worker_responds(
    started_by: str, workers: Workers, client: redis.Redis, tmp_path: Path
) -> None:
    """The default, also for Celery's own command, which gossips and mingles by default."""
    if started_by == "threelane":
        workers.start(worker_name="a")
    else:
        environment = workers.environment | {"THREELANE_WORKER_NAME": "a"}
        child = Child("celery", [*CELERY, "worker"], tmp_path / "celery.log", environment)
        child.event("started")
        workers.children.append(child)

    assert {} == inspected(workers, "ping")
    assert set() == left_on(client)


@ONLY_THERE
def test_the_permissions_in_the_docs_suffice(workers: Workers, rabbit_server: RabbitServer) -> None:
    """For the worker, and for the client that looks at it."""
    assert f"'{PERMISSIONS}'" in (Path(__file__).parents[2] / "docs/operations.md").read_text(encoding="utf-8")
    rabbit_server.control("add_user", "limited", "do-not-log-me")
    rabbit_server.control("set_permissions", "-p", "/", "limited", PERMISSIONS, PERMISSIONS, PERMISSIONS)
    try:
        broker = rabbit_server.url.replace("guest:guest", "limited:do-not-log-me")
        workers.environment = workers.environment | {"THREELANE_BROKER_URL": broker}
        workers.start(worker_name="a", remote_control="inspect")
        assert {"celery@a": {"ok": "pong"}} == inspected(workers, "ping")
    finally:
        workers.stop()
        rabbit_server.control("delete_user", "limited")


@ONLY_THERE
def test_dead_workers_leave_no_queue_on_rabbitmq(workers: Workers, rabbit_server: RabbitServer) -> None:
    """The queue expires ten seconds after its last consumer; until then a restarted worker may use it."""
    child = workers.start(worker_name="pod", remote_control="inspect")
    wait_until(lambda: "celery@pod" in inspected(workers, "ping", "-d", "celery@pod"), 60)
    kill(child)
    workers.start(worker_name="pod", remote_control="inspect")
    wait_until(lambda: "celery@pod" in inspected(workers, "ping", "-d", "celery@pod"), 60)
    workers.stop()

    wait_until(lambda: "pidbox" not in rabbit_server.control("list_queues", "name"), 60, what="the queue to expire")
