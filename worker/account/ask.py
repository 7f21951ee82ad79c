"""Ask: one request of an operator to the gateway, the balance, a coverage or a voucher, and its answer as a value."""

from __future__ import annotations

import re

import msgspec
from pydantic import SecretStr

from threelane.contract import phone
from threelane.contract.features import able
from threelane.contract.prices import CREDIT
from threelane.runtime import logs
from threelane.store.account_requests import NO_VOUCHER, AccountAnswer, AccountQuery, AccountResult, Concern
from threelane.worker.account.refusal import concern
from threelane.worker.gateway import reach, tables
from threelane.worker.gateway.outcome import Coverage, OutcomeKind, Payment
from threelane.worker.gateway.protocol import Gateway
from threelane.worker.policy.rule import Table

MOST_LETTERS = 200
UNKNOWN, NOT_CALLED = AccountResult.UNKNOWN, AccountResult.NOT_CALLED
_NEVER_LEFT = (OutcomeKind.NOT_REACHED, OutcomeKind.WRONG_ADDRESS)


async def ask(
    gateway: Gateway, query: AccountQuery, msisdn: str = "", voucher: SecretStr = NO_VOUCHER
) -> AccountAnswer:
    """Make one call and return what it showed; never raises for what the gateway may do, nor repeats a call."""
    if not able(query, gateway.name):
        return AccountAnswer(result=AccountResult.LACKING, gateway=gateway.name)
    try:
        found = await _call(gateway, query, msisdn, voucher)
    except Exception as broken:  # of the gateway's own code: a voucher may have left
        error = type(broken).__name__
        logs.event("gateway_raised", level=40, error=error)
        found = AccountAnswer(result=UNKNOWN, text=error)
    text = _without(found.text, msisdn, voucher.get_secret_value())
    return msgspec.structs.replace(found, gateway=gateway.name, text=text[:MOST_LETTERS])


async def _call(gateway: Gateway, query: AccountQuery, msisdn: str, voucher: SecretStr) -> AccountAnswer:
    table = tables.by_gateway()[gateway.name]
    match query:
        case AccountQuery.BALANCE:
            return of_balance(await gateway.balance(), table)
        case AccountQuery.COVERAGE:
            return of_coverage(await gateway.coverage(msisdn), table)
        case AccountQuery.VOUCHER:
            return of_payment(await gateway.pay(voucher.get_secret_value()), table)


def of_balance(balance: float | str, table: Table) -> AccountAnswer:
    """Return what a balance, or the reason why it is unknown, means; pure."""
    if not isinstance(balance, str):
        return AccountAnswer(result=AccountResult.ANSWERED, balance=balance)
    seen = reach.read(balance)
    if seen.kind is OutcomeKind.REFUSED:
        return _refused(seen.code, balance, concern(seen.code, table))
    return AccountAnswer(result=_without_answer(balance), text=reach.why_unknown(balance))


def of_coverage(coverage: Coverage, table: Table) -> AccountAnswer:
    """Return what a coverage means; pure.

    The request is refused by a code of the credentials or the account; any other leaves the coverage unknown.
    """
    if coverage.routable is not None:
        charge = None if coverage.charge_millionths is None else coverage.charge_millionths / CREDIT
        return AccountAnswer(result=AccountResult.ANSWERED, routable=coverage.routable, charge=charge)
    if coverage.code:
        return _coded(coverage.code, coverage.text, table)
    return AccountAnswer(result=_without_answer(coverage.text), text=reach.why_unknown(coverage.text))


def of_payment(payment: Payment, table: Table) -> AccountAnswer:
    """Return what redeeming a voucher led to; pure.

    Nothing is redeemed only if the request was never sent, or if the code refuses it; after an internal error, and with
    a code that nobody knows, the voucher may be redeemed.
    """
    if payment.paid:
        return AccountAnswer(result=AccountResult.ANSWERED, redeemed=True)
    if payment.code:
        return _coded(payment.code, payment.text, table)
    result = UNKNOWN if payment.paid is None else NOT_CALLED
    return AccountAnswer(result=result, text=reach.why_unknown(payment.text))


def _coded(code: str, text: str, table: Table) -> AccountAnswer:
    """Return the answer to a request that ended with a code: refused only if that refuses it."""
    refuses = concern(code, table)
    return (
        _refused(code, text, refuses) if refuses else AccountAnswer(result=UNKNOWN, code=code, text=_text(code, text))
    )


def _refused(code: str, text: str, refuses: Concern) -> AccountAnswer:
    return AccountAnswer(result=AccountResult.REFUSED, code=code, concern=refuses, text=_text(code, text))


def _text(code: str, text: str) -> str:
    """Return the gateway's text without the code before it."""
    return re.sub(rf"\A(?:err:?\s*)?{re.escape(code)}\b[,:]?\s*", "", text, flags=re.IGNORECASE) if code else text


def _without_answer(reason: str) -> AccountResult:
    """Return the result of a request to which no answer came; it may be repeated if it surely did not arrive."""
    return NOT_CALLED if reach.read(reason).kind in _NEVER_LEFT else UNKNOWN


def _without(text: str, msisdn: str, voucher: str) -> str:
    """Return a text of the gateway's without the number and the voucher, which it may repeat."""
    shown = text.replace(msisdn, phone.mask(msisdn)) if msisdn else text
    return shown.replace(voucher, "...") if voucher else shown
