"""``threelane windows`` as an operator types it."""

from __future__ import annotations

import json

import pytest
import redis
from typer.testing import CliRunner, Result

from tests.servers import RedisServer, free_port
from threelane.contract.window import parse
from threelane.interfaces.command.windows import app
from threelane.store import keys, windows

ZA = "27831234567"


class Operator:
    """Types commands."""

    def __init__(self, redis_url: str) -> None:
        self.environment = {"THREELANE_REDIS_URL": redis_url}

    def types(self, *words: str) -> Result:
        return CliRunner().invoke(app, words, env=self.environment)

    def tries(self, *words: str) -> dict[str, object]:
        result = self.types("try", *words, "--json")
        assert 0 == result.exit_code, result.output
        return dict(json.loads(result.stdout))


@pytest.fixture
def operator(client: redis.Redis, redis_server: RedisServer) -> Operator:
    """An operator of an empty Redis."""
    assert 0 == client.exists(keys.WINDOWS, keys.HOLIDAYS)
    return Operator(redis_server.url)


def test_a_window_is_set_listed_replaced_and_removed(operator: Operator, client: redis.Redis) -> None:
    """What is on Redis is the canonical text."""
    assert "no windows" in operator.types("list").stdout

    result = operator.types("set", " lane:3", "Monday-FRI 8:00-20:00; sat 9:00-13:00 recipient")
    assert (0, "lane:3 is sent mon-fri 08:00-20:00; sat 09:00-13:00 recipient\n") == (result.exit_code, result.stdout)
    assert 0 == operator.types("set", "tag:promo", "fri,sat 20:00-02:00 Europe/Berlin").exit_code
    assert {
        b"lane:3": b"mon-fri 08:00-20:00; sat 09:00-13:00 recipient",
        b"tag:promo": b"fri-sat 20:00-02:00 Europe/Berlin",
    } == client.hgetall(keys.WINDOWS)

    assert 0 == operator.types("set", "lane:3", "daily 08:00-21:00 recipient").exit_code
    listed = operator.types("list")
    assert 0 == listed.exit_code
    assert "daily 08:00-21:00 recipient" in listed.stdout
    assert "fri-sat 20:00-02:00 Europe/Berlin" in listed.stdout

    assert "tag:promo is sent at any hour" in operator.types("remove", "tag:promo").stdout
    assert "tag:promo had no window" in operator.types("remove", "tag:promo").stdout
    assert {
        "windows": {"lane:3": "daily 08:00-21:00 recipient"},
        "unreadable": {},
    } == json.loads(operator.types("list", "--json").stdout)


@pytest.mark.parametrize(
    ("scope", "window", "problem"),
    [
        ("lane:1", "daily 08:00-20:00 UTC", "lane:1 cannot have a window"),
        ("lane:9", "daily 08:00-20:00 UTC", "give lane:2, lane:3 or tag:<tag>"),
        ("lane:2", "daily 08:00-20:00", "the zone is missing"),
        ("lane:2", "daily 08:00-20:00 Berlin", "did you mean Europe/Berlin?"),
        ("tag:[/b]", "daily 08:00-20:00 UTC", "is not a valid name"),
    ],
)
def test_an_invalid_window_is_not_set(
    operator: Operator, client: redis.Redis, scope: str, window: str, problem: str
) -> None:
    """Exit code 2, a sentence, and nothing changed."""
    answer = operator.types("set", scope, window)

    assert (2, "") == (answer.exit_code, answer.stdout)
    assert problem in answer.stderr
    assert 0 == client.exists(keys.WINDOWS)


def test_an_operator_tries_when_a_message_would_go(operator: Operator) -> None:
    """Open, waiting, without a window, and lane 1, which never waits."""
    operator.types("set", "lane:3", "mon-fri 08:00-20:00 recipient")
    operator.types("set", "tag:promo", "daily 17:00-19:00 UTC")

    monday, saturday = "2031-06-30T14:00:00Z", "2031-06-28T14:00:00Z"
    assert {
        "scopes": ["lane:3"],
        "country": "ZA",
        "zones": ["Africa/Johannesburg"],
        "prefix": "",
        "at": 1_940_594_400_000,
        "open": True,
        "opens": 1_940_594_400_000,
        "holidays": [],
    } == operator.tries("lane:3", "--to", "+27 83 123 4567", "--at", monday)
    assert 1_940_565_600_000 == operator.tries("lane:3", "--to", ZA, "--at", saturday)["opens"]
    assert 1_940_605_200_000 == operator.tries("lane:3", "tag:promo", "--to", ZA, "--at", monday)["opens"]
    assert operator.tries("lane:2", "tag:other", "--to", ZA, "--at", saturday)["open"]
    assert operator.tries("lane:1", "tag:promo", "--to", ZA, "--at", saturday)["open"]
    assert operator.tries("lane:2", "--to", ZA)["open"]

    result = operator.types("try", "lane:3", "--to", ZA, "--at", saturday)
    assert [
        "it waits until 2031-06-30 06:00:00Z (Mon 08:00 in Africa/Johannesburg)",
        "the recipient's time: Africa/Johannesburg, the zone of ZA",
    ] == result.stdout.splitlines()
    result = operator.types("try", "lane:3", "--to", "12125551234", "--at", saturday)
    assert "Mon 08:00 in America/New_York" in result.stdout
    assert "the recipient's time: America/New_York, by the prefix 1212" in result.stdout
    result = operator.types("try", "lane:3", "--to", "18005551234", "--at", saturday)
    assert "Mon 14:00 in America/New_York" in result.stdout
    assert "the recipient's time: all 29 zones of US" in result.stdout
    assert "decides alone" not in result.stdout
    operator.types("set", "tag:noon", "daily 12:00-13:00 recipient")
    result = operator.types("try", "tag:noon", "--to", "18005551234", "--at", saturday)
    assert "never open in all of these zones at once, so America/New_York decides alone" in result.stdout
    assert "decides alone" not in operator.types("try", "tag:noon", "--to", ZA, "--at", saturday).stdout
    assert "1212" == operator.tries("lane:3", "--to", "12125551234")["prefix"]
    assert "open: it is sent at once" in operator.types("try", "lane:3", "--to", ZA, "--at", monday).stdout
    assert "no window applies" in operator.types("try", "lane:2", "--to", ZA).stdout

    both = ["try", "lane:3", "--to", ZA, "--to", "12125551234", "--at", saturday]
    assert [ZA, "12125551234"] == [
        line.partition(":")[0] for line in operator.types(*both).stdout.splitlines() if line[0].isdigit()
    ]
    assert ["ZA", "US"] == [one["country"] for one in json.loads(operator.types(*both, "--json").stdout)]

    operator.types("set", "tag:never", "sun 08:00-09:00 UTC")
    assert "not open together" in operator.types("try", "lane:3", "tag:never", "--to", ZA, "--at", monday).stdout
    assert operator.tries("lane:3", "tag:never", "--to", ZA, "--at", monday)["opens"] is None


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["lane:3", "--to", "0831234567"], "starts with 0"),
        (["lane:3", "--to", ZA, "--at", "2031-06-30 14:00"], "has no zone"),
        (["lane:3", "--to", ZA, "--at", "9999-12-31T14:00:00Z"], "out of range"),
        (["lane:7", "--to", ZA], "give lane:2, lane:3 or tag:<tag>"),
        (["lane:2", "--to", ZA], "is invalid and ignored"),
    ],
)
def test_an_invalid_try_is_reported(operator: Operator, client: redis.Redis, words: list[str], problem: str) -> None:
    """Exit code 2 and a sentence."""
    client.hset(keys.WINDOWS, mapping={"lane:2": "whenever", "lane:3": "daily 08:00-20:00 recipient"})
    answer = operator.types("try", *words)

    assert (2, "") == (answer.exit_code, answer.stdout)
    assert problem in answer.stderr


def test_an_entry_that_cannot_be_read_is_listed_and_can_be_removed(operator: Operator, client: redis.Redis) -> None:
    """It holds nothing back, so the operator must see it."""
    client.hset(keys.WINDOWS, mapping={"lane:2": "[/b]", "lane:3": "daily 08:00-20:00 UTC"})

    assert {"lane:2"} == set(windows.read(client).unreadable)
    assert {"lane:3": parse("daily 08:00-20:00 UTC")} == windows.read(client).by_scope
    listed = operator.types("list")
    assert 0 == listed.exit_code
    assert "at any hour: invalid window: '[/b]' is not a window" in " ".join(listed.stdout.split())
    assert ["lane:2"] == list(json.loads(operator.types("list", "--json").stdout)["unreadable"])
    assert 0 == operator.types("remove", "lane:2").exit_code
    assert {} == windows.read(client).unreadable


def test_without_redis_it_is_exit_code_3() -> None:
    """And a sentence, no traceback."""
    answer = Operator(f"redis://127.0.0.1:{free_port()}/0").types("list")

    assert (3, "") == (answer.exit_code, answer.stdout)
    assert answer.stderr


def test_help_shows_examples(operator: Operator) -> None:
    """Nobody guesses the form of a window."""
    assert "daily 08:00-21:00 recipient" in operator.types("set", "--help").stdout
    assert "--to 27831234567" in operator.types("try", "--help").stdout
