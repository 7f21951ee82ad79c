"""Narrow holds: a bad sender holds that sender, a prefix without a route that prefix, and nothing else waits."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import pytest
import redis
from pydantic import SecretStr

from tests.integration.conftest import Workers, attempts, taken
from tests.properties.system import System, open_system
from tests.servers import RedisServer, typed, wait_until
from threelane import Accepted, Producer, Status
from threelane.contract import phone
from threelane.sandbox.running import Running
from threelane.store import keys
from threelane.store.status import MessageStatus
from threelane.worker.account import hold
from threelane.worker.account.hold import Hold
from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind
from threelane.worker.process.settings import WorkerSettings

Until = Callable[..., MessageStatus]
BAD_SENDER = {"do": "code", "code": "123", "command": "sendmsg", "api": "http", "times": 1}


@pytest.fixture
def system(redis_server: RedisServer, client: redis.Redis) -> Iterator[System]:
    assert client.ping()
    with open_system(redis_server) as made:
        yield made


def taken_in(system: System, **fields: object) -> str:
    (answer,) = system.accept([system.draft(**fields)])
    assert isinstance(answer, Accepted)
    return answer.id


def goes(system: System, message_id: str) -> bool:
    """Return whether a claim gives a message out."""
    return bool(system.claim(3, [message_id], f"token of {message_id}").claimed)


DAMAGED = ("garbage", "5", "[]", "{}", "null", '{"code":1,"cause":"","since":0,"until":0}', '{"code":"x","until":"x"}')


@pytest.mark.parametrize("entry", DAMAGED)
def test_a_hold_that_cannot_be_read_stays_one_and_costs_no_message_and_no_worker(
    system: System, client: redis.Redis, entry: str
) -> None:
    """A person may have set it; one that workers learn again by themselves does not count."""
    waits = taken_in(system)
    for scope in ("account", "gateway:0123", "credentials:0123"):
        client.hset(keys.HOLDS, scope, entry)
    assert {"account": hold.DAMAGED} == hold.holds(client, system.now)
    assert not goes(system, waits)
    assert hold.resume(client, "account", system.now)

    system.now += 5_000  # the rate ramps up
    assert {} == hold.holds(client, system.now)
    assert goes(system, waits)


def test_an_operator_who_resumes_a_sender_waits_for_no_probe(system: System, client: redis.Redis) -> None:
    """What waits is looked at each minute; the evidence of before is gone."""
    system.attempt(taken_in(system, sender="ACME"), AttemptOutcome(OutcomeKind.REFUSED, "106"))
    waits = taken_in(system, sender="ACME")
    assert not goes(system, waits)
    assert "scheduled" == system.glance([waits]).records[waits]["status"]
    assert hold.resume(client, "sender:ACME:ZA", system.now)
    assert not client.exists(keys.SUSPECTS)
    system.now += 60_000
    system.release()
    assert goes(system, waits)


def test_a_message_on_hold_ends_with_its_validity(system: System) -> None:
    """It expires in its time, and is not kept forever by a hold without an end."""
    system.attempt(taken_in(system, sender="ACME"), AttemptOutcome(OutcomeKind.REFUSED, "106"))
    waits = taken_in(system, sender="ACME", validity_period=2)
    assert not goes(system, waits)
    for _ in range(2):
        system.now += 60_000
        system.release()
        goes(system, waits)
    assert Status.EXPIRED is system.glance([waits]).status(waits)


@pytest.mark.parametrize(
    ("msisdn", "network"),
    [("27831234567", "2783123"), ("12025550123", "120255"), ("35312345678", "35312345"), ("88112345678", "88112345")],
)
def test_a_network_is_the_calling_code_and_five_digits(msisdn: str, network: str) -> None:
    """One digit of a calling code or three."""
    assert network == phone.network(msisdn)


def test_a_worker_stops_a_bad_sender_and_nothing_else_meanwhile(
    producer: Producer, sandbox: Running, workers: Workers, client: redis.Redis, until: Until
) -> None:
    """Messages claimed before the hold stay untried, too; another sender's messages do not even pause."""
    sandbox.control("POST", "faults", {**BAD_SENDER, "to": "279995000"})
    acme = [{"to": f"27999500{n:03d}", "text": "Hello", "sender": "ACME"} for n in range(80)]
    messages = [one.id for one in producer.send_many(acme) if isinstance(one, Accepted)]
    workers.start(gateway_connections=1, threads=2)
    wait_until(lambda: client.hexists(keys.HOLDS, "sender:ACME:ZA@-"), what="the hold")
    others = [{"to": f"27999600{n:03d}", "text": "Hello", "sender": "OTHER"} for n in range(40)]
    for one in producer.send_many(others):
        until(one.id, Status.SENT)
    wait_until(lambda: client.zcard(keys.DUE[3]) == 79, what="the others of the sender to wait")
    assert 1 == len([one for one in sandbox.control("GET", "attempts")["attempts"] if one["code"] == "123"])
    assert {0} == {one.attempts for one in producer.statuses(messages) if one and one.status is Status.SCHEDULED}

    completed = typed("holds", "--json", environment=workers.environment)
    held = json.loads(completed.stdout)
    assert {"sender:ACME:ZA@-": (1, 1)} == {
        scope: (one["evidence"]["messages"], one["evidence"]["numbers"]) for scope, one in held.items()
    }
    assert "1 message to 1 number" in typed("holds", environment=workers.environment | {"COLUMNS": "200"}).stdout
    completed = typed("resume", "sender:ACME:za", environment=workers.environment)
    assert (0, "sender:ACME:ZA resumed\n") == (completed.returncode, completed.stdout)
    client.zadd(
        keys.DUE[3], dict.fromkeys((one.decode() for one in client.zrange(keys.DUE[3], 0, -1)), 0)
    )  # the minute is over
    wait_until(lambda: len(taken(sandbox)) == 40 + 79, what="the rest")
    assert {} == hold.holds(client, int(time.time() * 1000))


def test_wrong_credentials_stop_their_worker_and_no_other(
    producer: Producer, sandbox: Running, workers: Workers, client: redis.Redis, until: Until
) -> None:
    """It claims nothing, so no message is refused; a worker beside it sends them all."""
    messages = [producer.send(f"27999500{n:03d}", "Hello", lane=1).id for n in range(20)]
    workers.start(clickatell_password="wrong")
    wait_until(lambda: workers.events("login_refused"), what="the refusal")
    assert ["credentials"] == [scope.partition(":")[0] for scope in hold.holds(client, 0)]
    assert [] == sandbox.control("GET", "attempts")["attempts"]
    assert 20 == client.zcard(keys.QUEUED[1])

    workers.start()
    for one in messages:
        until(one, Status.SENT)
    assert {1} == {len(attempts(sandbox, one)) for one in messages}
    stored = b"".join(client.dump(key) or b"" for key in (keys.HOLDS, keys.BALANCE, keys.RATE))
    assert b"wrong" not in stored


def test_a_hold_of_the_account_for_refused_credentials_ends_with_a_login_that_is_accepted(
    producer: Producer, workers: Workers, client: redis.Redis, until: Until
) -> None:
    """A worker of an older version holds the account for its own credentials, at any time."""
    message = producer.send("27999500001", "Hello", lane=1).id
    client.hset(keys.HOLDS, "account", hold.encode(Hold("account", "001", "authentication_failed"), 1))
    workers.start()
    until(message, Status.SENT)
    assert 1 == len(workers.events("resumed"))


def test_a_password_that_is_refused_while_a_worker_runs_costs_no_message_an_attempt(
    producer: Producer, sandbox: Running, workers: Workers, client: redis.Redis, until: Until
) -> None:
    """A worker with the new one goes on; the messages of the old one keep their place."""
    workers.start()
    sandbox.control("POST", "faults", {"do": "code", "code": "001"})
    message = producer.send("27999500001", "Hello", lane=1).id
    wait_until(lambda: workers.events("login_refused"), what="the refusal")
    until(message, Status.SENT)  # its login is accepted again
    assert 1 == producer.status(message).attempts
    wait_until(lambda: {} == hold.holds(client, 0), what="the end of the hold")


def refused_of(sandbox: Running) -> set[str]:
    return {one["client_id"] for one in sandbox.control("GET", "attempts")["attempts"] if one["code"]}


def settings(**changes: object) -> WorkerSettings:
    given: dict[str, object] = {
        "clickatell_user": "us",
        "clickatell_api_id": "1",
        "clickatell_password": SecretStr("a"),
        "clickatell_token": SecretStr("b"),
        "clickatell_api_key": SecretStr("c"),
    }
    return WorkerSettings(**(given | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"clickatell_user": "we"},
        {"clickatell_api_id": "2"},
        {"clickatell_password": SecretStr("d")},
        {"clickatell_token": SecretStr("d")},
        {"clickatell_api_key": SecretStr("d")},
        {"gateway_url": "http://elsewhere"},
        {"gateway": "rest"},
    ],
)
def test_each_change_of_credentials_or_address_is_seen(change: dict[str, object]) -> None:
    """And a change of anything else is none; the fingerprint shows nothing of them."""
    assert settings().fingerprint != settings(**change).fingerprint
    assert settings().fingerprint == settings(parts_per_second=1, worker_name="w").fingerprint
    assert 16 == len(settings().fingerprint)


@pytest.mark.parametrize("cause", ["no_credit", "mt_limit", "account_frozen"])
def test_a_hold_that_no_setting_fixes_stays(system: System, client: redis.Redis, cause: str) -> None:
    """A worker that starts with other credentials has not topped up the account."""
    client.hset(keys.HOLDS, "account", hold.encode(Hold("account", "301", cause), system.now))
    assert not hold.is_of_settings(hold.holds(client, system.now)["account"])
