"""Pulse: a process notices what stands still in it, by a clock that the test moves."""

from __future__ import annotations

import json
from typing import Any
from wsgiref.simple_server import WSGIServer

import pytest

from threelane.operations.own_health import Health
from threelane.runtime.exits import Exit
from threelane.worker.process import probes
from threelane.worker.process.probes import Live
from threelane.worker.process.pulse import CONSUMER, SILENT_SECONDS, Pulse
from threelane.worker.process.readiness import Readiness


@pytest.fixture
def now() -> list[float]:
    return [100.0]


@pytest.fixture
def pulse(now: list[float]) -> Pulse:
    return Pulse(lambda: now[0])


def test_a_part_that_misses_its_beats_is_a_problem_until_it_beats_again(pulse: Pulse, now: list[float]) -> None:
    """A blocked event loop sends nothing, and a restart ends it."""
    pulse.beat("lane-1")
    pulse.beat(CONSUMER)
    now[0] += SILENT_SECONDS + 1
    pulse.beat(CONSUMER)
    found = probes.live(pulse, Readiness())

    assert ("its event loop lane-1 has not turned for 21 s",) == found.problems
    assert (False, False) == (found.is_live, found.is_ready)
    pulse.beat("lane-1")
    assert probes.live(pulse, Readiness()).is_ready


def test_a_worker_that_lost_one_of_its_lanes_is_a_problem(pulse: Pulse) -> None:
    """Its loop turns and the other lanes move, while codes wait; not while it connects again."""
    assert () == probes.live(pulse, Readiness(), lambda: {1}).problems
    pulse.beat(CONSUMER)

    assert ("it does not consume lane 1, which it serves",) == probes.live(pulse, Readiness(), lambda: {1}).problems


def test_a_consumer_that_connects_again_is_not_ready_and_not_a_problem(pulse: Pulse, now: list[float]) -> None:
    """It waits for its broker, however long that takes: a restart would not help."""
    pulse.beat(CONSUMER)
    pulse.leave(CONSUMER)
    now[0] += 1_000
    found = probes.live(pulse, Readiness())

    assert (True, False) == (found.is_live, found.is_ready)


def test_a_reason_not_to_send_is_not_a_problem(pulse: Pulse) -> None:
    """A restart neither brings Redis back nor corrects a password."""
    readiness = Readiness()
    readiness.wait("redis", "Redis is away")
    pulse.beat(CONSUMER)
    found = probes.live(pulse, readiness)

    assert ((), ("Redis is away",)) == (found.problems, found.reasons)
    assert (True, False) == (found.is_live, found.is_ready)


def test_the_time_of_unbroken_reports_starts_again_after_an_outage(pulse: Pulse, now: list[float]) -> None:
    """Right after it, no worker has fetched for a while; whoever judged that would restart all of them."""
    for _ in range(10):
        pulse.reported()
        now[0] += 10
    assert 100 == pulse.reporting_seconds()
    now[0] += SILENT_SECONDS
    assert 0 == pulse.reporting_seconds()
    pulse.reported()
    now[0] += 5
    assert 5 == pulse.reporting_seconds()


@pytest.mark.parametrize(
    ("found", "live", "ready"),
    [
        (Health(workers=("w",)), Exit.OK, Exit.OK),
        (Health(workers=("w",), redis="away"), Exit.OK, Exit.UNAVAILABLE),
        (Health(workers=("w",), reasons=("login refused",)), Exit.OK, Exit.UNHEALTHY),
        (Health(workers=("w",), reasons=("its consumer connects",), redis="away"), Exit.OK, Exit.UNAVAILABLE),
        (Health(workers=("w",), problems=("blocked",), redis="away"), Exit.UNHEALTHY, Exit.UNHEALTHY),
        (Health(workers=("w",), waits=("lane 1",)), Exit.WAITING, Exit.WAITING),
    ],
)
def test_liveness_fails_only_where_a_restart_helps(found: Health, live: Exit, ready: Exit) -> None:
    """Kubernetes and Docker restart on it; readiness keeps a rollout from going on."""
    assert (live, ready) == (found.code(ready=False), found.code(ready=True))


def test_the_probes_are_beside_the_metrics() -> None:
    """On the port that a worker has anyway; every other path is of the metrics."""
    served: list[str] = []
    server = WSGIServer.__new__(WSGIServer)
    server.set_app(lambda environ, _: served.append(environ["PATH_INFO"]) or [])
    found = Live(worker="w", pid=1, reasons=("login refused",))
    probes.serve_probes(server, lambda: found)
    app: Any = server.get_app()
    statuses: list[str] = []

    bodies = [b"".join(app({"PATH_INFO": path}, lambda status, _: statuses.append(status))) for path in PATHS]
    assert ["200 OK", "503 Service Unavailable"] == statuses
    assert ["/metrics"] == served
    assert [["login refused"]] * 2 == [json.loads(body)["reasons"] for body in bodies if body]


PATHS = ("/live", "/ready", "/metrics")
