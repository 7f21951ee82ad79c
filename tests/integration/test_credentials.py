"""Credentials of a worker: refused ones stop the workers that have them, no other, and cost no message an attempt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from tests.integration.api import API
from tests.integration.conftest import Workers, threelane_child
from tests.properties.system import System
from tests.servers import wait_until
from threelane import Producer, Status
from threelane.operations import doctor
from threelane.sandbox.running import Running
from threelane.store import keys
from threelane.store.status import MessageStatus
from threelane.worker.account import balance, credentials, hold
from threelane.worker.account.hold import REFUSED_MS, Hold, credentials_scope
from threelane.worker.policy.legacy import LEGACY
from threelane.worker.process.readiness import LOGIN, READINESS
from threelane.worker.send import recover

Until = Callable[..., MessageStatus]
SECRETS = ("password", "token", "api_key")
NEW = {f"clickatell_{name}": "rolled" for name in SECRETS}
AT_GATEWAY = dict.fromkeys(("password", "rest_token", "api_key"), "rolled")
REFUSED = "001 Authentication failed"


class Refusing:
    """A gateway that refuses these credentials."""

    name = "http"

    async def balance(self) -> float | str:
        """Refuse, as the gateway does."""
        return REFUSED


@pytest.fixture
def context(system: System) -> Iterator[Any]:
    """What a worker with refused credentials has; this process is ready again after the test."""
    clock = SimpleNamespace(now=lambda: system.now)
    yield SimpleNamespace(
        client=system.client, clock=clock, gateway=Refusing(), settings=system.settings, refused_scopes=frozenset()
    )
    READINESS.clear(LOGIN)


def test_a_worker_without_its_credentials_ends_with_code_2_and_their_names(
    workers: Workers, base_environment: dict[str, str]
) -> None:
    """It cannot work with these settings, so its supervisor must not wait for it."""
    none = {name: "" if "CLICKATELL" in name else value for name, value in base_environment.items()}
    child = threelane_child("worker", workers.folder, none, 9)
    assert 2 == child.process.wait(60)
    log = child.log.read_text(encoding="utf-8")
    assert [] == [name for name in API.credentials if f"THREELANE_CLICKATELL_{name}" not in log]
    assert "Traceback" not in log


def test_a_worker_with_a_new_password_continues_where_the_old_one_is_refused(
    producer: Producer, sandbox: Running, workers: Workers, client: redis.Redis, until: Until
) -> None:
    """Both are deployed while the password changes: no code is lost, held or charged with an attempt."""
    workers.start()
    workers.start(worker_name="new", **NEW)
    wait_until(lambda: workers.events("login_refused"), what="the refusal of the new password")
    until(producer.send("27999500001", "Hello", lane=1).id, Status.SENT)

    sandbox.control("POST", "credentials", AT_GATEWAY)
    code = producer.send("27999500002", "Hello", lane=1).id

    assert 1 == until(code, Status.SENT).attempts
    assert not client.hexists(keys.HOLDS, "account")
    assert 2 == len(workers.events("login_refused"))
    assert 0 == client.zcard(keys.DEAD)


def test_a_refused_worker_asks_the_gateway_for_nothing_but_its_login(
    producer: Producer, sandbox: Running, workers: Workers, client: redis.Redis, until: Until
) -> None:
    """A refusal says nothing of a message or of the balance: it polls, looks up and cancels nothing."""
    first = workers.start()
    sent = producer.send("27999500001", "Hello").id
    until(sent, Status.SENT, Status.DELIVERED)
    first.stop()
    client.delete(keys.BALANCE, keys.BALANCE_TURN)
    client.zadd(keys.AWAITING[3], {sent: 1})
    client.zadd(keys.STOPPING, {sent: 1})
    sandbox.control("POST", "credentials", AT_GATEWAY)
    begin = max(one["at"] for one in sandbox.control("GET", "requests")["requests"]) + 0.001

    workers.start(balance_seconds=1, worker_name="refused")
    beats: set[bytes | None] = set()

    def has_worked() -> bool:
        beats.add(client.hget(keys.worker("refused"), "beat"))  # type: ignore[arg-type]
        return len(beats - {None}) >= 3

    wait_until(has_worked, what="two intervals of its report, in which its other duties ran several times")
    requests = sandbox.control("GET", f"requests?since={begin}")["requests"]
    assert {"getbalance"} == {name for one in requests for name in one["commands"]}
    assert not client.exists(keys.BALANCE)


def test_doctor_names_the_workers_with_refused_credentials(system: System) -> None:
    """The operator corrects their settings; it is an error only while no other worker sends."""
    system.sync.zadd(keys.WORKERS, {"bad": system.now, "good": system.now})
    refused = Hold(credentials_scope("0f3c"), "001", "authentication_failed", system.now + REFUSED_MS)
    system.run(hold.renew(system.client, refused, system.now))
    report: dict[Any, Any] = {"beat": system.now, "fetched": system.now, "lanes": "1,2,3"}
    system.sync.hset(keys.worker("bad"), mapping=report | {"fingerprint": "0f3c", "not_ready": "login: refused"})
    grades = []
    for not_ready in ("", "redis: away"):
        system.sync.hset(keys.worker("good"), mapping=report | {"fingerprint": "77", "not_ready": not_ready})
        (finding,) = [one for one in doctor.diagnose(system.sync, system.now, LEGACY) if one.what == "credentials"]
        assert "refuses those of bad: 001 authentication_failed" in finding.detail
        grades.append(finding.grade)
    assert [doctor.WARNING, doctor.ERROR] == grades


def test_the_row_of_refused_credentials_lapses_with_their_last_worker(system: System, context: Any) -> None:
    """Each refused login renews it, since when they were first refused; a rolled password leaves nothing behind."""
    scope, began = credentials_scope(system.settings.fingerprint), system.now
    system.run(credentials.log_in(context))
    system.now += 20_000
    system.run(credentials.log_in(context))

    held = hold.holds(system.sync, system.now)[scope]
    assert (began, system.now + REFUSED_MS) == (held.since, held.until)
    assert {} == hold.holds(system.sync, system.now + REFUSED_MS)
    assert 1 == int(system.sync.hget(keys.TALLY, "held:credentials") or 0)


def test_a_worker_that_waits_logs_in_at_once_when_others_are_refused(system: System, context: Any) -> None:
    """The password has probably just changed to its own: its next turn must not wait; the same row counts once."""
    system.run(credentials.log_in(context))
    turn, others = keys.login(system.settings.fingerprint), credentials_scope("0f3c")
    row = hold.decode({others.encode(): hold.encode(Hold(others, "001", "authentication_failed"), 1)}, system.now)
    turns = []
    for _ in range(2):
        system.run(credentials.postpone(system.client, system.settings.fingerprint))
        system.run(credentials.follow(context, row))
        turns.append(bool(system.sync.exists(turn)))
    assert [False, True] == turns


def test_a_balance_that_is_refused_is_not_the_account_s(system: System, context: Any) -> None:
    """The last reading stays, no error hides it, and the workers with these credentials stop."""
    system.sync.hset(keys.BALANCE, mapping={"credits": 5, "at": 1})

    async def is_of_account(reading: float | str) -> bool:
        return await credentials.accepts(context, reading)

    assert not system.run(balance.read(system.client, context.gateway, system.settings, system.now, is_of_account))
    assert {b"credits": b"5", b"at": b"1"} == system.sync.hgetall(keys.BALANCE)
    assert not credentials.is_accepted()


def test_a_worker_with_refused_credentials_does_not_probe_for_the_others(system: System, context: Any) -> None:
    """A refusal shows that the gateway's login answers, not that it sends: the breaker would close too early."""
    context.breaker = SimpleNamespace(fault="", is_shared=True)
    context.client = None  # a probe would fail here
    credentials.refuse("001", "authentication_failed")

    async def look() -> bool:
        return await recover.DUTY.work(context)

    assert not system.run(look())


def test_only_the_gateway_ends_a_hold_of_credentials() -> None:
    """To resume it would claim messages for a refusal each."""
    with pytest.raises(ValueError, match="correct them for their workers"):
        hold.parse_resumable("credentials:0f3c")
