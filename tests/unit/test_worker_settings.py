"""The environment: what is valid, and what is not."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from threelane.contract.prices import CREDIT
from threelane.runtime.settings import ApiSettings, InvalidSettings, ProducerSettings, Settings, load, load_or_exit
from threelane.worker.process.settings import (
    AccountSettings,
    CallbackSettings,
    ExporterSettings,
    WebhookSettings,
    WorkerSettings,
)

SECRET = "a1b2c3d4e5f60718"
KINDS = (
    Settings,
    ProducerSettings,
    ApiSettings,
    AccountSettings,
    WorkerSettings,
    CallbackSettings,
    ExporterSettings,
    WebhookSettings,
)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Nothing is set, and no stack runs in this folder."""
    for name in os.environ:
        if name.startswith("THREELANE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return monkeypatch


def refused(kind: type[Settings], environment: pytest.MonkeyPatch, **variables: str) -> str:
    """Return the error about an invalid environment."""
    for name, value in variables.items():
        environment.setenv(f"THREELANE_{name.upper()}", value)
    with pytest.raises(InvalidSettings) as invalid:
        load(kind)
    return str(invalid.value)


@pytest.mark.parametrize("kind", [one for one in KINDS if one is not CallbackSettings])
def test_without_an_environment_the_defaults_are_valid(kind: type[Settings]) -> None:
    """Only the callback endpoint needs a setting: its secret."""
    assert isinstance(load(kind), kind)


# fmt: off
LEASES = [("60", "10", True), ("20.001", "10", True), ("20", "10", False), ("5", "10", False), ("60", "30", False)]
# fmt: on


@pytest.mark.parametrize(("lease", "timeout", "fits"), LEASES)
def test_a_lease_outlives_a_send(environment: pytest.MonkeyPatch, lease: str, timeout: str, fits: bool) -> None:
    """A lease that ends in the middle of a call puts a message in doubt that is being sent."""
    environment.setenv("THREELANE_LEASE_SECONDS", lease)
    environment.setenv("THREELANE_GATEWAY_TIMEOUT_SECONDS", timeout)
    if fits:
        assert float(lease) * 1000 == load(WorkerSettings).lease_ms
        return
    with pytest.raises(InvalidSettings) as invalid:
        load(WorkerSettings)
    for part in (f"THREELANE_LEASE_SECONDS={lease}", f"THREELANE_GATEWAY_TIMEOUT_SECONDS={timeout}", "more than twice"):
        assert part in str(invalid.value)


# fmt: off
WRONG = [
    (WorkerSettings, "threads", "0"), (WorkerSettings, "threads", "-1"), (WorkerSettings, "threads", "many"),
    (WorkerSettings, "gateway_url", "banana"), (WorkerSettings, "gateway_url", "http://"),
    (WorkerSettings, "gateway_url", "ftp://x"), (WorkerSettings, "gateway_url", "http://host:port"),
    (WorkerSettings, "gateway_url", "http://us:hunter2@host"), (WorkerSettings, "gateway_url", "http://@host"),
    (WorkerSettings, "gateway_connections", "0"), (WorkerSettings, "parts_per_second", "0"),
    (WorkerSettings, "burst_seconds", "0"), (WorkerSettings, "lower_lane_share", "0"),
    (WorkerSettings, "lower_lane_share", "0.5"), (WorkerSettings, "lease_seconds", "0"),
    (WorkerSettings, "retry_every_seconds", "0"), (WorkerSettings, "stop_retrying_after_seconds", "-1"),
    (WorkerSettings, "retention_days", "7.9"), (WorkerSettings, "metrics_port", "65536"),
    (WorkerSettings, "metrics_port", "-1"), (WorkerSettings, "gateway", "smtp"),
    (WorkerSettings, "gateway_timeout_seconds", "0"), (WorkerSettings, "doubt_delays_seconds", ""),
    (WorkerSettings, "doubt_delays_seconds", "5,0"), (WorkerSettings, "doubt_delays_seconds", "5;30"),
    (WorkerSettings, "doubt_delays_seconds", "inf"), (WorkerSettings, "reserve_credits", "inf"),
    (WorkerSettings, "reserve_credits", "1,2,3"), (WorkerSettings, "reserve_credits", ""),
    (WorkerSettings, "look_ups_per_second", "0"), (WorkerSettings, "sweep_seconds", "0"),
    (CallbackSettings, "callbacks_port", "70000"), (CallbackSettings, "retention_days", "1"),
    (ExporterSettings, "metrics_port", "x"), (ProducerSettings, "redis_timeout_seconds", "0"),
    (WebhookSettings, "webhook_timeout_seconds", "0"), (WebhookSettings, "webhook_delays_seconds", "5;30"),
    (WebhookSettings, "webhook_delays_seconds", ""), (WebhookSettings, "webhook_private_addresses", "maybe"),
    (ApiSettings, "api_port", "65536"), (ApiSettings, "api_threads", "0"), (ApiSettings, "api_body_mib", "0"),
    (ApiSettings, "api_tls_cert", "/nowhere/cert.pem"),
    (ProducerSettings, "redis_connections", "0"), (ProducerSettings, "log_level", "loud"),
]
# fmt: on


@pytest.mark.parametrize(("kind", "name", "value"), WRONG, ids=lambda one: str(getattr(one, "__name__", one)))
def test_an_error_names_the_variable_and_no_other(
    environment: pytest.MonkeyPatch, kind: type[Settings], name: str, value: str
) -> None:
    """One line for each variable that is wrong."""
    environment.setenv("THREELANE_CALLBACK_SECRET", SECRET)
    error = refused(kind, environment, **{name: value})
    assert [f"THREELANE_{name.upper()}"] == re.findall(r"^  (\w+):", error, re.MULTILINE)


# fmt: off
UNGUARDED = [  # what is set, and the variable that is named
    ({},                                                                        "THREELANE_CALLBACK_SECRET"),
    ({"callback_secret": ""},                                                   "THREELANE_CALLBACK_SECRET"),
    ({"callback_secret": "hunter2hunter2x"},                                    "THREELANE_CALLBACK_SECRET"),
    ({"callback_secret": "hunter2/hunter2/hunter2"},                            "THREELANE_CALLBACK_SECRET"),
    ({"callback_secret": "hunter2 hunter2 hunter2"},                            "THREELANE_CALLBACK_SECRET"),
    ({"callback_secret": "hünter2hünter2hünter2"},                              "THREELANE_CALLBACK_SECRET"),
    ({"callback_secret": "hunter2hunter2\u0661\u0662"},                         "THREELANE_CALLBACK_SECRET"),
    ({"callback_secret": SECRET, "callback_user": "ops"},                       "THREELANE_CALLBACK_PASSWORD"),
    ({"callback_secret": SECRET, "callback_password": "hunter2"},               "THREELANE_CALLBACK_USER"),
    ({"callback_secret": SECRET, "callback_secret_previous": "hunter2"},        "THREELANE_CALLBACK_SECRET_PREVIOUS"),
    ({"callback_secret": SECRET, "callback_password_previous": "hunter2"},      "THREELANE_CALLBACK_PASSWORD_PREVIOUS"),
]
# fmt: on


@pytest.mark.parametrize(("variables", "named"), UNGUARDED)
def test_callbacks_do_not_start_without_a_secret(
    environment: pytest.MonkeyPatch, variables: dict[str, str], named: str
) -> None:
    """The error names the variable, and shows no part of a secret."""
    error = refused(CallbackSettings, environment, **variables)
    assert named in error
    assert not any(hidden in error for hidden in ("hunter2", "hünter2", SECRET))


@pytest.mark.parametrize("more", [{}, {"callback_user": "ops", "callback_password": "hunter2"}])
def test_callbacks_start_with_a_secret(environment: pytest.MonkeyPatch, more: dict[str, str]) -> None:
    """Sixteen letters and digits are enough; basic authentication is both of its halves or none."""
    for name, value in {"callback_secret": SECRET, **more}.items():
        environment.setenv(f"THREELANE_{name.upper()}", value)
    settings = load(CallbackSettings)
    assert (SECRET, more.get("callback_user", "")) == (
        settings.callback_secret.get_secret_value(),
        settings.callback_user,
    )


@pytest.mark.parametrize(
    ("kind", "variables"),
    [
        (WorkerSettings, {"clickatell_password": "hunter2", "threads": "none"}),
        (WorkerSettings, {"clickatell_password": "hunter2", "lease_seconds": "1"}),
        (WorkerSettings, {"redis_url": "redis://:hunter2/x@localhost"}),
        (WorkerSettings, {"gateway_url": "https://us:hunter2@gateway.example"}),
        (CallbackSettings, {"callback_secret": "hunter2", "callback_password": "hunter2", "retention_days": "1"}),
    ],
)
def test_a_process_with_bad_settings_ends_with_code_2_and_shows_no_secret(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: type[Settings], variables: dict[str, str]
) -> None:
    """Standard error ends up in a log that more people read."""
    for name, value in variables.items():
        environment.setenv(f"THREELANE_{name.upper()}", value)
    with pytest.raises(SystemExit) as ended:
        load_or_exit(kind)
    captured = capsys.readouterr()
    assert (2, "") == (ended.value.code, captured.out)
    assert "THREELANE_" in captured.err
    assert "hunter2" not in captured.err


def test_settings_do_not_show_their_secrets_when_they_are_printed(environment: pytest.MonkeyPatch) -> None:
    """A debugger or a log line may print the whole of them."""
    variables = {"clickatell_password": "hunter2", "redis_url": "redis://:hunter2@localhost:6379/0"}
    for name, value in variables.items():
        environment.setenv(f"THREELANE_{name.upper()}", value)
    assert "hunter2" not in repr(load(WorkerSettings)) + str(load(WorkerSettings))


def test_the_waits_of_a_message_in_doubt_are_a_comma_list(environment: pytest.MonkeyPatch) -> None:
    """Each is the wait before a look-up."""
    environment.setenv("THREELANE_DOUBT_DELAYS_SECONDS", "1, 2.5,30")
    assert (1.0, 2.5, 30.0) == load(WorkerSettings).doubt_delays_seconds


@pytest.mark.parametrize(("given", "floors"), [("0", [0, 0, 0]), ("100", [0, 100, 100]), ("50,100", [0, 50, 150])])
def test_a_reserve_is_one_number_or_two(environment: pytest.MonkeyPatch, given: str, floors: list[int]) -> None:
    """The second one is additional, so it may be the larger one."""
    environment.setenv("THREELANE_RESERVE_CREDITS", given)
    settings = load(WorkerSettings)
    assert [CREDIT * one for one in floors] == [settings.floor(lane) for lane in (1, 2, 3)]


@pytest.mark.parametrize("parts_per_second", [0.1, 1, 2, 100, 5000])
def test_the_longest_message_fits_into_the_bucket_of_every_lane(
    environment: pytest.MonkeyPatch, parts_per_second: float
) -> None:
    """Three parts beside what the lowest lane leaves for the others; otherwise it would wait forever."""
    environment.setenv("THREELANE_PARTS_PER_SECOND", str(parts_per_second))
    settings = load(WorkerSettings)
    assert [True] * 3 == [3 + settings.reserve(lane) <= settings.burst for lane in (1, 2, 3)]


@pytest.mark.parametrize(
    ("url", "broker"),
    [
        ("amqp://me:secret@rabbit:5672/sms", "RabbitMQ"),
        ("amqps://rabbit//", "RabbitMQ"),
        ("amqp://one//;amqp://two//", "RabbitMQ"),
        ("redis://elsewhere:6380/3", "Redis"),
    ],
)
def test_nudges_may_travel_by_another_broker(url: str, broker: str) -> None:
    """RabbitMQ, one node or several, or another Redis."""
    settings = load(Settings, broker_url=url)
    assert (url, broker) == (settings.broker, settings.broker_kind)


@pytest.mark.parametrize("url", ["ampq://me:hunter2@rabbit//", "amqp://me:hunter2/x@rabbit//", "rabbit", "sqs://"])
def test_an_invalid_broker_address_is_reported_without_showing_it(url: str) -> None:
    """Otherwise kombu would fail at the first nudge, which is not tried again."""
    with pytest.raises(InvalidSettings, match="THREELANE_BROKER_URL: not an address of RabbitMQ or Redis") as raised:
        load(Settings, broker_url=url)
    assert "hunter2" not in str(raised.value)


def test_without_a_broker_of_its_own_nudges_travel_through_the_same_redis(environment: pytest.MonkeyPatch) -> None:
    """As in docs/configuration.md."""
    environment.setenv("THREELANE_REDIS_URL", "redis://elsewhere:6380/3")
    assert "redis://elsewhere:6380/3" == load(Settings).broker
