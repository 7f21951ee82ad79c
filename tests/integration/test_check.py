"""threelane check: a new operator learns in seconds each problem, its cause and the next step."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import redis

from tests import rabbit
from tests.integration.api import API
from tests.servers import RedisServer, threelane, typed
from threelane.sandbox.running import Running


def _check(environment: dict[str, str], *words: str) -> tuple[int, list[dict[str, str]]]:
    completed = typed("check", "--json", *words, environment=environment)
    assert "Traceback" not in completed.stderr
    return completed.returncode, json.loads(completed.stdout)


def _errors(findings: list[dict[str, str]]) -> list[tuple[str, str]]:
    return [(one["what"], one["told"]) for one in findings if one["grade"] == "error"]


@pytest.mark.main_job
def test_a_sound_deployment_passes_and_the_account_answers(
    client: redis.Redis, sandbox: Running, base_environment: dict[str, str]
) -> None:
    """Settings of each kind of process, Redis and its promises, credentials, balance."""
    client.config_set("maxmemory", "1gb")
    try:
        code, findings = _check(base_environment, "--live")
    finally:
        client.config_set("maxmemory", "0")
    assert [] == _errors(findings)
    assert 0 == code
    assert any("credentials accepted, balance 100000" in one["told"] for one in findings)


@pytest.mark.main_job
def test_each_failure_is_reported_with_its_cause_and_the_next_step(
    client: redis.Redis, sandbox: Running, base_environment: dict[str, str]
) -> None:
    """Wrong password, no credentials, Redis that forgets, Redis that is away, settings that contradict."""
    wrong = base_environment | {f"THREELANE_CLICKATELL_{API.credentials[-1]}": "hunter2"}
    code, findings = _check(wrong, "--live")
    assert 2 == code
    (account,) = _errors(findings)
    assert API.code("001") in account[1]
    assert "hunter2" not in json.dumps(findings)

    none = {name: value for name, value in base_environment.items() if "CLICKATELL" not in name}
    missing = [f"THREELANE_CLICKATELL_{name} is not set" for name in API.credentials]
    assert missing == [problem for _, problem in _errors(_check(none, "--live")[1])]

    assert missing == [problem for _, problem in _errors(_check(none)[1])]
    listed = json.loads(typed("doctor", "--json", environment=none).stdout)  # on a host that has no worker
    assert set() == set(missing) & {one["told"] for one in listed if one["grade"] == "error"}

    client.config_set("appendonly", "no")
    client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        errors = _errors(_check(base_environment)[1])
    finally:
        client.config_set("appendonly", "yes")
        client.config_set("maxmemory-policy", "noeviction")
    assert ["has no append-only file", "may evict records (allkeys-lru)"] == [problem for _, problem in errors]

    away = base_environment | {"THREELANE_REDIS_URL": "redis://:hunter2@127.0.0.1:9/0"}
    code, findings = _check(away)
    assert 2 == code
    assert "Redis" in dict(_errors(findings))
    assert "hunter2" not in json.dumps(findings)

    contradicting = base_environment | {"THREELANE_LEASE_SECONDS": "5"}
    errors = _errors(_check(contradicting)[1])
    assert "WorkerSettings" in dict(errors)
    assert all(one["step"] for one in findings if one["grade"] != "ok")


def test_a_silent_broker_is_reported_without_its_password(
    client: redis.Redis, base_environment: dict[str, str]
) -> None:
    """Nudges would wait for the sweep, and the reason for the delay would be hidden."""
    away = base_environment | {"THREELANE_BROKER_URL": "amqp://me:hunter2@127.0.0.1:9//"}
    code, findings = _check(away)
    assert 2 == code
    (broker,) = [one for one in findings if one["what"] == "broker, RabbitMQ"]
    assert "error" == broker["grade"]
    assert "amqp://me:**@127.0.0.1:9//" in broker["told"]
    assert "hunter2" not in json.dumps(findings)


def test_the_address_of_another_server_is_reported(
    client: redis.Redis, redis_server: RedisServer, base_environment: dict[str, str]
) -> None:
    """An address that was mistyped may lead to a server that answers, and is the wrong one."""
    url = os.environ.get("THREELANE_BROKER_URL", redis_server.url.replace("/0", "/1"))
    _, findings = _check(base_environment | {"THREELANE_BROKER_URL": url})
    (broker,) = [one for one in findings if one["what"].startswith("broker, ")]
    assert ("ok", "broker, RabbitMQ" if rabbit.wanted() else "broker, Redis") == (broker["grade"], broker["what"])
    assert "answers" in broker["told"]


@pytest.mark.parametrize("family", ["legacy.901", "one_api.18"])
def test_a_worker_does_not_start_on_a_wrong_policy_file(
    base_environment: dict[str, str], tmp_path: Path, family: str
) -> None:
    """Whichever API it speaks: the file is one for all of them."""
    file = tmp_path / "policy.toml"
    file.write_text(f"[{family}]\nmost_attempts = 0\n", encoding="utf-8")
    completed = threelane("worker", environment=base_environment | {"THREELANE_POLICY_FILE": str(file)})
    assert 2 == completed.returncode
    assert f"[{family}] most_attempts: 0 is not a number from 1 to 1000" in completed.stderr


def test_for_people_it_is_a_table(redis_server: RedisServer, base_environment: dict[str, str]) -> None:
    """Without --json."""
    completed = typed("check", environment=base_environment)
    assert "next step" in completed.stdout


def test_an_unusable_run_folder_is_reported(
    client: redis.Redis, sandbox: Running, base_environment: dict[str, str], tmp_path: Path
) -> None:
    """A worker would end with code 2 and the same sentence."""
    tmp_path.chmod(0o777)
    code, findings = _check(base_environment | {"THREELANE_RUN_DIR": str(tmp_path)})

    ((what, problem),) = _errors(findings)
    assert (2, "run folder") == (code, what)
    assert problem.startswith(f"THREELANE_RUN_DIR: every user can write {tmp_path}")
