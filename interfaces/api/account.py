"""Account: balance, coverage and vouchers of the account at the gateway, for keys with the right ``operator``.

A worker makes each call: this process has no credentials of the account.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Query
from fastapi.responses import Response

from threelane.contract.accounts.account import shown
from threelane.contract.refusal import Code, Owner
from threelane.interfaces.api import describe
from threelane.interfaces.api.body import Single, answered
from threelane.interfaces.api.caller import Operator
from threelane.interfaces.api.describe import answer, problems
from threelane.interfaces.api.problem import AWAY_SECONDS, Stop, read, stop
from threelane.interfaces.api.service import Service, Shared
from threelane.interfaces.api.spaces import space_named
from threelane.operations import account
from threelane.operations.account import Call
from threelane.store import accounts, suppression
from threelane.store.account_requests import AccountAnswer, AccountQuery, AccountResult, Concern
from threelane.store.api_key import ApiKey
from threelane.store.keys import Space

router = APIRouter(prefix="/account", tags=["operators"])
Account = Annotated[
    str, Query(alias="account", description="the account, empty: the default one", max_length=64, examples=[""])
]
Number = Annotated[str, Path(description="the number, as keys of its producer write numbers", max_length=40)]


class AccountBalance(msgspec.Struct, frozen=True):
    """The balance of the account, as the gateway reports it now; in credits (the One API: in its currency)."""

    gateway: str
    account: str
    balance: float


class NumberCoverage(msgspec.Struct, frozen=True):
    """Whether the account reaches a number; ``charge`` is the least of a part in credits, null if not reported."""

    gateway: str
    routable: bool
    charge: float | None


class Voucher(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A voucher to redeem; it is neither logged nor stored."""

    voucher: Annotated[str, msgspec.Meta(max_length=account.MOST_VOUCHER)]


class RedeemedVoucher(msgspec.Struct, frozen=True):
    """A voucher was redeemed: the balance has its credits."""

    gateway: str
    redeemed: bool


VALUES: list[Any] = [AccountBalance, NumberCoverage, Voucher, RedeemedVoucher]
_BALANCE = AccountBalance("http", "acme/3123456", 250.4)
_COVERAGE = NumberCoverage("http", True, 0.8)
_PROBLEMS = problems(502)


@router.get("/balance", responses=answer(200, AccountBalance, "the balance", _BALANCE) | _PROBLEMS)
async def read_balance(service: Shared, key: Operator, of: Account = "") -> Response:
    """Read the balance of the account at the gateway now."""
    found = await made(service, key, of, AccountQuery.BALANCE, account.balance)
    return answered(AccountBalance(found.gateway, found.account, found.balance or 0))


@router.get("/coverage/{number}", responses=answer(200, NumberCoverage, "the coverage", _COVERAGE) | _PROBLEMS)
async def read_coverage(service: Shared, key: Operator, number: Number, of: Account = "") -> Response:
    """Query whether the account reaches a number; not meant for use before each message.

    A proxy in front may log the address, and with it the number.
    """
    try:
        msisdn = suppression.parse_number(number, service.producer.reading_as(key))
    except ValueError as wrong:
        what, _, remedy = str(wrong).partition("; ")
        raise stop(422, what, code=Code.DESTINATION, field="path.number", remedy=remedy) from None
    found = await made(service, key, of, AccountQuery.COVERAGE, account.coverage, msisdn)
    return answered(NumberCoverage(found.gateway, bool(found.routable), found.charge))


@router.post(
    "/voucher",
    responses=answer(200, RedeemedVoucher, "it is redeemed", RedeemedVoucher("http", True))
    | problems(400, 408, 413, 502),
    openapi_extra=describe.body_of(Voucher, Voucher("0000025000000001")),
)
async def redeem_voucher(service: Shared, key: Operator, body: Single, of: Account = "") -> Response:
    """Redeem a voucher, once; the audit log has an entry without it."""
    try:
        voucher = account.parse_voucher(read(body, Voucher).voucher)
    except ValueError as wrong:
        what, _, remedy = str(wrong).partition("; ")
        raise stop(422, what, code=Code.INVALID, field="voucher", remedy=remedy) from None
    who = f"key {key.id} of {key.producer}"
    found = await made(service, key, of, AccountQuery.VOUCHER, account.redeem, voucher, service.redis, who, of)
    return answered(RedeemedVoucher(found.gateway, True))


async def made(
    service: Service, key: ApiKey, of: str, query: AccountQuery, ask: Callable[..., AccountAnswer], *about: Any
) -> AccountAnswer:
    """Return the gateway's answer to a request of a key; ends the HTTP request if there is none.

    ``of`` is the account, "" for the default one.
    """
    space = space_named(service, of, "query.account")
    call: Call = account.by_worker(service.redis, space)
    found = await service.aside(key.producer, ask, call, gateway_of(service, space), *about)
    problem, remedy = account.problem(query, found)
    if problem:
        raise _stopped(found, problem, remedy)
    return found


def gateway_of(service: Service, space: Space) -> str:
    """Return the API of an account: the configured one, or as workers publish it."""
    known = accounts.read(service.redis).routing.accounts.get(shown(space.account))
    return known.gateway if known and space.account else service.settings.gateway


def _stopped(found: AccountAnswer, problem: str, remedy: str) -> Stop:
    """Return the end of a request without an answer: 422 for what it asks, 503 and 502 for what kept it."""
    more: dict[str, Any] = {"remedy": remedy, "owner": Owner.OPERATOR}
    match found.result:
        case AccountResult.LACKING:
            return stop(422, problem, code=Code.INVALID, field="gateway", **more)
        case AccountResult.REFUSED if found.concern is Concern.VOUCHER:
            return stop(422, problem, code=found.code, field="voucher", **more)
        case AccountResult.NOT_CALLED:
            return stop(503, problem, headers={"Retry-After": str(AWAY_SECONDS)}, **more)
    if found.code:
        more["code"] = found.code
    if found.concern not in (Concern.CREDENTIALS, Concern.ACCOUNT):
        more["owner"] = Owner.GATEWAY
    return stop(502, problem, **more)
