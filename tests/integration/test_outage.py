"""The gateway does not answer for a while: what is in doubt afterwards, what goes first, and who notices.

Counted, not timed: an outage lasts until the breaker has probed several times.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pytest
import redis

from tests.integration.api import API, needs_a_look_up
from tests.integration.conftest import Workers, taken
from tests.servers import typed, wait_until
from tests.slow import also_slow
from threelane import Accepted, Producer, Status, Unavailable
from threelane.sandbox.running import Running
from threelane.store import keys

pytestmark = pytest.mark.main_job

NEWSLETTERS, CODES = 300, 20  # more codes than probes
CONNECTIONS, WORKERS, FAILURES, PROBES = 4, 2, 5, 4
SETTINGS = {
    "breaker_failures": FAILURES,
    "probe_seconds": 0.2,
    "most_probe_seconds": 0.5,
    "gateway_connections": CONNECTIONS,
    "gateway_timeout_seconds": 1,
    "doubt_delays_seconds": "1,1",
    "parts_per_second": 100,
    "burst_seconds": 0.2,
    "ramp_seconds": 1,
}
# fmt: off
OUTAGES: dict[str, dict[str, Any]] = {
    "503": {"do": "page", "http": 503},
    "503 and Retry-After": {"do": "page", "http": 503, "retry_after_seconds": 1},
    "resets": {"do": "reset"},
    "timeouts": {"do": "hang"},
    "a page": {"do": "page", "http": 200},
}
# fmt: on


def tallied(client: redis.Redis, family: str) -> int:
    found: dict[bytes, bytes] = client.hgetall(keys.TALLY)  # type: ignore[assignment]
    return sum(int(number) for name, number in found.items() if name.startswith(f"{family}:".encode()))


def opened(client: redis.Redis) -> list[bytes]:
    names: Any = client.hkeys(keys.HOLDS)
    return [one for one in names if one.startswith(b"gateway:")]


def sends(sandbox: Running, since: float) -> list[str]:
    """Return the client ids of the messages whose requests came since a moment, in their order."""
    return [one for request in requests_of(sandbox, since) for one in request["sent"]]


def requests_of(sandbox: Running, since: float) -> list[dict[str, Any]]:
    return list(sandbox.control("GET", f"requests?command=sendmsg&since={since}")["requests"])


def accepted(producer: Producer, number: int, lane: int) -> list[str]:
    drafts = ({"to": f"2799{lane}5{n:05d}", "text": "Hello", "lane": lane} for n in range(number))
    return [one.id for one in producer.send_many(drafts) if isinstance(one, Accepted)]


def end_outage(sandbox: Running) -> float:
    sandbox.control("DELETE", "faults")
    return time.time()


def all_sent(producer: Producer, ids: Sequence[str]) -> bool:
    """Return whether they are known to be sent; on a busy machine Redis may answer the next time."""
    try:
        return all(one and one.status is Status.SENT for one in producer.statuses(list(ids)))
    except Unavailable:
        return False


@needs_a_look_up
@pytest.mark.parametrize(
    ("outage", "command"),
    [
        *(pytest.param(outage, "*", marks=[] if outage == "resets" else [pytest.mark.slow]) for outage in OUTAGES),
        pytest.param("timeouts", "sendmsg", marks=pytest.mark.slow),
    ],
)
def test_an_outage_leaves_a_handful_in_doubt_and_the_first_code_goes_first(
    producer: Producer, sandbox: Running, workers: Workers, client: redis.Redis, outage: str, command: str
) -> None:
    """In doubt: the requests under way when the breaker opened, those that opened it, and one a probe; none is lost.

    With the fault on every command the harmless call fails, and no probe costs a message; with a fault of sends alone
    each probe costs one at most.  An answer from before the outage that comes among the failures begins its worker's
    count of failures again.
    """
    sandbox.control("POST", "settings", {"latency_ms": 30})
    grace = {"doubt_delays_seconds": "1,15"} if command == "sendmsg" else {}  # nothing is sent again before its end
    for _ in range(WORKERS):
        workers.start(**SETTINGS | grace)
    news = accepted(producer, NEWSLETTERS, 3)
    wait_until(lambda: len(taken(sandbox)) > 20, 60, what="the newsletter to flow")
    before = tallied(client, "in_doubt")
    began_at = time.time()
    sandbox.control("POST", "faults", [{**OUTAGES[outage], "command": command, "times": None}])
    struck_at = time.time()
    wait_until(lambda: opened(client), 60, what="the breaker to open")
    codes = accepted(producer, CODES, 1)
    wait_until(lambda: tallied(client, "probed") >= PROBES, 60, what="probes")
    returned_at = end_outage(sandbox)
    wait_until(lambda: all_sent(producer, codes), 60, what="the codes")

    assert next(iter(sends(sandbox, returned_at))) in codes
    probes = tallied(client, "probed") if command == "sendmsg" else 0
    requests = [one for one in requests_of(sandbox, began_at) if one["at"] < returned_at]
    newly, risked = tallied(client, "in_doubt") - before, sum(len(one["sent"]) for one in requests)
    print(f"{outage} of {command}: {newly} in doubt of {risked} in {len(requests)} requests, {probes} of probes")
    before_it = [one for one in requests_of(sandbox, 0) if one["at"] < struck_at and (one["ended_at"] or 0) > began_at]
    late = sum(1 for one in before_it if one["http"] in (200, 202))
    assert newly <= risked
    assert len(requests) <= WORKERS * (CONNECTIONS + FAILURES) + probes + late * FAILURES
    wait_until(lambda: all_sent(producer, [*news, *codes]), 120, what="all to be sent")
    assert {1} == {len(copies) for copies in taken(sandbox).values()}
    assert {*news, *codes} == set(taken(sandbox))
    assert not opened(client)


@pytest.mark.slow
def test_while_the_gateway_does_not_answer_nothing_is_sent(
    producer: Producer, sandbox: Running, workers: Workers, client: redis.Redis
) -> None:
    """No message of the backlog leaves its lane; a probe is a harmless call as long as that fails."""
    for _ in range(WORKERS):
        workers.start(**SETTINGS)
    sandbox.control("POST", "faults", [{"do": "page", "http": 503, "command": "*", "times": None}])
    ids = accepted(producer, NEWSLETTERS, 3)
    wait_until(lambda: opened(client), 60, what="the breaker to open")
    wait_until(lambda: not any(client.zcard(keys.LEASES[lane]) for lane in keys.LANES), what="calls under way to end")
    waiting, since = client.zcard(keys.QUEUED[3]), time.time()
    probes = tallied(client, "probed")
    wait_until(lambda: tallied(client, "probed") >= probes + PROBES, 60, what="probes")

    assert [] == sends(sandbox, since)
    assert waiting == client.zcard(keys.QUEUED[3])
    end_outage(sandbox)
    wait_until(lambda: len(taken(sandbox)) >= len(ids) - WORKERS * (CONNECTIONS + FAILURES) * API.batch, 60)


def test_refused_connections_spend_no_attempt_and_leave_nothing_in_doubt(
    producer: Producer, sandbox: Running, workers: Workers, client: redis.Redis
) -> None:
    """They were surely not sent: they wait in their lane, and go in one attempt when the gateway is back."""
    workers.start(**SETTINGS)
    sandbox.control("POST", "refuse", {"seconds": 4})
    codes = accepted(producer, CODES, 1)
    wait_until(lambda: opened(client), 60, what="the breaker to open")
    wait_until(lambda: all_sent(producer, codes), 60, what="the codes")

    assert {1} == {one.attempts for one in producer.statuses(codes) if one}
    assert 0 == tallied(client, "in_doubt")


@pytest.mark.slow
def test_a_prober_that_dies_leaves_the_breaker_to_another_worker(
    producer: Producer, sandbox: Running, workers: Workers, client: redis.Redis
) -> None:
    """Its turn ends with its time, and the messages flow."""
    first = workers.start(**SETTINGS)
    sandbox.control("POST", "faults", [{"do": "hang", "command": "*", "times": None}])
    wait_until(lambda: accepted(producer, 1, 1) and opened(client), 60, what="the breaker to open")
    (key,) = client.scan_iter("tl:breaker:*")
    wait_until(lambda: client.hget(key, "prober"), what="a prober")
    first.process.kill()
    first.process.wait()
    end_outage(sandbox)
    workers.start(**SETTINGS)
    wait_until(lambda: not opened(client), what="the breaker to close")
    more = accepted(producer, 1, 2)
    wait_until(lambda: all_sent(producer, more), what="the next message")


def test_an_operator_sees_the_breaker_and_can_close_it(
    producer: Producer, sandbox: Running, workers: Workers, client: redis.Redis, base_environment: dict[str, str]
) -> None:
    """threelane holds shows cause and next probe; threelane resume gateway closes it."""
    workers.start(**SETTINGS | {"probe_seconds": 60, "most_probe_seconds": 60})
    sandbox.control("POST", "faults", [{"do": "reset", "command": "*", "times": None}])
    accepted(producer, FAILURES * API.batch, 1)
    (scope,) = wait_until(lambda: opened(client), 60, what="the breaker to open")
    shown = typed("holds", "--json", environment=base_environment).stdout
    assert scope.decode() in shown
    assert "failures in a row" in shown
    end_outage(sandbox)
    assert "gateway resumed" in typed("resume", "gateway", environment=base_environment).stdout
    assert not opened(client)
    codes = accepted(producer, 1, 2)
    wait_until(lambda: all_sent(producer, codes), what="the next message")


@pytest.mark.parametrize("form", ["seconds", *also_slow("date")])
def test_a_rate_limit_holds_all_lanes_and_leaves_nothing_in_doubt(
    producer: Producer, sandbox: Running, workers: Workers, client: redis.Redis, form: str
) -> None:
    """HTTP 429 with either form of Retry-After: nothing was taken, no attempt is spent, and a code goes first.

    The rate grows from the end of the hold, and lane 3 leaves its reserve to lane 1.
    """
    workers.start(**SETTINGS | {"burst_seconds": 1, "ramp_seconds": 5})
    page = {"do": "page", "http": 429, "command": "*", "times": None, "retry_after_seconds": 3, "retry_after": form}
    sandbox.control("POST", "faults", [page])
    news = accepted(producer, 50, 3)
    wait_until(lambda: client.hexists(keys.HOLDS, "account"), 60, what="the hold")
    codes = accepted(producer, CODES, 1)
    wait_until(lambda: not client.zcard(keys.LEASES[3]), 60, what="the calls under way to end")
    returned_at = end_outage(sandbox)
    wait_until(lambda: all_sent(producer, [*news, *codes]), 60, what="all to be sent")

    assert next(iter(sends(sandbox, returned_at))) in codes
    assert {1} == {one.attempts for one in producer.statuses([*news, *codes]) if one}
    assert [0, 0] == [tallied(client, family) for family in ("in_doubt", "breaker_opened")]
    assert {*news, *codes} == set(taken(sandbox))


@pytest.mark.slow
def test_a_worker_with_a_wrong_address_stops_alone_and_reports_it(
    producer: Producer,
    sandbox: Running,
    workers: Workers,
    client: redis.Redis,
    base_environment: dict[str, str],
) -> None:
    """Another server answers there with 404: its messages go to the other worker, unspent, and the fleet goes on."""
    workers.start(worker_name="lost", gateway_url=f"{sandbox.url}/elsewhere", **SETTINGS)
    wait_until(lambda: client.hget(keys.worker("lost"), "fault"), 60, what="the report of its fault")
    workers.start(worker_name="right", **SETTINGS)
    ids = accepted(producer, 100, 2)
    wait_until(lambda: all_sent(producer, ids), 60, what="all to be sent")

    assert {1} == {one.attempts for one in producer.statuses(ids) if one}
    assert 0 == tallied(client, "in_doubt")
    assert not opened(client)
    unhealthy = typed("health", "--worker", "lost", "--ready", environment=base_environment)
    assert 5 == unhealthy.returncode
    assert "is not Clickatell's" in unhealthy.stdout + unhealthy.stderr
    assert 0 == typed("health", "--worker", "right", environment=base_environment).returncode


@pytest.mark.slow
def test_a_worker_goes_on_when_its_address_answers_properly(
    producer: Producer, sandbox: Running, workers: Workers, client: redis.Redis
) -> None:
    """A captive page went away: no restart is needed."""
    sandbox.control("POST", "faults", [{"do": "page", "http": 302, "command": "*", "times": None}])
    workers.start(worker_name="one", **SETTINGS)
    ids = accepted(producer, 10, 1)
    wait_until(lambda: client.hget(keys.worker("one"), "fault"), 60, what="the report of its fault")
    assert [] == sends(sandbox, 0)
    end_outage(sandbox)
    wait_until(lambda: all_sent(producer, ids), 60, what="all to be sent")
    assert {1} == {one.attempts for one in producer.statuses(ids) if one}
