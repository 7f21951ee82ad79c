"""Whose fault a refused login is: only a code that concerns the credentials refuses them."""

from __future__ import annotations

import pytest

from threelane.gateways.http.gateway import read_balance
from threelane.worker.account.credentials import Login, read
from threelane.worker.gateway import reach, tables
from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind
from threelane.worker.gateway.wire import HttpReply

LEGACY, ONE = tables.by_gateway()["http"], tables.by_gateway()["one"]


def login(balance: float | str) -> Login:
    return read(reach.read(balance), LEGACY)


@pytest.mark.parametrize("code", ["001", "002", "007", "108"])
def test_a_code_of_the_credentials_refuses_them(code: str) -> None:
    """They concern the worker that has them, and no others."""
    found = login(f"{code} Some text")
    assert (False, code) == (found.is_accepted, found.code)
    assert found.reason.startswith("the gateway refuses its credentials: ")


@pytest.mark.parametrize("code", ["1", "3", "7"])
def test_the_one_api_has_codes_of_its_own(code: str) -> None:
    """Its numbers differ from those of the older APIs."""
    assert (False, code) == read(AttemptOutcome(OutcomeKind.REFUSED, code), ONE)[:2]


@pytest.mark.parametrize(
    "balance", [12.5, 0.0, -3.0, "004 Account frozen", "301 No credit left", "an amount that may be cut"]
)
def test_an_answer_about_anything_else_accepts_the_login(balance: float | str) -> None:
    """The gateway has looked at the account."""
    assert Login(True) == login(balance)


def test_an_api_without_a_balance_cannot_refuse_a_login_by_it() -> None:
    """Its first send decides; with a balance, a text that is neither a number nor a code is another server's."""
    seen = [read(reach.read("not supported"), LEGACY, has_balance=has_balance) for has_balance in (False, True)]
    assert [True, False] == [one.is_accepted for one in seen]


@pytest.mark.parametrize(
    "balance",
    [
        "not_reached (ClientConnectorError)",
        "lost (TimeoutError)",
        "901 Internal error",
        "003 Session ID expired",
        "HTTP 429 Too many requests",
        "HTTP 503 Service unavailable",
        "HTTP 404 Not found",
        "<html>Sign in</html>",
    ],
)
def test_no_answer_decides_nothing(balance: str) -> None:
    """A gateway that is away refuses nobody, and an address that is no gateway accepts nobody."""
    found = login(balance)
    assert (False, "") == (found.is_accepted, found.code)
    assert found.reason


def test_the_code_is_read_from_the_gateway_s_own_words() -> None:
    """As the HTTP API writes an error."""
    balance = read_balance(HttpReply(200, b"ERR: 001, Authentication failed"))
    assert (False, "001") == login(balance)[:2]


@pytest.mark.parametrize("api", ["http", "xml"])
def test_a_refused_login_of_a_session_keeps_its_code(api: str) -> None:
    """The balance of a worker with sessions is unknown because of its login, not of the account."""
    refused = AttemptOutcome(OutcomeKind.REFUSED, code="001", text="Authentication failed")
    assert (False, "001") == read(reach.read(refused.in_words()), tables.by_gateway()[api])[:2]


def test_an_error_in_a_status_of_the_client_is_the_gateway_s() -> None:
    """A 401 with the API's own code is a refused login and not the page of another server."""
    balance = read_balance(HttpReply(401, b"ERR: 001, Authentication failed"))
    assert (False, "001") == login(balance)[:2]
