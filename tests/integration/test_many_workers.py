"""Several workers on one host need no settings of their own, and each is watched on its own."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.integration.conftest import Workers, kill, taken, threelane_child
from tests.servers import freeze, typed, wait_until
from tests.slow import also_slow
from threelane import Accepted, Producer
from threelane.demo.child import Child
from threelane.sandbox.running import Running
from threelane.store import keys
from threelane.worker.process.metrics_endpoint import PORTS

HOST = socket.gethostname()
ADDRESS = "127.77.3.9"  # its ports are of these tests alone


@pytest.fixture
def default(workers: Workers) -> Workers:
    """Workers with the default name and metrics port, which announce themselves in a folder of the test."""
    own = {"THREELANE_RUN_DIR": str(workers.folder / "run"), "THREELANE_METRICS_HOST": ADDRESS}
    set_here = ("THREELANE_METRICS_PORT", "THREELANE_PARTS_PER_SECOND")
    kept = {name: value for name, value in workers.environment.items() if name not in set_here}
    workers.environment = kept | own
    return workers


def names_in(client: redis.Redis) -> list[str]:
    """Return the names under which workers report."""
    found: Any = client.zrange(keys.WORKERS, 0, -1)
    return sorted(name.decode() for name in found)


def targets(workers: Workers) -> dict[str, str]:
    """Return what Prometheus discovers: worker -> address."""
    files = sorted(Path(workers.environment["THREELANE_RUN_DIR"], "prometheus").glob("*.json"))
    groups = [group for file in files for group in json.loads(file.read_text(encoding="ascii"))]
    return {group["labels"]["worker"]: target for group in groups for target in group["targets"]}


def health_of(workers: Workers, name: str) -> tuple[int, str]:
    """Return the exit code and the output of ``threelane health``."""
    done = typed("health", "--worker", name, environment=workers.environment)
    return done.returncode, done.stdout + done.stderr


def claimed_by(target: str) -> float:
    """Return how many messages a worker has claimed, by its own metrics."""
    with urllib.request.urlopen(f"http://{target}/metrics", timeout=20) as response:
        counts = re.findall(r"^threelane_claimed_total\{.*\} (\S+)$", response.read().decode(), re.M)
    return sum(map(float, counts))


@pytest.mark.slow
def test_five_workers_of_a_host_share_the_work_and_are_watched_each_on_its_own(
    default: Workers, producer: Producer, client: redis.Redis, sandbox: Running, tmp_path: Path
) -> None:
    """All have the default settings; one that is frozen is found out although four are healthy."""
    expected = [HOST, *(f"{HOST}-{number}" for number in range(2, 6))]
    for _ in range(5):
        default.start()
    answers = producer.send_many([{"to": f"2783{n:07}", "text": "1", "lane": 1} for n in range(1000)])
    ids = [one.id for one in answers if isinstance(one, Accepted)]
    wait_until(lambda: sorted(ids) == sorted(taken(sandbox)), 60, "every code at the gateway")

    assert {1} == {len(entries) for entries in taken(sandbox).values()}
    assert expected == names_in(client)
    assert expected == sorted(targets(default))
    assert 5 == len(set(targets(default).values()))
    wait_until(lambda: 1000 == sum(map(claimed_by, targets(default).values())), what="the workers' own counts")
    assert [0] * 5 == [health_of(default, name)[0] for name in expected]
    exporter = threelane_child("exporter", tmp_path, default.environment | {"THREELANE_METRICS_PORT": "0"})
    default.children.append(exporter)
    with urllib.request.urlopen(exporter.event("metrics")["url"], timeout=20) as response:
        assert 'threelane_workers{account="default"} 5.0' in response.read().decode()

    freeze(default.children[2].process)
    try:
        wait_until(lambda: 5 == health_of(default, expected[2])[0], 60, "the silence of the frozen worker")
        assert [0] * 4 == [health_of(default, name)[0] for name in expected if name != expected[2]]
    finally:
        os.kill(default.children[2].process.pid, signal.SIGCONT)


@pytest.mark.slow
def test_the_successor_of_a_killed_worker_has_its_name_at_once(default: Workers, client: redis.Redis) -> None:
    """The heartbeat of the dead one is still fresh, and the kernel has released its lock."""
    kill(default.start())
    default.start()

    assert [HOST] == names_in(client)
    assert [HOST] == [*targets(default)]


@pytest.mark.slow
def test_two_containers_of_one_host_name_report_under_two_names(
    default: Workers, client: redis.Redis, tmp_path: Path
) -> None:
    """Neither sees the other's announcements; a worker that ends in order leaves its name to the next one."""
    first = default.start()
    elsewhere = default.environment | {"THREELANE_RUN_DIR": str(tmp_path / "elsewhere")}
    second = threelane_child("worker", tmp_path, elsewhere, 9)
    default.children.append(second)
    second.event("started")
    assert [HOST, f"{HOST}-2"] == names_in(client)

    first.stop()
    assert (0, [f"{HOST}-2"]) == (first.process.returncode, names_in(client))

    default.start()
    assert [HOST, f"{HOST}-2"] == names_in(client)


@pytest.mark.slow
def test_a_worker_that_slept_while_another_took_its_name_takes_the_next_one(
    default: Workers, client: redis.Redis, tmp_path: Path
) -> None:
    """A suspended host wakes up: two workers must not hide each other."""
    first = default.start()
    freeze(first.process)
    client.hset(keys.worker(HOST), "beat", 1)
    second = threelane_child("worker", tmp_path, default.environment | {"THREELANE_RUN_DIR": str(tmp_path / "b")}, 9)
    default.children.append(second)
    second.event("started")
    os.kill(first.process.pid, signal.SIGCONT)

    assert (HOST, f"{HOST}-2") == ((renamed := first.event("name_taken"))["taken"], renamed["worker"])
    wait_until(lambda: [HOST, f"{HOST}-2"] == names_in(client), what="two names")


UNFIT = {
    "a metrics host that is not of this machine": {"METRICS_HOST": "192.0.2.1"},
    "a port in use": {"METRICS_PORT": "{taken}"},
    "a lease shorter than two calls": {"LEASE_SECONDS": "10"},
    "a run folder that is a file": {"RUN_DIR": "{file}"},
    "a policy file that does not exist": {"POLICY_FILE": "/nowhere"},
    "a database that does not exist": {"REDIS_URL": "{redis}9999"},
    "a broker that is no broker": {"BROKER_URL": "http://127.0.0.1"},
}


QUICK = ("a port in use", "a lease shorter than two calls", "a broker that is no broker")


@pytest.mark.parametrize("case", [*QUICK, *also_slow(*(case for case in UNFIT if case not in QUICK))])
def test_a_worker_that_cannot_start_ends_with_a_sentence_and_takes_no_nudge(
    case: str, default: Workers, producer: Producer, client: redis.Redis
) -> None:
    """A supervisor sees the code, an operator the variable, and the messages wait for a healthy worker."""
    producer.send("27831234567", "1", lane=1)
    url = default.environment["THREELANE_REDIS_URL"]
    with socket.create_server((ADDRESS, 0)) as listening:
        given = {"taken": listening.getsockname()[1], "file": Path(__file__), "redis": url[:-1]}
        own = {f"THREELANE_{name}": value.format(**given) for name, value in UNFIT[case].items()}
        ended = ended_child(default, own)

    assert 2 == ended.process.returncode, text_of(ended)
    assert "threelane: " in text_of(ended)
    assert "Traceback" not in text_of(ended)
    assert 1 == client.zcard(keys.QUEUED[1])
    assert [] == names_in(client)


def test_a_worker_without_a_free_port_ends_with_a_sentence(default: Workers) -> None:
    """The range is for the workers of one host; a hundred more belong on another one."""
    address = "127.77.4.9"
    taken_ports = [socket.create_server((address, port)) for port in PORTS]
    ended = ended_child(default, {"THREELANE_METRICS_HOST": address})
    for one in taken_ports:
        one.close()

    assert 2 == ended.process.returncode
    assert f"no port of {address} is free, neither 9464 nor any from 9468 to 9563" in text_of(ended)


def ended_child(workers: Workers, settings: dict[str, str]) -> Child:
    """Return a worker that has ended on its own."""
    child = threelane_child("worker", workers.folder, workers.environment | settings, 99)
    workers.children.append(child)
    child.process.wait(60)
    return child


def text_of(child: Child) -> str:
    """Return the log of a process."""
    return child.log.read_text(encoding="utf-8")
