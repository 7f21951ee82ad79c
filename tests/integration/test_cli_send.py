"""``threelane send`` and ``threelane status`` as a user types them."""

from __future__ import annotations

import json
import os
import re

import pytest
import redis

from tests.servers import RedisServer, free_port, stored, typed
from threelane.store import keys

TO = "27831234567"


@pytest.fixture
def environment(client: redis.Redis, redis_server: RedisServer) -> dict[str, str]:
    """What a user sets: the address of an empty Redis."""
    assert stored(client) == 0
    return {"THREELANE_REDIS_URL": redis_server.url}


def test_a_message_is_sent_and_its_status_shown(environment: dict[str, str], client: redis.Redis) -> None:
    """The id that one command prints is what the other takes."""
    sent = typed(
        "send", TO, "[/b] Hello", "--lane", "1", "--from", "Shop", "--field", "costCentre=[a]", environment=environment
    )
    assert (1, "") == (sent.returncode, sent.stdout)
    assert "refused 101 costCentre" in sent.stderr

    long = typed("send", TO, "don’t " + "hello there " * 12, environment=environment)
    assert "3 parts: ’ (U+2019) at character 4 takes 2 parts more" in long.stdout

    sent = typed("send", TO, "[/b] Hello", "--lane", "1", "--field", "tags=a,b", "--json", environment=environment)
    answer = json.loads(sent.stdout)
    assert (0, True, 1) == (sent.returncode, answer["accepted"], answer["lane"])

    client.hset(keys.record(answer["id"]), "text", "from a gateway: [/b]")
    completed = typed("status", answer["id"], environment=environment)
    assert (0, "") == (completed.returncode, completed.stderr)
    assert "queued" in completed.stdout
    assert "[/b]" in completed.stdout

    completed = typed("status", answer["id"], "--json", environment=environment)
    assert ("queued", TO) == (json.loads(completed.stdout)["status"], json.loads(completed.stdout)["to"])


@pytest.mark.parametrize(
    ("options", "delay_ms", "validity_ms"),
    [
        (["--delay", "1h30m"], 5_400_000, None),
        (["--delay", "90"], 90_000, None),
        (["--field", "delay=2 days"], 172_800_000, None),
        (["--validity", "2h"], 0, 7_200_000),
        (["--field", "validityPeriod=1 day"], 0, 86_400_000),
        (["--field", "validity=5"], 0, 300_000),
        (["--field", "deliv_time=90"], 5_400_000, None),
        (["--field", "Deliv_Time=1h"], 3_600_000, None),
    ],
)
def test_durations_are_understood_as_people_write_them(
    environment: dict[str, str], options: list[str], delay_ms: int, validity_ms: int | None
) -> None:
    """The fields of messages keep their units: only the command line reads 1h."""
    answer = json.loads(typed("send", TO, "Hello", *options, "--json", environment=environment).stdout)
    one = json.loads(typed("status", answer["id"], "--json", environment=environment).stdout)

    assert delay_ms == pytest.approx(max(one["due_at"] - one["accepted_at"], 0), abs=1_000)
    if validity_ms:
        assert validity_ms == pytest.approx(one["expires_at"] - one["accepted_at"], abs=1_000)


@pytest.mark.parametrize(
    "options", [["--delay", "soon"], ["--delay", "-1h"], ["--validity", "1h30"], ["--delay", "200 years"]]
)
def test_an_invalid_duration_is_refused_with_the_right_form(environment: dict[str, str], options: list[str]) -> None:
    """Exit code 2, the option, and no traceback."""
    done = typed("send", TO, "Hello", *options, environment=environment)
    assert (2, "") == (done.returncode, done.stdout)
    assert options[0] in done.stderr


def test_a_field_that_is_no_duration_is_refused_by_its_own_rule(environment: dict[str, str]) -> None:
    """As every other field of a message is: with its name and the right form."""
    for pair, problem in (("delay=soon", "120 delay"), ("validityPeriod=90s", "101 validityPeriod")):
        done = typed("send", TO, "Hello", "--field", pair, environment=environment)
        assert (1, True) == (done.returncode, problem in done.stderr)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--field", "to=27831111118"], "--field to: also given by TO; keep one"),
        (["--field", "msg=z", "--field", "text=z"], "--field text: also given by TEXT; keep one"),
        (["--lane", "1", "--field", "lane=3"], "--field lane: also given by --lane; keep one"),
        (["--delay", "60s", "--field", "deliv_time=3"], "--field deliv_time: also given by --delay; keep one"),
        (["--client-message-id", "a", "--field", "CliMsgId=a"], "--field CliMsgId: also given by --client-message-id"),
        (["--field", "tags=a", "--field", "tags=b"], "--field tags: given twice; keep one"),
        (["--field", "queue=1", "--field", "lane=2"], "--field lane: also given by --field queue; keep one"),
        (["--template", "a", "--value", "name=A", "--value", "name=B"], "--value name: given twice; keep one"),
        (["--value", "name=A", "--field", 'values={"name": "B"}'], "--field values: also given by --value; keep one"),
        (["--lane", "1", "--lane", "2"], "given twice; keep one"),
    ],
)
def test_a_field_that_is_given_twice_sends_nothing(
    environment: dict[str, str], client: redis.Redis, words: list[str], problem: str
) -> None:
    """By an argument, an option or --field, under any of its names: one of the values would count, without a word."""
    done = typed("send", TO, "Hello", *words, environment=environment)
    assert (2, "", 0) == (done.returncode, done.stdout, stored(client))
    assert problem in done.stderr


def test_status_is_written_for_people(environment: dict[str, str], client: redis.Redis) -> None:
    """No number in the clear, no milliseconds and no tuple; the JSON is as before."""
    answer = json.loads(typed("send", TO, "Hello", "--delay", "1h", "--json", environment=environment).stdout)
    more = {"waits": "1.0 4.0", "charge": "400000", "reports": "1767225600000 003"}
    client.hset(keys.record(answer["id"]), mapping=more)
    shown = typed("--utc", "status", answer["id"], environment=environment).stdout
    one = json.loads(typed("status", answer["id"], "--json", "--utc", environment=environment).stdout)

    assert TO not in shown
    assert [1.0, 4.0] == one["waits"]
    for words in ("27831******", "1 s, 4 s", "0.40 credits", "2026-01-01 00:00:00Z", "in 59 min", " s ago)"):
        assert words in shown
    assert not re.search(r"[0-9]{13}", shown.replace(answer["id"], ""))


def test_a_refusal_is_one_line_of_json_and_exit_code_1(environment: dict[str, str]) -> None:
    """For scripts: the code, the field as it was typed, and what would be right; bad bytes do no harm."""
    pair = os.fsdecode(b"\xe9=1")
    sent = typed("send", "0831234567", "Hello", "--json", environment=environment)
    odd = typed("send", TO, "Hello", "--field", pair, "--json", environment=environment)

    assert (1, "") == (sent.returncode, sent.stderr)
    answer = json.loads(sent.stdout)
    assert (False, "105", "to", "producer") == tuple(answer[key] for key in ("accepted", "code", "field", "owner"))
    assert (1, "\\udce9") == (odd.returncode, json.loads(odd.stdout)["field"])


def test_an_unknown_id_has_an_exit_code_of_its_own(environment: dict[str, str]) -> None:
    """Never known, or forgotten."""
    completed = typed("status", "nothing", environment=environment)

    assert (6, "") == (completed.returncode, completed.stdout)
    assert "nothing: unknown" in completed.stderr


# fmt: off
BAD_SETTINGS = [
    ("THREELANE_REDIS_TIMEOUT_SECONDS", "abc"),
    ("THREELANE_REDIS_URL", "redis://:hunter2/x@localhost"),
    ("THREELANE_LOG_LEVEL", "loud"),
]
# fmt: on


@pytest.mark.parametrize(("variable", "value"), BAD_SETTINGS)
def test_an_invalid_setting_is_named(environment: dict[str, str], variable: str, value: str) -> None:
    """Exit code 2, the variable, and no traceback; the value may be a secret and is not shown."""
    completed = typed("send", TO, "Hello", environment=environment | {variable: value})

    assert (2, "") == (completed.returncode, completed.stdout)
    assert variable in completed.stderr
    assert "Traceback" not in completed.stderr
    assert value not in completed.stderr


@pytest.mark.parametrize("command", [("send", TO, "Hello"), ("status", "0f3c" * 8)])
def test_without_redis_the_command_ends_with_exit_code_3(command: tuple[str, ...]) -> None:
    """A sentence, no traceback, no address and no password."""
    url = f"redis://:hunter2@127.0.0.1:{free_port()}/0"
    completed = typed(*command, "--json", environment={"THREELANE_REDIS_URL": url})

    assert 3 == completed.returncode
    assert "Redis does not answer at THREELANE_REDIS_URL" in " ".join(completed.stderr.split())
    assert "Redis does not answer" in json.loads(completed.stdout)["unavailable"]
    assert not any(secret in completed.stdout + completed.stderr for secret in ("hunter2", "127.0.0.1", "Traceback"))
