"""The account at the gateway: operators read its balance, query coverage and redeem vouchers, in three ways.

A worker makes each call: neither the API nor the command line here has a credential.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from tests.integration.api import API
from tests.integration.asking import Asking
from tests.integration.conftest import Workers, now
from tests.integration.console import Visitor, words
from tests.integration.http_api import Api
from tests.servers import RedisServer, typed, wait_until
from tests.watch import VOUCHER
from threelane.contract.features import able
from threelane.contract.gateways import declared
from threelane.operations import account
from threelane.runtime.exits import Exit
from threelane.sandbox.running import Running
from threelane.store import account_requests, audit, keys
from threelane.store.account_requests import AccountQuery, AccountResult
from threelane.worker.account import requests
from threelane.worker.process.readiness import LOGIN, READINESS

ZA = "27831234567"
WORTH = 770  # credits of the voucher
needs_vouchers = pytest.mark.skipif(not able("voucher", API.name), reason="this API redeems no vouchers")
needs_coverage = pytest.mark.skipif(not able("coverage", API.name), reason="this API has no coverage query")


@pytest.fixture
def asking(client: redis.Redis, sandbox: Running, redis_server: RedisServer) -> Iterator[Asking]:
    """A worker's part in this process."""
    made = Asking(redis_server.url, client, sandbox.url, API.name)
    yield made
    made.stop()
    READINESS.clear(LOGIN)


@pytest.fixture
def here(redis_server: RedisServer) -> dict[str, str]:
    """The environment of an operator's host, which has no credential of the account."""
    return {"THREELANE_REDIS_URL": redis_server.url, "THREELANE_GATEWAY": API.name}


def _credit(sandbox: Running) -> float:
    return float(sandbox.control("GET", "account")["balance"])


def _page(api: Api, **rights: bool) -> Visitor:
    """Return an operator at the page of the account."""
    page = Visitor(api)
    page.log_in(api.key("ops", **rights or {"operator": True}))
    page.get("/console/account")
    return page


def _audited(client: redis.Redis) -> list[str]:
    return [one.detail.rpartition(": ")[2] for one in reversed(audit.read(client, 9)) if one.what == "voucher"]


def test_a_worker_process_passes_on_what_operators_ask(
    api: Api, sandbox: Running, workers: Workers, here: dict[str, str]
) -> None:
    """By HTTP, on the command line and in the console: the same amount as at the gateway."""
    workers.start()
    key = api.key("ops", operator=True)

    by_http = api.request("GET", "/v1/account/balance", key=key)
    by_command = typed("account", "balance", "--json", environment=here)
    shown = words(_page(api).post("/console/account/balance"))

    credit = _credit(sandbox)
    assert (200, credit, API.name) == (by_http.status, by_http.body["balance"], by_http.body["gateway"])
    assert (0, credit) == (by_command.returncode, json.loads(by_command.stdout)["balance"])
    assert f"The account is active; balance {credit:g}." in shown
    assert 3 == len(workers.events("account_request"))


def test_the_command_line_calls_the_gateway_itself_where_it_has_the_credentials(
    client: redis.Redis, sandbox: Running, base_environment: dict[str, str]
) -> None:
    """An account is tried before the first worker runs."""
    assert client.ping()
    answer = typed("account", "balance", environment=base_environment)
    assert (0, True) == (answer.returncode, f"is active; balance {_credit(sandbox):g}" in answer.stdout)


@needs_coverage
def test_a_number_that_is_not_covered_is_an_answer(
    api: Api, sandbox: Running, asking: Asking, here: dict[str, str]
) -> None:
    """The gateway's 114 is no failure of the query; a script sees it in the exit code."""
    key = api.key("ops", operator=True)
    by_http = api.request("GET", f"/v1/account/coverage/{ZA}", key=key)
    by_command = typed("account", "coverage", ZA, environment=here)
    sandbox.control("POST", "faults", {"do": "code", "code": "114", "command": "routecoverage", "times": 2})
    refused = typed("account", "coverage", ZA, "--json", environment=here)
    shown = words(_page(api).post("/console/account/coverage", number=f"+{ZA}"))

    assert (200, True) == (by_http.status, by_http.body["routable"])
    assert (0, True) == (by_command.returncode, "27831****** is covered" in by_command.stdout)
    assert (Exit.REFUSED, False) == (refused.returncode, json.loads(refused.stdout)["routable"])
    assert "27831****** is not covered." in shown


@needs_vouchers
@pytest.mark.parametrize("way", ["http", "standard input", "file", "console"])
def test_a_voucher_is_redeemed_and_stored_nowhere(
    way: str,
    api: Api,
    sandbox: Running,
    asking: Asking,
    here: dict[str, str],
    tmp_path: Path,
    client: redis.Redis,
    redis_server: RedisServer,
) -> None:
    """The append-only file has each command that wrote a key; tests/watch.py looks at the logs of all processes."""
    before = _credit(sandbox)
    file = tmp_path / "voucher.txt"
    file.write_text(VOUCHER + "\n", encoding="utf-8-sig")  # as editors on Windows write it
    sent = {"voucher": VOUCHER}
    ways: dict[str, Callable[[], object]] = {
        "http": lambda: api.request("POST", "/v1/account/voucher", sent, api.key("ops", operator=True)),
        "standard input": lambda: typed("account", "voucher", "-", environment=here, standard_input=VOUCHER + "\n"),
        "file": lambda: typed("account", "voucher", "--file", str(file), environment=here),
        "console": lambda: _page(api).post("/console/account/voucher", **sent),
    }

    ways[way]()
    ways[way]()

    assert before + WORTH == _credit(sandbox)
    assert ["answered", "refused 607"] == _audited(client)
    client.set("tl:probe", f"written-after-{way}", px=1000)
    written = wait_until(lambda: _written(redis_server, f"written-after-{way}".encode()), what="the append-only file")
    assert VOUCHER.encode() not in written


def _written(server: RedisServer, end: bytes) -> bytes:
    """Return the files of Redis, once they have an end."""
    whole = b"".join(one.read_bytes() for one in server.folder.rglob("*") if one.is_file())
    return whole if end in whole else b""


@needs_vouchers
def test_a_refused_voucher_is_answered_with_the_code_of_the_gateway(
    api: Api, asking: Asking, here: dict[str, str]
) -> None:
    """The operator sees whether it is wrong, or used."""
    by_http = api.request("POST", "/v1/account/voucher", {"voucher": "wrong"}, api.key("ops", operator=True))
    by_command = typed("account", "voucher", "-", environment=here, standard_input="wrong")

    assert (422, "606", "voucher") == (by_http.status, by_http.body["code"], by_http.body["field"])
    assert (Exit.REFUSED, True) == (by_command.returncode, "606 Invalid Voucher" in by_command.stderr)


@needs_vouchers
@pytest.mark.parametrize(("code", "status", "ended", "hint"), [
    ("901", 502, "unknown 901", "check the balance before you try again"),
    ("605", 502, "unknown 605", "check the balance before you try again"),
    ("001", 502, "refused 001", "check the credentials of the account: threelane doctor --live"),
    ("607", 422, "refused 607", "check the voucher"),
])  # fmt: skip
def test_only_a_code_that_refuses_a_voucher_says_that_it_is_not_redeemed(
    code: str, status: int, ended: str, hint: str, api: Api, sandbox: Running, asking: Asking, client: redis.Redis
) -> None:
    """After an internal error nobody knows, and a wrong password is no fault of the voucher."""
    sandbox.control("POST", "faults", {"do": "code", "code": code, "command": "token_pay"})
    found = api.request("POST", "/v1/account/voucher", {"voucher": VOUCHER}, api.key("ops", operator=True))
    assert (status, code, hint) == (found.status, found.body["code"], found.body["remedy"])
    assert [ended] == _audited(client)


@needs_coverage
@pytest.mark.parametrize(("code", "result", "ended"), [
    ("605", Exit.UNAVAILABLE, "the coverage is unknown: 605"),
    ("901", Exit.UNAVAILABLE, "the coverage is unknown: 901"),
    ("001", Exit.REFUSED, "the gateway refuses it: 001 "), ("121", Exit.REFUSED, "27831****** is not covered"),
])  # fmt: skip
def test_only_a_code_of_the_number_says_that_it_is_not_covered(
    code: str, result: Exit, ended: str, sandbox: Running, asking: Asking, here: dict[str, str]
) -> None:
    """Any other code says nothing of the number."""
    sandbox.control("POST", "faults", {"do": "code", "code": code, "command": "routecoverage"})
    found = typed("account", "coverage", ZA, environment=here)
    assert (result, True) == (found.returncode, ended in found.stdout + found.stderr)


@needs_vouchers
def test_after_a_lost_answer_the_outcome_is_unknown_and_nothing_is_repeated(
    api: Api, sandbox: Running, asking: Asking, here: dict[str, str], client: redis.Redis
) -> None:
    """Who reads that it failed would redeem another one."""
    before = _credit(sandbox)
    sandbox.control("POST", "faults", {"do": "lose_answer", "command": "token_pay", "times": 2})

    answer = typed("account", "voucher", "-", environment=here, standard_input=VOUCHER)
    repeated = api.request("POST", "/v1/account/voucher", {"voucher": VOUCHER}, api.key("ops", operator=True))

    assert Exit.UNAVAILABLE == answer.returncode
    assert "whether the voucher was redeemed is unknown" in answer.stderr
    assert (502, "check the balance before you try again") == (repeated.status, repeated.body["remedy"])
    assert before + WORTH == _credit(sandbox)
    assert ["unknown", "unknown"] == _audited(client)


@needs_vouchers
def test_a_balance_is_read_while_a_voucher_waits_for_its_answer(
    api: Api, sandbox: Running, asking: Asking, here: dict[str, str], client: redis.Redis
) -> None:
    """An operator who sees no answer to the voucher looks at the balance, with one worker, too."""
    sandbox.control("POST", "faults", {"do": "hang_after", "command": "token_pay"})
    key = api.key("ops", operator=True)
    redeeming = threading.Thread(target=api.request, args=["POST", "/v1/account/voucher", {"voucher": VOUCHER}, key])
    redeeming.start()
    (voucher,) = wait_until(lambda: list(client.scan_iter(keys.account_answer("*"))), what="the voucher to be taken")
    found = api.request("GET", "/v1/account/balance", key=key)
    assert (200, "taken") == (found.status, json.loads(client.get(voucher) or "{}").get("result"))
    redeeming.join()
    assert ["unknown"] == _audited(client)


@needs_vouchers
def test_a_redeemed_voucher_lets_the_balance_be_read_at_once(
    asking: Asking, here: dict[str, str], client: redis.Redis
) -> None:
    """Messages that wait for credit go on within a second, and not at the next turn."""
    client.set(keys.BALANCE_TURN, 1, px=600_000)
    client.set(keys.BALANCE_PROBE, 1, px=600_000)
    typed("account", "voucher", "-", environment=here, standard_input=VOUCHER)
    wait_until(lambda: not client.exists(keys.BALANCE_TURN, keys.BALANCE_PROBE), what="the turns to be free")


@needs_vouchers
def test_a_voucher_whose_worker_ends_is_surely_not_redeemed(client: redis.Redis) -> None:
    """Nobody listens: the voucher is published to no process."""
    client.zadd(keys.WORKERS, {"w1": int(now() * 1000)})
    ended = threading.Thread(target=_take_and_end, args=[client])
    ended.start()
    voucher = account.parse_voucher(VOUCHER)
    found = account.redeem(account.by_worker(client), "http", voucher, client, "tests")
    ended.join()
    assert (AccountResult.NOT_CALLED, ["not called"]) == (found.result, _audited(client))


def _take_and_end(client: redis.Redis) -> None:
    """Take a request as a worker does that ends before it listens."""
    (row,) = wait_until(lambda: client.zrange(keys.ACCOUNT_REQUESTS, 0, 0), what="the request")
    client.zrem(keys.ACCOUNT_REQUESTS, row)
    taken = {"result": "taken", "seconds": 1}
    client.set(keys.account_answer(json.loads(row)["id"]), json.dumps(taken), px=1000)


def test_without_a_worker_the_answer_says_so_at_once(api: Api, here: dict[str, str], client: redis.Redis) -> None:
    """And leaves no request that a worker would make when nobody waits for it."""
    by_http = api.request("GET", "/v1/account/balance", key=api.key("ops", operator=True))
    by_command = typed("account", "balance", environment=here)
    assert (503, True) == (by_http.status, "no worker runs" in by_http.body["detail"])
    assert (Exit.UNAVAILABLE, True) == (by_command.returncode, "no worker runs" in by_command.stderr)
    assert not client.exists(keys.ACCOUNT_REQUESTS)


def test_a_request_that_no_worker_takes_is_withdrawn(client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers of earlier versions run beside these while a fleet is upgraded, and know no requests."""
    monkeypatch.setattr(account, "TAKE_SECONDS", 0.1)
    client.zadd(keys.WORKERS, {"w1": int(now() * 1000)})
    found = account.balance(account.by_worker(client), API.name)
    assert (AccountResult.NOT_CALLED, 0) == (found.result, client.zcard(keys.ACCOUNT_REQUESTS))
    assert "busy with other requests, or of an earlier version" in found.text


def test_a_worker_that_may_not_call_leaves_requests_to_one_that_may(
    asking: Asking,
    client: redis.Redis,
    redis_server: RedisServer,
    sandbox: Running,
    here: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One of the workers has an old password: its refusal is no answer for the account."""
    monkeypatch.setattr(requests, "OTHERS_FIRST_MS", 60_000)
    asking.context.may_call = False
    able_one = Asking(redis_server.url, client, sandbox.url, API.name)
    try:
        assert 0 == typed("account", "balance", environment=here).returncode
    finally:
        able_one.stop()


def test_a_worker_that_may_not_call_answers_why(asking: Asking, here: dict[str, str]) -> None:
    """Its login is refused, and no other worker takes the request."""
    asking.context.may_call = False
    READINESS.wait(LOGIN, "the gateway refuses its credentials: 001 authentication_failed")
    answer = typed("account", "balance", environment=here)
    assert (Exit.UNAVAILABLE, True) == (answer.returncode, "001 authentication_failed" in answer.stderr)


@pytest.mark.parametrize("query", AccountQuery)
def test_what_an_api_lacks_is_refused_with_the_apis_that_have_it(
    query: AccountQuery, client: redis.Redis, api: Api
) -> None:
    """Before any request reaches a worker or the gateway."""
    for name in declared():
        found = account.lacking(query, name)
        expected = [one for one in declared() if able(query, one)]
        if name in expected:
            assert found is None
        else:
            assert found is not None
            problem, remedy = account.problem(query, found)
            assert f"the API of this account ({name}) has no {query}" == problem
            assert f"use an account of the API {' or '.join(expected)}" == remedy
    assert not client.exists(keys.ACCOUNT_REQUESTS)


def test_the_refusal_of_what_an_api_lacks_reaches_each_way_in(client: redis.Redis, redis_server: RedisServer) -> None:
    """The One API has no vouchers: 422, exit code 2, and a hint in the place of the form."""
    assert client.ping()
    here = {"THREELANE_REDIS_URL": redis_server.url, "THREELANE_GATEWAY": "one"}
    of_one = Api(redis_server.url, gateway="one").start()
    try:
        key = of_one.key("ops", operator=True)
        by_http = of_one.request("POST", "/v1/account/voucher", {"voucher": VOUCHER}, key)
        shown = words(_page(of_one).get("/console/account"))
    finally:
        of_one.stop()
    by_command = typed("account", "voucher", "-", environment=here, standard_input=VOUCHER)

    assert (422, "101", "use an account of the API http") == (
        by_http.status, by_http.body["code"], by_http.body["remedy"],
    )  # fmt: skip
    assert (Exit.USAGE, True) == (by_command.returncode, "use an account of the API http" in by_command.stderr)
    assert "The One API redeems no vouchers" in shown


def test_only_operators_may_ask(api: Api, client: redis.Redis) -> None:
    """A viewer reads what is stored, and calls nothing."""
    for rights in ({}, {"viewer": True}):
        key = api.key("shop", **rights)
        answers = [
            api.request("GET", "/v1/account/balance", key=key),
            api.request("GET", f"/v1/account/coverage/{ZA}", key=key),
            api.request("POST", "/v1/account/voucher", {"voucher": VOUCHER}, key),
        ]
        assert [403, 403, 403] == [one.status for one in answers]
    page = _page(api, viewer=True)
    assert 403 == page.post("/console/account/voucher", voucher=VOUCHER).status
    assert [] == _audited(client)


@pytest.mark.parametrize("wrong", ["", "two words", "x" * 65, "\u00e9", "a\x00b", VOUCHER + "\n" + VOUCHER])
def test_what_is_no_voucher_is_refused_without_a_repetition_of_it(wrong: str, api: Api, here: dict[str, str]) -> None:
    """It may be a voucher with a letter too many, or two of them."""
    by_http = api.request("POST", "/v1/account/voucher", {"voucher": wrong}, api.key("ops", operator=True))
    by_command = typed("account", "voucher", "-", environment=here, standard_input=wrong)
    assert (422, Exit.USAGE) == (by_http.status, by_command.returncode)
    assert not wrong or wrong not in json.dumps(by_http.body, ensure_ascii=False) + by_command.stderr


def test_a_row_that_is_no_request_is_removed_and_stops_no_other(
    asking: Asking, client: redis.Redis, here: dict[str, str]
) -> None:
    """Damage costs only what it concerns."""
    client.zadd(keys.ACCOUNT_REQUESTS, {b"\xff{": int(now() * 1000) + 60_000})
    client.pexpire(keys.ACCOUNT_REQUESTS, 60_000)
    assert 0 == typed("account", "balance", environment=here).returncode
    assert not client.exists(keys.ACCOUNT_REQUESTS)


def test_a_request_that_has_lapsed_is_not_made(asking: Asking, client: redis.Redis, sandbox: Running) -> None:
    """The operator who made the request has gone."""
    before = int(now() * 1000) - account_requests.LAPSE_MS - 1
    request = account_requests.put(client, AccountQuery.BALANCE, before)
    wait_until(lambda: not client.exists(keys.ACCOUNT_REQUESTS), what="the request to be removed")
    assert account_requests.answer_to(client, request) is None
