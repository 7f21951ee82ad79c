"""A request to the gateway as a value: nothing is repeated, and no answer has a secret, whatever the gateway does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import SecretStr

from threelane.operations.account import parse_voucher, problem
from threelane.store.account_requests import AccountAnswer, AccountQuery, AccountResult
from threelane.worker.account.ask import ask, of_balance, of_coverage, of_payment
from threelane.worker.gateway.outcome import Coverage, Payment

ZA, VOUCHER = "27831234567", "0000000100000001"


class Echoing:
    """A gateway whose texts repeat the request, as an error page does, or whose code fails."""

    name = "http"

    def __init__(self, fails: bool = False) -> None:
        self.calls = 0
        self._fails = fails

    async def coverage(self, msisdn: str) -> Coverage:
        self.calls += 1
        return Coverage(None, text=f"HTTP 502 msisdn={msisdn}")

    async def pay(self, token: str) -> Payment:
        self.calls += 1
        if self._fails:
            raise LookupError(token)
        return Payment(None, text=f"HTTP 502 token={token}")


def _answer(gateway: Any, query: AccountQuery) -> AccountAnswer:
    return asyncio.run(ask(gateway, query, ZA, SecretStr(VOUCHER)))


@pytest.mark.parametrize("query", [AccountQuery.COVERAGE, AccountQuery.VOUCHER])
def test_an_answer_repeats_neither_the_number_nor_the_voucher(query: AccountQuery) -> None:
    """A page of a proxy may echo the request, and the answer is shown, stored for a minute and sent over HTTP."""
    found = _answer(Echoing(), query)
    assert AccountResult.UNKNOWN == found.result
    assert [] == [one for one in (ZA, VOUCHER) if one in found.text]


def test_an_exception_of_the_gateway_leaves_a_voucher_unknown_and_calls_once() -> None:
    """The request may have left; the text of an exception may have the voucher."""
    gateway = Echoing(fails=True)
    found = _answer(gateway, AccountQuery.VOUCHER)
    assert (AccountResult.UNKNOWN, "LookupError", 1) == (found.result, found.text, gateway.calls)


@pytest.mark.parametrize(("found", "expected"), [
    (of_balance(2.5),                                    AccountResult.ANSWERED),
    (of_balance("001 Authentication failed"),            AccountResult.REFUSED),
    (of_balance("not_reached (ClientConnectorError)"),   AccountResult.NOT_CALLED),
    (of_balance("HTTP 404 Not found"),                   AccountResult.NOT_CALLED),
    (of_balance("lost (ServerDisconnectedError)"),       AccountResult.UNKNOWN),
    (of_balance("an empty answer"),                      AccountResult.UNKNOWN),
    (of_coverage(Coverage(True, 800_000)),               AccountResult.ANSWERED),
    (of_coverage(Coverage(False)),                       AccountResult.ANSWERED),
    (of_coverage(Coverage(None, text="lost")),           AccountResult.UNKNOWN),
    (of_coverage(Coverage(None, text="not_reached")),    AccountResult.NOT_CALLED),
    (of_payment(Payment(True)),                          AccountResult.ANSWERED),
    (of_payment(Payment(False, "607", "Expired")),       AccountResult.REFUSED),
    (of_payment(Payment(False, text="not_reached")),     AccountResult.NOT_CALLED),
    (of_payment(Payment(None, text="lost")),             AccountResult.UNKNOWN),
])  # fmt: skip
def test_each_way_in_which_a_call_ends_is_one_result(found: AccountAnswer, expected: AccountResult) -> None:
    """What surely was not called may be tried again at once; what is unknown may not."""
    assert expected == found.result
    assert bool(problem(AccountQuery.VOUCHER, found)[0]) == (expected is not AccountResult.ANSWERED)


def test_a_voucher_is_never_shown_by_its_value() -> None:
    """In a traceback, a log or a test's output."""
    assert VOUCHER not in repr(parse_voucher(f" {VOUCHER}\n"))
