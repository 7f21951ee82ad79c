"""Account: the balance, the coverage of a number and vouchers of the account at the gateway."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from threelane.contract import phone
from threelane.contract.accounts.account import shown
from threelane.contract.features import able
from threelane.contract.gateways import named
from threelane.interfaces.api.account import gateway_of, made
from threelane.interfaces.api.accounts import changed
from threelane.interfaces.api.problem import stop
from threelane.interfaces.api.spaces import space_named
from threelane.interfaces.console.gate import ChangingForm, CurrentVisit
from threelane.interfaces.console.page import HOME, PageRoute
from threelane.interfaces.console.suppressed import number_of, who
from threelane.operations import account, forecast, screen
from threelane.store import accounts
from threelane.store.account_requests import AccountAnswer, AccountQuery

router = APIRouter(prefix="/console/account", include_in_schema=False, route_class=PageRoute)
BACK = f"{HOME}/account"


@router.get("")
def console_account(visit: CurrentVisit, account: str = "") -> Response:
    """Show the credits as workers last read them, and which queries this account's API answers."""
    space = space_named(visit.service, account, "query.account")
    api = gateway_of(visit.service, space)
    money = list(screen.credit_words(forecast.read(visit.service.redis, visit.now, space)))
    return visit.show(
        "account.html",
        tab="account",
        api=named(api).title,
        money=money,
        able={str(one): able(one, api) for one in AccountQuery},
        account=shown(space.account),
        drained=accounts.read(visit.service.redis).drained.get(shown(space.account)),
        names=accounts.names(visit.service.redis),
    )


@router.post("/balance")
async def console_balance(form: ChangingForm) -> Response:
    """Read the balance now."""
    found = await _made(form, AccountQuery.BALANCE, account.balance)
    return form.visit.done("balance", f"The account is active; balance {found.balance:g}.", _back(form))


@router.post("/coverage")
async def console_coverage(form: ChangingForm) -> Response:
    """Query whether the account reaches a number."""
    number = number_of(form)
    found = await _made(form, AccountQuery.COVERAGE, account.coverage, number)
    charge = "" if found.charge is None else f", from {found.charge:g} credits a part"
    notice = f"{phone.mask(number)} is {'covered' if found.routable else 'not covered'}{charge}."
    return form.visit.done("coverage", notice, _back(form), routable=found.routable)


@router.post("/voucher")
async def console_voucher(form: ChangingForm) -> Response:
    """Redeem a voucher, once; the audit log has an entry without it."""
    try:
        voucher = account.parse_voucher(form.get("voucher", account.MOST_VOUCHER))
    except ValueError as wrong:
        what, _, remedy = str(wrong).partition("; ")
        raise stop(422, what, remedy=f"go back and {remedy}") from None
    await _made(
        form,
        AccountQuery.VOUCHER,
        account.redeem,
        voucher,
        form.visit.service.redis,
        who(form.visit),
        form.get("account"),
    )
    return form.visit.done("voucher", "The voucher is redeemed.", _back(form))


@router.post("/drain")
def console_drain(form: ChangingForm) -> Response:
    """Let the account take nothing new."""
    return _changed(form, drained=True)


@router.post("/use")
def console_use(form: ChangingForm) -> Response:
    """Let a drained account take messages again."""
    return _changed(form, drained=False)


def _changed(form: ChangingForm, *, drained: bool) -> Response:
    visit, name = form.visit, form.get("account")
    change = changed(visit.service, visit.session.key, name, drained=drained)
    did = "takes nothing new" if drained else "takes messages again"
    notice = f"{name} {did}." if change.changed else f"{name} {did}, as before."
    return visit.done("drained" if drained else "used", notice, _back(form), account=name)


async def _made(
    form: ChangingForm, query: AccountQuery, ask: Callable[..., AccountAnswer], *about: Any
) -> AccountAnswer:
    return await made(form.visit.service, form.visit.session.key, form.get("account"), query, ask, *about)


def _back(form: ChangingForm) -> str:
    name = form.get("account")
    return f"{BACK}?account={name}" if name in accounts.names(form.visit.service.redis) else BACK
