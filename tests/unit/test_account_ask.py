"""A request to the gateway as a value: nothing is repeated, and no answer has a secret, whatever the gateway does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import SecretStr

from threelane.operations.account import parse_voucher, problem
from threelane.store.account_requests import AccountAnswer, AccountQuery, AccountResult, Concern
from threelane.worker.account.ask import ask, of_balance, of_coverage, of_payment
from threelane.worker.gateway.outcome import AttemptOutcome, Coverage, OutcomeKind, Payment
from threelane.worker.policy.legacy import LEGACY

ZA, VOUCHER = "27831234567", "0000000100000001"
LOST = AttemptOutcome(OutcomeKind.LOST, text="ServerTimeoutError")
NOT_REACHED = AttemptOutcome(OutcomeKind.NOT_REACHED, text="ClientConnectorError")
NO_LOGIN = AttemptOutcome(OutcomeKind.REFUSED, code="001", text="Authentication failed")
REFUSING = ("606", "607", "001", "002", "003", "005", "007", "108", "301", "004", "130", "101")
UNDECIDED = ("605", "608", "888", "900", "901", "999", "201", "299", "103", "114", "199", "399")


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
    (of_balance(2.5, LEGACY),                                        AccountResult.ANSWERED),
    (of_balance("001 Authentication failed", LEGACY),                AccountResult.REFUSED),
    (of_balance("not_reached (ClientConnectorError)", LEGACY),       AccountResult.NOT_CALLED),
    (of_balance("HTTP 404 Not found", LEGACY),                       AccountResult.NOT_CALLED),
    (of_balance("lost (ServerDisconnectedError)", LEGACY),           AccountResult.UNKNOWN),
    (of_balance("an empty answer", LEGACY),                          AccountResult.UNKNOWN),
    (of_coverage(Coverage(True, 800_000), LEGACY),                   AccountResult.ANSWERED),
    (of_coverage(Coverage(False), LEGACY),                           AccountResult.ANSWERED),
    (of_coverage(Coverage(None, code="001", text="no"), LEGACY),     AccountResult.REFUSED),
    (of_coverage(Coverage(None, code="605", text="no"), LEGACY),     AccountResult.UNKNOWN),
    (of_coverage(Coverage.unanswered(LOST), LEGACY),                 AccountResult.UNKNOWN),
    (of_coverage(Coverage.unanswered(NOT_REACHED), LEGACY),          AccountResult.NOT_CALLED),
    (of_payment(Payment(True), LEGACY),                              AccountResult.ANSWERED),
    (of_payment(Payment.unanswered(NOT_REACHED), LEGACY),            AccountResult.NOT_CALLED),
    (of_payment(Payment.unanswered(LOST), LEGACY),                   AccountResult.UNKNOWN),
    (of_payment(Payment.unanswered(NO_LOGIN), LEGACY),               AccountResult.REFUSED),
    *((of_payment(Payment(False, code, "no"), LEGACY), AccountResult.REFUSED) for code in REFUSING),
    *((of_payment(Payment(False, code, "no"), LEGACY), AccountResult.UNKNOWN) for code in UNDECIDED),
])  # fmt: skip
def test_each_way_in_which_a_call_ends_is_one_result(found: AccountAnswer, expected: AccountResult) -> None:
    """What surely was not called may be tried again at once; what is unknown may not."""
    assert expected == found.result
    assert bool(problem(AccountQuery.VOUCHER, found)[0]) == (expected is not AccountResult.ANSWERED)


@pytest.mark.parametrize(("code", "expected"), [
    ("606", Concern.VOUCHER), ("001", Concern.CREDENTIALS), ("301", Concern.ACCOUNT), ("101", Concern.REQUEST),
])  # fmt: skip
def test_a_refusal_names_what_to_check(code: str, expected: Concern) -> None:
    """Another voucher is no remedy for a wrong password."""
    found = of_payment(Payment(False, code, "no"), LEGACY)
    what, remedy = problem(AccountQuery.VOUCHER, found)
    assert (expected, f"the gateway refuses it: {code} no") == (found.concern, what)
    assert (expected is Concern.VOUCHER) == ("check the voucher" == remedy)
    assert (expected is Concern.CREDENTIALS) == ("credentials" in remedy)


@pytest.mark.parametrize("balance", ["001 Authentication failed", "ERR: 001, Authentication failed"])
def test_a_problem_has_the_code_once(balance: str) -> None:
    """Each API writes it otherwise."""
    what, _ = problem(AccountQuery.BALANCE, of_balance(balance, LEGACY))
    assert "the gateway refuses it: 001 Authentication failed" == what


def test_what_kept_a_request_from_an_answer_is_a_sentence() -> None:
    """The same one for each request, as the balance has it."""
    expected = "no answer: there was no answer in time (ServerTimeoutError)"
    found = [of_balance(LOST.in_words(), LEGACY), of_coverage(Coverage.unanswered(LOST), LEGACY)]
    assert [expected] * 3 == [one.text for one in (*found, of_payment(Payment.unanswered(LOST), LEGACY))]


def test_a_voucher_is_never_shown_by_its_value() -> None:
    """In a traceback, a log or a test's output."""
    assert VOUCHER not in repr(parse_voucher(f" {VOUCHER}\n"))
