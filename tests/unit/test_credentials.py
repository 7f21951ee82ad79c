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


@pytest.mark.parametrize("balance", [12.5, 0.0, -3.0, "004 Account frozen", "301 No credit left", "no balance here"])
def test_an_answer_about_anything_else_accepts_the_login(balance: float | str) -> None:
    """The gateway has looked at the account; a gateway without a balance cannot refuse a login by it."""
    assert Login(True) == login(balance)


@pytest.mark.parametrize(
    "balance",
    [
        "not_reached (ClientConnectorError)",
        "lost (TimeoutError)",
        "901 Internal error",
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
