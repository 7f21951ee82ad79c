"""Every table of the command line can be read back at every width: no id, number or cause is lost."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any, NamedTuple
from unittest import mock

import pytest
import redis

from tests import two_accounts
from tests.integration.test_cli_producers import HOOK, lay_aside
from tests.properties.system import open_system
from tests.servers import RedisServer, threelane, typed
from tests.two_accounts import BULK, hold_account
from threelane.contract import phone
from threelane.contract.accounts.account import Account
from threelane.contract.accounts.routing import Routing
from threelane.contract.countries import describe
from threelane.contract.holidays import Holiday
from threelane.contract.prices import CREDIT
from threelane.interfaces.command import values
from threelane.interfaces.command.terminal import Terminal
from threelane.runtime.exits import Exit
from threelane.store import (
    access,
    accounts,
    budgets,
    by_hand,
    keys,
    registry,
    reply_owners,
    suppression,
    windows,
)
from threelane.store.budgets import Budget
from threelane.worker.account import hold
from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind

CAUSE = "the link of the spring newsletter is wrong, and marketing wants to correct it before anything else is sent"
ZA = "27831234567"
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
WIDTHS = ["40", "60", "80", "200", ""]  # "": a pipe


class Shown(NamedTuple):
    """A command, and what a reader has to find in its table: keys of its JSON rows, or a function of a row."""

    words: str
    keys: tuple[str, ...] = ()
    derived: Callable[[Any], list[str]] = lambda _: []


class Printed(NamedTuple):
    """The values to find, and the calls that print them."""

    expected: list[str]
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]]


def _message(row: Any) -> list[str]:
    return [phone.mask(row["to"]), values.shown_at(row["accepted_at"])]


def _amounts(found: Any) -> list[str]:
    return [values.credits(found["balance"]), *map(values.credits, found["by_centre"].values())]


def _rows(found: Any) -> list[Any]:
    """Return the rows of a JSON answer; a table of rows by name is a list of them with their names."""
    if isinstance(found, list):
        return found
    if "windows" not in found and all(isinstance(value, dict) for value in found.values()):
        return [value | {"scope": name} for name, value in found.items()]
    return [found]


# fmt: off
TABLES = [
    Shown("list", ("id", "status", "code", "reason", "owner", "batch"), _message),
    Shown("list --state scheduled", ("id", "batch"), lambda row: [*_message(row), values.shown_at(row["due_at"])]),
    Shown("dead list", ("id", "code", "reason", "owner", "batch"), _message),
    Shown("search {dead}", ("id", "status", "code", "reason")),
    Shown("schedule list", ("id", "tags", "batch"), lambda row: [values.shown_at(row["due_at"])]),
    Shown("status {dead}", ("id", "status", "code", "reason", "owner", "batch"), _message),
    Shown("explain {dead}", (), lambda one: [one["message"][key] for key in ("id", "code", "reason")]
          + [values.shown_exactly(step["at"]) for step in one["steps"]]),
    Shown("batch list", ("name", "producer"), lambda one: [f"{one['accepted']:,}"]),
    Shown("holds", ("scope", "code", "cause"), lambda one: [values.shown_at(one["since"])]),
    Shown("money", (), lambda found: [*_amounts(found), *found["accounts"]]),
    Shown("money --account bulk", (), _amounts),
    Shown("limits list", ("scope",), lambda one: ["off"] if one["off"] else [f"{one['limit']:,}", one["over"]]),
    Shown(f"limits explain {ZA}", ("scope", "over"), lambda one: [f"{one['limit']:,}"]),
    Shown("suppress list --numbers", ("number",)),
    Shown("suppress list", (), lambda one: [phone.mask(one["number"])]),
    Shown(f"suppress why {ZA}", ("source", "code", "evidence"), lambda one: [values.shown_at(one["first"])]),
    Shown("suppress reach list", (), lambda one: list(one.values())),
    Shown("replies list", ("keyword", "producer", "number")),
    Shown("replies inbox", ("id", "from", "to", "text", "media_types"),
          lambda one: [values.shown_at(one["received_at"]), f"{one['media_octets'] // 1000} kB"]),
    Shown("account list", ("name", "gateway", "drained_by"), lambda one: [values.shown_at(one["drained_since"])]
          if one["drained_since"] else [one["state"].partition(":")[0]]),
    Shown("audit list", ("who", "what", "detail"), lambda one: [values.shown_at(one["at"])]),
    Shown("producers list", ("name", "webhook")),
    Shown("producers undelivered shop", ("event", "type", "about", "reason"), lambda one: [str(one["tries"])]),
    Shown("producers key list", ("id", "producer", "note"), lambda one: one["senders"]),
    Shown("windows list", (), lambda one: [*one["windows"], *one["windows"].values()]),
    Shown("windows holidays list", (), lambda one: [word for day in one["holidays"] for word in day.values() if word]),
    Shown("countries list", (), lambda one: [describe(row["country"]) for row in one["countries"]]),
    Shown("damaged list", ("key", "row", "effect", "command")),
    Shown("top --once", (), lambda one: [part for held in one["holds"].items() for part in (held[0], held[1]["code"])]
          + [*one["accounts"]]),
    Shown("features", (), lambda one: [value for value in one.values() if value]),
    Shown("check", ("what", "detail", "step")),
]
# fmt: on


@pytest.fixture(scope="module")
def filled(redis_server: RedisServer) -> Iterator[dict[str, str]]:
    """One of everything, with long values; returns ids by what they are."""
    with open_system(redis_server) as system:
        system.empty()
        client = system.sync
        now = system.now = int(client.time()[0]) * 1000
        dead = system.take(batch="newsletter for the spring of 2031", to=ZA, clientMessageId="order1", costCentre="c")
        system.attempt(dead, AttemptOutcome(OutcomeKind.REFUSED, code="113"))
        system.take(delay=600, tags=["promo", "an-uncommonly-long-tag-of-a-producer"], batch="b" * 64)
        _fill(client, now)
        yield {"dead": dead}
        system.empty()


def _fill(client: redis.Redis, now: int) -> None:
    hold.put(client, "sender:278200000000000", CAUSE, now, now + 60_000)
    hold.put(client, "prefix:2783123", CAUSE, now)
    client.hset(keys.BALANCE, mapping={"credits": 1_234_567_890, "left": 1_000_000, "at": now})
    client.hset(keys.CENTRES, "c", 98_765_432_100)
    budgets.put(client, "centre:a cost centre", "day", Budget(500 * CREDIT, "hold"))
    by_hand.suppress(client, ZA, suppression.by_hand("tag:promo", CAUSE, 0, now))
    reply_owners.own(client, "72975", "CLINIC", "shop")
    reply = {"type": "reply", "id": "r" * 32, "from": "27831111111", "to": "72975", "text": CAUSE, "at": str(now)}
    reply |= {"media": "2", "media_types": "image/jpeg, audio/ogg", "media_octets": "310000"}
    client.xadd(keys.INBOX, reply)
    registry.put(client, "shop", webhook=HOOK)
    lay_aside(client)
    access.create(
        client, "shop", now, lanes=(1,), senders=("ACME",), rate=5, expires=now + 10**9, note="held by Jane Doe"
    )
    windows.set_window(client, "lane:3", "mon-fri 08:00-20:00; sat 09:00-13:00 Africa/Johannesburg")
    windows.set_window(client, "tag:promo", "daily 08:00-21:00 recipient")
    windows.add_holidays(client, [Holiday(date(2031, 12, 25), "ZA", "Christmas")], now=now)
    names = ("default", "an-account-of-24-letters")
    accounts.publish(client, Routing(accounts={one: Account(name=one, gateway="http") for one in names}))
    accounts.drain(client, names[1], "the operator who is on call")
    client.hset(keys.BUDGETS, "centre:broken", b"{")
    two_accounts.publish(client)
    hold_account(client, BULK)
    client.hset(keys.names(BULK).BALANCE, mapping={"credits": 7_654_321, "left": 7_000_000, "at": now})
    client.hset(keys.COUNTRIES, "ZA", f'{{"first":{now},"producer":"shop","state":"new"}}')


def _written(shown: Any) -> str:
    return " ".join(str(shown).split())


def _missing(output: str, expected: list[str]) -> list[str]:
    """Return the values of which a word is missing, or in pieces."""
    words = output.split()
    return [one for one in expected if not set(one.split()) <= {*words, *(word.rstrip(",;:") for word in words)}]


@pytest.fixture(scope="module")
def printed(filled: dict[str, str], redis_server: RedisServer) -> dict[str, Printed]:
    """What each command prints, run once, and the values that have to be in it."""
    environment = {"THREELANE_REDIS_URL": redis_server.url}
    answers = {}
    for table in TABLES:
        words = table.words.format(**filled).split()
        rows = _rows(json.loads(typed(*words, "--json", environment=environment).stdout))
        expected = [_written(row[key]) for row in rows for key in table.keys if row.get(key)]
        expected += [_written(one) for row in rows for one in table.derived(row)]
        assert expected, words
        with mock.patch.object(Terminal, "print", autospec=True) as recorded:
            typed(*words, environment=environment)
        answers[table.words] = Printed(expected, [(one.args[1:], one.kwargs) for one in recorded.call_args_list])
    return answers


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("colour", [False, True])
def test_every_value_of_every_table_is_read_back(
    printed: dict[str, Printed], width: str, colour: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator copies it into the next command, at a narrow terminal as well."""
    monkeypatch.setenv("COLUMNS", width)
    lost = {}
    for words, one in printed.items():
        file = io.StringIO()
        terminal = Terminal(file=file, force_terminal=colour, no_color=not colour)
        for objects, options in one.calls:
            terminal.print(*objects, **options)
        lost[words] = _missing(_ESCAPES.sub("", file.getvalue()), one.expected)
        assert colour or "\x1b" not in file.getvalue()
    assert {} == {words: values for words, values in lost.items() if values}


def test_a_real_pipe_gets_each_row_as_one_line(filled: dict[str, str], redis_server: RedisServer) -> None:
    """In a process of its own, as ``threelane dead list | grep 113`` has it."""
    done = threelane("dead", "list", environment={"THREELANE_REDIS_URL": redis_server.url, "COLUMNS": ""})
    (line,) = (one for one in done.stdout.splitlines() if filled["dead"] in one)
    assert {"113", "27831******", "too_many_parts"} <= set(line.split())
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize("words", ["status", "explain", "dead show", "search"])
def test_an_id_is_found_by_its_beginning(filled: dict[str, str], redis_server: RedisServer, words: str) -> None:
    """Eight letters, as the console shows them, also with its dots."""
    for start in (filled["dead"][:8], f"{filled['dead'][:8]}…", filled["dead"][:20].upper()):
        done = typed(*words.split(), start, environment={"THREELANE_REDIS_URL": redis_server.url})
        assert Exit.OK == done.returncode, done.stderr
        assert filled["dead"] in done.stdout.split()


@pytest.mark.parametrize(
    "words", ["status", "explain", "dead show", "dead damage", "dead redrive", "cancel", "schedule move"]
)
def test_an_ambiguous_beginning_does_nothing(redis_server: RedisServer, client: redis.Redis, words: str) -> None:
    """The remedy is one more letter."""
    for last in "ab":
        client.hset(keys.record("0f3c1a2b" + "0" * 23 + last), mapping={"status": "queued", "lane": "3"})
    time = ["2031-06-30T14:00:00Z"] if words == "schedule move" else []
    environment = {"THREELANE_REDIS_URL": redis_server.url}
    done = typed(*words.split(), "0f3c1a2b", *time, environment=environment)

    assert Exit.USAGE == done.returncode
    assert "two messages begin with 0f3c1a2b: give more letters" in " ".join(done.stderr.split())
    few = typed(*words.split(), "0f3c1a2", *time, environment=environment)
    assert (Exit.USAGE, True) == (few.returncode, "give at least 8 letters" in few.stderr)
