"""Commands, the HTTP API and the console act on the account that is named, and show each one."""

from __future__ import annotations

import json
import time

import pytest
import redis

from tests.integration.console import Visitor
from tests.integration.http_api import Api
from tests.servers import RedisServer, typed
from tests.two_accounts import BULK, hold_account, publish, report
from threelane.store import account_requests, accounts, audit, budgets, keys
from threelane.store.budgets import Budget
from threelane.store.keys import HERE
from threelane.worker.account import hold

ONE = "b" * 32


@pytest.fixture
def two(client: redis.Redis) -> redis.Redis:
    """Two accounts: bulk is on hold, has two credits left and a message that waits."""
    publish(client)
    now = int(time.time() * 1000)
    hold_account(client, BULK)
    report(client, "w1", now, HERE)
    client.hset(keys.BALANCE, mapping={"credits": 900_000_000, "left": 900_000_000, "at": now})
    names = keys.names(BULK)
    client.hset(names.BALANCE, mapping={"credits": 2_000_000, "left": 2_000_000, "at": now})
    client.hset(names.PRICES, "ZA", 3_000_000)
    client.zadd(names.QUEUED[1], {ONE: now})
    fields = {"status": "queued", "lane": 1, "accepted": now, "account": "bulk", "to": "27831234567", "parts": 1}
    client.hset(keys.record(ONE), mapping=fields)
    return client


@pytest.fixture
def environment(redis_server: RedisServer) -> dict[str, str]:
    return {"THREELANE_REDIS_URL": redis_server.url}


def scopes(client: redis.Redis, space: keys.Space) -> set[str]:
    return {*hold.holds(client, 1, space)}


def test_a_hold_is_put_on_the_named_account_and_lifted_from_it(two: redis.Redis, environment: dict[str, str]) -> None:
    """Without the option it is the default account, and a line says so: the other one was perhaps meant."""
    held = typed("hold", "lane:3", "--cause", "x", "--account", "bulk", environment=environment)
    assert "lane:3 of the account bulk is on hold until threelane resume lane:3 --account bulk\n" == held.stdout
    assert ({"account", "lane:3"}, set()) == (scopes(two, BULK), scopes(two, HERE))

    unnamed = typed("pause", "2", "--cause", "x", environment=environment)
    assert "this is of the account default; --account: bulk" == unnamed.stderr.splitlines()[0]
    assert ({"account", "lane:3"}, {"lane:2"}) == (scopes(two, BULK), scopes(two, HERE))

    not_there = typed("resume", environment=environment)
    assert "account of the account default was not on hold\n" == not_there.stdout
    lifted = typed("resume", "bulk/lane:3", environment=environment)  # as threelane holds shows it
    assert ("lane:3 of the account bulk resumed\n", "") == (lifted.stdout, lifted.stderr)
    typed("resume", "--account", "bulk", environment=environment)
    assert (set(), {"lane:2"}) == (scopes(two, BULK), scopes(two, HERE))


def test_a_name_that_no_account_has_is_refused_with_the_nearest(two: redis.Redis, environment: dict[str, str]) -> None:
    """A hold of an account that there is not would stop nothing."""
    for words in (["hold", "account", "--cause", "x"], ["holds"], ["money"], ["top", "--once"], ["prefix", "27"]):
        done = typed(*words, "--account", "bluk", environment=environment)
        assert (2, "there is no account bluk; did you mean bulk?\n") == (done.returncode, done.stderr), words
    both = typed("resume", "bulk/account", "--account", "default", environment=environment)
    assert "bulk/account is of the account bulk, and --account is default; keep one\n" == both.stderr
    assert {"account"} == scopes(two, BULK)


def test_commands_show_each_account_or_the_named_one(two: redis.Redis, environment: dict[str, str]) -> None:
    """Credits are never added up: each account may have its own currency."""
    budgets.put(two, "centre:login", "day", Budget(1_000_000, "refuse"))

    def shown(*words: str) -> dict[str, dict[str, object]]:
        found: dict[str, dict[str, object]] = json.loads(typed(*words, "--json", environment=environment).stdout)
        return found

    assert ["bulk/account"] == [*shown("holds")]
    assert [] == [*shown("holds", "--account", "default")]
    money = shown("money")
    assert {"default": 900_000_000, "bulk": 2_000_000} == {
        name: one["left"]
        for name, one in dict(money["accounts"]).items()  # type: ignore[index]
    }
    assert (2_000_000, None) == (
        shown("money", "--account", "bulk")["left"],
        shown("money", "--account", "bulk").get("accounts"),
    )
    printed = typed("money", environment=environment).stdout
    assert printed.index("account default") < printed.index("900.00") < printed.index("account bulk")
    assert 1 == printed.count("centre:login")
    top = shown("top")
    assert (1, 0, 1) == tuple(
        one["lanes"]["1"]["waiting"]
        for one in (top, top["accounts"]["default"], top["accounts"]["bulk"])  # type: ignore[index, call-overload]
    )
    assert ["bulk/account"] == [*top["holds"]]
    assert {"learned": {}} == {"learned": shown("prefix", "--account", "default")["learned"]}
    assert {"ZA": 3.0} == shown("prefix", "--account", "bulk")["learned"]
    assert [ONE] == [one["id"] for one in shown("list", "--account", "bulk")]  # type: ignore[index]
    assert [] == shown("list", "--account", "default")


def test_a_query_of_the_account_goes_to_a_worker_of_that_account(two: redis.Redis, environment: dict[str, str]) -> None:
    """A worker of another account has other credentials; without one of its own nothing is called."""
    done = typed("account", "balance", "--account", "bulk", environment=environment)
    assert "no worker of the account bulk runs" in done.stderr
    assert not two.exists(keys.names(BULK).ACCOUNT_REQUESTS, keys.ACCOUNT_REQUESTS)
    request = account_requests.put(two, account_requests.AccountQuery.BALANCE, 1, space=BULK)
    assert 1 == two.zcard(keys.names(BULK).ACCOUNT_REQUESTS)
    assert account_requests.withdraw(two, request, BULK)


def test_the_api_holds_and_resumes_the_named_account(two: redis.Redis, api: Api) -> None:
    """Without a name it is the default account, as before there were several."""
    key = api.key("ops", operator=True)
    listed = api.request("GET", "/v1/holds", key=key).body
    assert [("account", "bulk")] == [(one["scope"], one.get("account")) for one in listed]
    api.request("POST", "/v1/holds", {"scope": "lane:3", "cause": "x", "account": "bulk"}, key)
    api.request("POST", "/v1/holds", {"scope": "lane:2", "cause": "x"}, key)
    assert ({"account", "lane:3"}, {"lane:2"}) == (scopes(two, BULK), scopes(two, HERE))

    assert 404 == api.request("DELETE", "/v1/holds/lane:3", key=key).status
    assert 200 == api.request("DELETE", "/v1/holds/lane:3?account=bulk", key=key).status
    refused = api.request("DELETE", "/v1/holds/account?account=bluk", key=key)
    assert (422, "query.account") == (refused.status, refused.body["field"])
    assert ({"account"}, {"lane:2"}) == (scopes(two, BULK), scopes(two, HERE))


def test_the_account_of_a_message_is_shown_to_those_who_see_all_producers(two: redis.Redis, api: Api) -> None:
    """Which accounts an operator has, and what goes through which, is no tenant's business."""
    sent = api.producer.send("27831234567", "Hi", delay=600, batch="news", producer="shop").id
    two.hset(keys.record(sent), "account", "bulk")
    two.zrem(keys.DUE[3], sent)
    two.zadd(keys.names(BULK).DUE[3], {sent: 9 * 10**12})

    def accounts_shown_to(key: str) -> list[str | None]:
        paths = ("/v1/schedules", "/v1/batches/news/messages?producer=shop", f"/v1/messages/{sent}/timeline")
        schedules, batch, timeline = (api.request("GET", path, key=key).body for path in paths)
        return [one.get("account") for one in (schedules[0], batch["messages"][0], timeline["message"])]

    assert ["bulk"] * 3 == accounts_shown_to(api.key("ops", viewer=True))
    assert [None, None, ""] == accounts_shown_to(api.key("shop"))


def test_the_console_shows_and_changes_each_account(two: redis.Redis, api: Api) -> None:
    """The page of all has a row for each; the page of one is the page of an installation with one account."""
    visitor = Visitor(api)
    visitor.log_in(api.key("ops", operator=True))
    every, one = visitor.get("/console").body, visitor.get("/console?account=bulk").body
    for text in ("bulk/account", '<a href="/console?account=bulk">bulk</a>', "2.00 left", "900.00 left"):
        assert text in every
    assert "Now: bulk" in one
    assert "900.00 left" not in one

    visitor.post("/console/hold", scope="lane:3", cause="x", account="bulk", of="bulk")
    assert {"account", "lane:3"} == scopes(two, BULK)
    back = visitor.post("/console/resume", scope="bulk/account")
    assert "bulk/account is resumed." in back.body
    assert {"lane:3"} == scopes(two, BULK)
    assert 422 == visitor.get("/console?account=bluk").status
    assert "Account: bulk" in visitor.get("/console/account?account=bulk").body
    assert "2.00 left" in visitor.get("/console/account?account=bulk").body


def test_a_list_of_messages_names_the_default_account_beside_another(
    two: redis.Redis, api: Api, environment: dict[str, str]
) -> None:
    """An empty place read as if nobody knew; a list of the default one alone has no such column."""
    sent = api.producer.send("27831234567", "Hi", delay=600).id
    listed = typed("list", environment=environment | {"COLUMNS": "200"}).stdout.splitlines()
    words = [line.split() for line in listed if sent in line or ONE in line]
    assert {sent: "default", ONE: "bulk"} == {one[0]: one[-1] for one in words}
    assert "account" not in typed("list", "--account", "default", environment=environment).stdout


def test_the_api_drains_an_account_and_uses_it_again(two: redis.Redis, api: Api) -> None:
    """For operators; a viewer sees it in the list.  The audit log has the key."""
    key, viewer = api.key("ops", operator=True), api.key("wall", viewer=True)

    def drained() -> list[bool]:
        return [one["drained_since"] > 0 for one in api.request("GET", "/v1/accounts", key=viewer).body]

    found = [api.request("POST", "/v1/accounts/bulk/drain", key=key).body for _ in range(2)]
    assert [{"name": "bulk", "drained": True, "changed": change} for change in (True, False)] == found
    assert [False, True] == drained()
    assert 403 == api.request("POST", "/v1/accounts/bulk/use", key=viewer).status
    assert 403 == api.request("GET", "/v1/accounts", key=api.key("shop")).status
    assert api.request("POST", "/v1/accounts/bulk/use", key=key).body["changed"]
    assert [False, False] == drained()
    for action in ("drain", "use"):
        refused = api.request("POST", f"/v1/accounts/bluk/{action}", key=key)
        assert (422, "path.name", "did you mean bulk?") == (
            refused.status,
            refused.body["field"],
            refused.body["remedy"],
        )
    entries = [(one.what, one.detail) for one in audit.read(two, 9) if one.who.endswith(" of ops")]
    assert [
        ("account", "bulk: in use (before: drained)"),
        ("account", "bulk: drained (before: in use)"),
    ] == entries


def test_the_console_drains_an_account_and_uses_it_again(two: redis.Redis, api: Api) -> None:
    """On the account's page, which says since when and by whom; the first page marks it."""
    visitor, viewer = Visitor(api), Visitor(api)
    visitor.log_in(api.key("ops", operator=True))
    viewer.log_in(api.key("wall", viewer=True))
    assert ">drained</a>" not in visitor.get("/console").body
    assert "bulk takes nothing new." in visitor.post("/console/account/drain", account="bulk").body
    assert ["bulk"] == [*accounts.read(two).drained]
    assert "it takes nothing new" in viewer.get("/console/account?account=bulk").body
    assert "<button" not in viewer.get("/console/account?account=bulk").body.partition("<h2")[2]
    assert ">drained</a>" in visitor.get("/console").body
    assert 403 == viewer.post("/console/account/use", account="bulk").status
    assert "bulk takes messages again." in visitor.post("/console/account/use", account="bulk").body
    assert not accounts.read(two).drained
    assert 422 == visitor.post("/console/account/drain", account="bluk").status


def test_of_one_account_nothing_is_named(client: redis.Redis, api: Api, environment: dict[str, str]) -> None:
    """What it prints, answers and shows is as before."""
    hold_account(client, HERE)
    done = typed("hold", "lane:3", "--cause", "x", environment=environment)
    assert "lane:3 is on hold until threelane resume lane:3\n" == done.stdout
    assert "account" not in done.stderr
    for words in (["holds"], ["money"], ["top"]):
        assert "default" not in typed(*words, "--json", environment=environment).stdout
    assert "accounts" not in json.loads(typed("top", "--json", environment=environment).stdout)
    assert {"account", "lane:3"} == {
        one["scope"] for one in api.request("GET", "/v1/holds", key=api.key("v", viewer=True)).body
    }
    visitor = Visitor(api)
    visitor.log_in(api.key("ops", operator=True))
    for page in ("/console", "/console/account"):
        assert "default" not in visitor.get(page).body
