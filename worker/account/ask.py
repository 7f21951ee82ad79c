"""Ask: one request of an operator to the gateway, the balance, a coverage or a voucher, and its answer as a value."""

from __future__ import annotations

from pydantic import SecretStr

from threelane.contract import phone
from threelane.contract.features import able
from threelane.contract.prices import CREDIT
from threelane.runtime import logs
from threelane.store.account_requests import NO_VOUCHER, AccountAnswer, AccountQuery, AccountResult
from threelane.worker.gateway import reach
from threelane.worker.gateway.outcome import Coverage, OutcomeKind, Payment
from threelane.worker.gateway.protocol import Gateway

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
    return AccountAnswer(
        result=found.result,
        gateway=gateway.name,
        balance=found.balance,
        routable=found.routable,
        charge=found.charge,
        code=found.code,
        text=text[:MOST_LETTERS],
    )


async def _call(gateway: Gateway, query: AccountQuery, msisdn: str, voucher: SecretStr) -> AccountAnswer:
    match query:
        case AccountQuery.BALANCE:
            return of_balance(await gateway.balance())
        case AccountQuery.COVERAGE:
            return of_coverage(await gateway.coverage(msisdn))
        case AccountQuery.VOUCHER:
            return of_payment(await gateway.pay(voucher.get_secret_value()))


def of_balance(balance: float | str) -> AccountAnswer:
    """Return what a balance, or the reason why it is unknown, means; pure."""
    if not isinstance(balance, str):
        return AccountAnswer(result=AccountResult.ANSWERED, balance=balance)
    seen = reach.read(balance)
    if seen.kind is OutcomeKind.REFUSED:
        return AccountAnswer(result=AccountResult.REFUSED, code=seen.code, text=balance)
    never_left = seen.kind in _NEVER_LEFT
    return AccountAnswer(result=NOT_CALLED if never_left else UNKNOWN, text=reach.why_unknown(balance))


def of_coverage(coverage: Coverage) -> AccountAnswer:
    """Return what a coverage means; pure."""
    if coverage.routable is None:
        never_left = coverage.text in _NEVER_LEFT
        return AccountAnswer(result=AccountResult.NOT_CALLED if never_left else UNKNOWN, text=coverage.text)
    charge = None if coverage.charge_millionths is None else coverage.charge_millionths / CREDIT
    return AccountAnswer(result=AccountResult.ANSWERED, routable=coverage.routable, charge=charge, text=coverage.text)


def of_payment(payment: Payment) -> AccountAnswer:
    """Return what redeeming a voucher led to; pure."""
    if payment.paid:
        return AccountAnswer(result=AccountResult.ANSWERED)
    if payment.paid is None:
        return AccountAnswer(result=UNKNOWN, text=payment.text)
    result = AccountResult.REFUSED if payment.code else NOT_CALLED
    return AccountAnswer(result=result, code=payment.code, text=payment.text)


def _without(text: str, msisdn: str, voucher: str) -> str:
    """Return a text of the gateway's without the number and the voucher, which it may repeat."""
    shown = text.replace(msisdn, phone.mask(msisdn)) if msisdn else text
    return shown.replace(voucher, "...") if voucher else shown
