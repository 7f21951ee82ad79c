"""threelane route explain says which account a message gets, by which route, and at which price."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.servers import RedisServer, typed
from threelane.contract.accounts.account import Account
from threelane.contract.accounts.route import Example, Route
from threelane.contract.accounts.routing import Routing
from threelane.operations.explain_route import Offer, Passed, explain
from threelane.runtime.exits import Exit
from threelane.store import accounts

NOON, NIGHT = "2026-01-05T12:00:00Z", "2026-01-05T23:00:00Z"
FILE = """
[accounts.portal]
gateway = "one"
clickatell_api_key_file = "key"
prices = "27=0.25,*=0.6"
currency = "EUR"
[[routes]]
name = "codes"
lane = 1
producer = ["bank", "shop"]
cost_centre = "sales"
tag = "login"
sender = "27820000000"
account = "portal"
stand_by = "default"
[[routes]]
name = "shared"
window = "daily 08:00-20:00 UTC"
accounts = {portal = 3, default = 1}
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "key").write_text("a key")
    (tmp_path / "key").chmod(0o400)
    (tmp_path / "accounts.toml").write_text(FILE)
    own = {f"THREELANE_CLICKATELL_{name}": "x" for name in ("API_ID", "USER", "PASSWORD")}
    return {"THREELANE_ACCOUNTS_FILE": str(tmp_path / "accounts.toml"), **own}


def drained(redis_server: RedisServer, client: redis.Redis, environment: dict[str, str], *names: str) -> dict[str, str]:
    """Return the environment of a host whose Redis has these accounts, and which of them are drained."""
    published = {name: Account(name=name, gateway="one") for name in ("portal", "default")}
    accounts.publish(client, Routing(accounts=published))
    for name in names:
        accounts.drain(client, name, "ann")
    return environment | {"THREELANE_REDIS_URL": redis_server.url}


def printed(environment: dict[str, str], *words: str) -> list[str]:
    done = typed("route", "explain", "--to", "27831234567", *words, environment=environment)
    assert Exit.OK == done.returncode, done.stderr
    return done.stdout.splitlines()


def as_json(environment: dict[str, str], *words: str) -> Any:
    return json.loads("".join(printed(environment, *words, "--json")))


def test_the_route_of_a_message_and_its_price(environment: dict[str, str]) -> None:
    """And that of its stand-by."""
    words = [
        "--lane",
        "1",
        "--producer",
        "shop",
        "--cost-centre",
        "sales",
        "--tag",
        "promo",
        "--tag",
        "login",
        "--sender",
        "+27820000000",
    ]
    assert [
        "account portal, by the route codes; API one, about 0.25 EUR a part",
        "stand-by default; API http, about 1.00 credits a part",
    ] == printed(environment, *words)
    found = as_json(environment, *words)
    assert ("codes", "portal", 1, 0.25, "EUR", "default") == (
        found["rule"],
        found["accounts"][0]["account"],
        found["accounts"][0]["share"],
        found["accounts"][0]["price"],
        found["accounts"][0]["currency"],
        found["stand_by"]["account"],
    )


def test_weights_are_shares_until_an_id_decides(environment: dict[str, str]) -> None:
    """With the id, it is the account that the message gets."""
    assert [
        "route codes does not match: lane",
        "account portal for 75% of such messages, by the route shared; API one, about 0.25 EUR a part",
        "account default for 25% of such messages, by the route shared; API http, about 1.00 credits a part",
    ] == printed(environment, "--at", NOON)
    chosen = {as_json(environment, "--at", NOON, "--id", f"{n:032x}")["accounts"][0]["account"] for n in range(12)}
    assert {"portal", "default"} == chosen


def test_without_a_match_it_is_the_default(environment: dict[str, str]) -> None:
    """With the condition of each route that it does not meet."""
    assert [
        "route codes does not match: producer",
        "route shared does not match: window",
        "account default, as no route matches; API http, about 1.00 credits a part",
    ] == printed(environment, "--at", NIGHT, "--lane", "1")
    assert ["account default, as no route matches; API http, about 1.00 credits a part"] == printed({})


def test_a_drained_account_is_skipped_as_at_intake(
    environment: dict[str, str], redis_server: RedisServer, client: redis.Redis
) -> None:
    """The stand-by takes its place, the rest of the weights its share."""
    here = drained(redis_server, client, environment, "portal")
    codes = ["--lane", "1", "--producer", "shop", "--cost-centre", "sales", "--tag", "login", "--sender", "27820000000"]
    remedy = "drained: portal; threelane account use, to use one again"
    assert [
        "account default, by the route codes; API http, about 1.00 credits a part",
        remedy,
    ] == printed(here, *codes)
    assert [
        "route codes does not match: lane",
        "account default, by the route shared; API http, about 1.00 credits a part",
        remedy,
    ] == printed(here, "--at", NOON)
    assert ["portal"] == as_json(here)["drained"]


def test_without_an_account_it_is_a_refusal(
    environment: dict[str, str], redis_server: RedisServer, client: redis.Redis
) -> None:
    """A route whose accounts are all drained is skipped; nothing is left."""
    here = drained(redis_server, client, environment, "portal", "default")
    assert [
        "route codes does not match: lane",
        "route shared is skipped: drained",
        "no account takes such a message now; it would be refused with 114",
        "drained: default, portal; threelane account use, to use one again",
    ] == printed(here, "--at", NOON)
    assert [] == as_json(here)["accounts"]


def test_without_redis_it_is_unknown_which_accounts_are_drained(environment: dict[str, str]) -> None:
    """The routes of the file are shown nevertheless, with a line on standard error."""
    done = typed("route", "explain", "--to", "27831234567", "--json", environment=environment)
    assert (Exit.OK, None) == (done.returncode, json.loads(done.stdout)["drained"])
    assert done.stderr.startswith("whether accounts are drained is unknown: Redis does not answer")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--at", "noon"), "--at: not a time; write ISO 8601 with a zone, as in 2031-06-30T14:00:00Z"),
        (("--tag", "!"), "--tag: '!' is not a valid name; up to 64 letters, digits, spaces and . _ : / -"),
        (("--at", "0001-01-01T00:00:00Z"), "--at is out of range: give a time such as 2031-06-30T14:00:00Z"),
    ],
)
def test_a_wrong_option_is_one_sentence(environment: dict[str, str], words: tuple[str, str], problem: str) -> None:
    """And exit code 2."""
    done = typed("route", "explain", "--to", "27831234567", *words, environment=environment)
    assert (Exit.USAGE, problem) == (done.returncode, done.stderr.splitlines()[-1])


def test_an_invalid_file_ends_the_command(environment: dict[str, str]) -> None:
    """With its sentence."""
    Path(environment["THREELANE_ACCOUNTS_FILE"]).write_text(FILE.replace("stand_by = ", "stand_bye = "))
    done = typed("route", "explain", "--to", "27831234567", environment=environment)
    assert Exit.USAGE == done.returncode
    assert "[[routes]] codes: stand_bye is not a key of a route; did you mean stand_by?" in done.stderr


def test_a_price_is_that_of_the_recipient(environment: dict[str, str]) -> None:
    """By the account's own list."""
    accounts = {
        name: Account(name=name, gateway="one", prices=f"44={price},*=9") for name, price in (("a", 2), ("b", 3))
    }
    routing = Routing(accounts=accounts, routes=(Route(name="r", accounts={"b": 1}, lane=(1,)),), default="a")
    found = [explain(routing, Example(to=to, lane=lane), 0) for to, lane in (("447700900123", 1), ("27831234567", 2))]
    assert [(Offer("b", "one", 1, 3, "credits"),), (Offer("a", "one", 1, 9, "credits"),)] == [
        one.accounts for one in found
    ]
    assert ((), (Passed("r", "lane"),)) == (found[0].passed, found[1].passed)
