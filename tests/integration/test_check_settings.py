"""threelane check finds any invalid setting of any process, and any misspelt name."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings
from typer.testing import CliRunner

from tests.integration.conftest import threelane_child
from tests.servers import typed
from tests.slow import also_slow
from threelane.interfaces.command.line import app
from threelane.operations.configuration import register
from threelane.sandbox.settings import SandboxSettings

WRONG = "banana"
READ_AND_JUDGED = {  # texts, addresses and paths that have a form, or lead to something
    "THREELANE_REDIS_URL",
    "THREELANE_BROKER_URL",
    "THREELANE_GATEWAY_URL",
    "THREELANE_PRICES",
    "THREELANE_REDIS_CA_FILE",
    "THREELANE_REDIS_CERTIFICATE_FILE",
    "THREELANE_REDIS_KEY_FILE",
    "THREELANE_ALLOW_ONLY",
    "THREELANE_POLICY_FILE",
    "THREELANE_WORDS_FILE",
    "THREELANE_ACCOUNTS_FILE",
    "THREELANE_ACCOUNT",  # without a file
    "THREELANE_CURRENCY",
    "THREELANE_CALLBACK_SECRET",
    "THREELANE_CALLBACK_USER",  # without its password
    "THREELANE_CALLBACK_PASSWORD",
    "THREELANE_SANDBOX_CALLBACK_URL",
    "THREELANE_SANDBOX_REPLY_URL",
    "THREELANE_SANDBOX_ONE_CALLBACK_URL",
    "THREELANE_SANDBOX_PLATFORM_CALLBACK_URL",
}
ANY_WORDS = {  # lists of them
    "THREELANE_SANDBOX_SENDERS",
    "THREELANE_SANDBOX_UNROUTED",
    "THREELANE_SANDBOX_DO_NOT_CONTACT",
}
Check = Callable[..., tuple[int, list[dict[str, str]]]]


def refuses(field: FieldInfo) -> bool:
    """Return whether a setting's type accepts no word."""
    try:
        TypeAdapter(field.annotation).validate_python(WRONG)
    except ValidationError:
        return True
    return False


def of(kind: type[BaseSettings]) -> dict[str, FieldInfo]:
    """Return a class's settings by their variables."""
    return {f"{kind.model_config['env_prefix']}{name.upper()}": field for name, field in kind.model_fields.items()}


EVERY = {name: field for kind in (*register(), SandboxSettings) for name, field in of(kind).items()}
CAN_BE_WRONG = sorted({name for name, field in EVERY.items() if refuses(field)} - ANY_WORDS | READ_AND_JUDGED)


@pytest.fixture
def check(client: redis.Redis, base_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Check:
    """``threelane check`` on an environment that is sound but for what a test sets."""
    assert client.ping()
    for name in [one for one in os.environ if one.startswith("THREELANE_")]:
        monkeypatch.delenv(name)

    def run(**variables: str) -> tuple[int, list[dict[str, str]]]:
        for name, value in (base_environment | variables).items():
            monkeypatch.setenv(name, value)
        result = CliRunner().invoke(app, ["check", "--json"])
        return result.exit_code, json.loads(result.stdout)

    return run


def errors(findings: list[dict[str, Any]]) -> list[str]:
    """Return the errors, each with what it is about."""
    return [f"{one['what']}: {one['told']}" for one in findings if one["grade"] == "error"]


def test_most_settings_can_be_wrong() -> None:
    """Or the test below would look at nothing."""
    assert len(CAN_BE_WRONG) > len(EVERY) / 2
    assert "THREELANE_WEBHOOK_TIMEOUT_SECONDS" in CAN_BE_WRONG
    assert set(EVERY) >= READ_AND_JUDGED


def test_a_sound_environment_has_no_error(check: Check) -> None:
    """So that each error below is that of its variable."""
    code, findings = check()
    assert [] == errors(findings)
    assert 0 == code


@pytest.mark.parametrize("variable", CAN_BE_WRONG)
def test_an_invalid_setting_is_reported_with_its_name(check: Check, variable: str) -> None:
    """A process would end at its start: of all of them, whichever runs here."""
    code, findings = check(**{variable: WRONG})
    found = errors(findings)
    assert 2 == code
    assert any(variable in one for one in found), found
    assert len(found) == len(set(found))


def test_a_host_without_the_callback_endpoint_needs_no_secret_of_it(check: Check) -> None:
    """A host of workers; its other settings are checked all the same, and a secret that is set must be valid."""
    code, findings = check(THREELANE_CALLBACK_SECRET="")
    note = "valid; THREELANE_CALLBACK_SECRET is not set: only threelane callbacks needs it"
    assert (0, []) == (code, errors(findings))
    assert note in {one["detail"] for one in findings}
    code, findings = check(THREELANE_CALLBACK_SECRET="", THREELANE_CALLBACK_USER="us")
    assert 2 == code
    assert any("THREELANE_CALLBACK_PASSWORD" in one for one in errors(findings))


def test_a_mistake_that_several_processes_share_is_reported_once(check: Check) -> None:
    """They all read it; it is one variable to correct."""
    _, findings = check(THREELANE_REDIS_TIMEOUT_SECONDS=WRONG)
    assert 1 == len(errors(findings))


@pytest.mark.parametrize(
    "variables",
    [
        ("THREELANE_REDIS_CA_FILE",),
        ("THREELANE_REDIS_CERTIFICATE_FILE", "THREELANE_REDIS_KEY_FILE"),
        ("THREELANE_API_TLS_CERT", "THREELANE_API_TLS_KEY"),
    ],
)
def test_a_file_that_is_not_pem_is_reported_once(check: Check, tmp_path: Path, variables: tuple[str, ...]) -> None:
    """Before the first connection with TLS fails on it."""
    file = tmp_path / "certificate.der"
    file.write_bytes(b"\x30\x82")
    code, findings = check(**dict.fromkeys(variables, str(file)))
    (found,) = errors(findings)
    assert 2 == code
    assert all(variable in found for variable in variables)
    assert str(file) in found


def test_a_misspelt_variable_is_an_error_with_the_nearest_name(check: Check) -> None:
    """The default would be in force, silently."""
    code, findings = check(THREELANE_PARTS_PER_SECONDS="20")
    assert 2 == code
    expected = "THREELANE_PARTS_PER_SECONDS is not a setting; the nearest is THREELANE_PARTS_PER_SECOND"
    assert [f"THREELANE_PARTS_PER_SECONDS: {expected}"] == errors(findings)


def test_variables_of_other_tools_and_of_secret_files_are_not_mistakes(check: Check, tmp_path: Path) -> None:
    """The environment also has the tests' own variables."""
    file = tmp_path / "password"
    file.write_text("hunter2", encoding="utf-8")
    os.environ.pop("THREELANE_CALLBACK_PASSWORD", None)
    code, findings = check(
        THREELANE_TEST_REDIS="redis-server",
        THREELANE_EXAMPLES="40",
        THREELANE_FUZZ="1",
        THREELANE_SANDBOX_PORT="0",
        THREELANE_CALLBACK_USER="us",
        THREELANE_CALLBACK_PASSWORD_FILE=str(file),
    )
    assert [] == errors(findings)
    assert 0 == code


def test_the_command_reports_it_too(client: redis.Redis, base_environment: dict[str, str]) -> None:
    """As a person types it."""
    assert client.ping()
    wrong = {"THREELANE_WEBHOOK_TIMEOUT_SECONDS": WRONG}
    completed = typed("check", "--json", environment=base_environment | wrong)
    assert 2 == completed.returncode
    assert "THREELANE_WEBHOOK_TIMEOUT_SECONDS" in completed.stdout


@pytest.mark.parametrize("process", ["worker", "api", *also_slow("callbacks", "webhooks", "exporter")])
def test_each_process_warns_of_a_misspelt_variable_and_starts(
    client: redis.Redis, base_environment: dict[str, str], tmp_path: Path, process: str
) -> None:
    """A container's variables may be those of a newer release, so the process starts."""
    assert client.ping()
    misspelt = {"THREELANE_PARTS_PER_SECONDS": "20", "THREELANE_API_PORT": "0"}
    child = threelane_child(process, tmp_path, base_environment | misspelt)
    try:
        event = child.event("unknown_setting")
        child.event({"worker": "started", "exporter": "metrics"}.get(process, process))
    finally:
        child.stop()
    assert ("THREELANE_PARTS_PER_SECONDS", "THREELANE_PARTS_PER_SECOND") == (event["variable"], event["nearest"])
    assert "warning" == event["level"]
