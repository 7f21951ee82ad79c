"""Accounts: lists the accounts at the gateway, drains one and uses it again, for operators; viewers may list."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path
from fastapi.responses import Response

from threelane.interfaces.api import criteria
from threelane.interfaces.api.body import answered
from threelane.interfaces.api.caller import Operator, Viewer
from threelane.interfaces.api.describe import answer, answers, problems
from threelane.interfaces.api.service import Service, Shared
from threelane.operations import accounts
from threelane.operations.accounts import AccountRow
from threelane.store import accounts as stored
from threelane.store.accounts import UnknownAccount
from threelane.store.api_key import ApiKey

router = APIRouter(prefix="/accounts", tags=["operators"])
Name = Annotated[str, Path(description="the account, as GET /v1/accounts names it", max_length=64)]


class AccountChange(msgspec.Struct, frozen=True):
    """Whether an account is drained now, and whether this request changed it; safe to repeat."""

    name: str
    drained: bool
    changed: bool


VALUES: list[Any] = [AccountRow, AccountChange]
_ROW = AccountRow(
    name="marketing", gateway="one", state="sending", workers=2, waiting={1: 0, 2: 0, 3: 40}, balance=96.4
)


@router.get("", responses=answers(200, AccountRow, "the accounts, the default one first", _ROW) | problems())
async def list_accounts(service: Shared, key: Viewer) -> Response:
    """List the accounts: their state, what waits in each by lane, what is at the gateway, and the balance."""
    return answered(await service.aside(key.producer, accounts.read, service.redis, service.producer.now()))


@router.post(
    "/{name}/drain",
    responses=answer(200, AccountChange, "it takes nothing new", AccountChange("marketing", True, True)) | problems(),
)
def drain_account(service: Shared, key: Operator, name: Name) -> Response:
    """Let an account take nothing new; it finishes what it has.  The audit log has the key."""
    return answered(changed(service, key, name, drained=True))


@router.post(
    "/{name}/use",
    responses=answer(200, AccountChange, "it takes messages again", AccountChange("marketing", False, True))
    | problems(),
)
def use_account(service: Shared, key: Operator, name: Name) -> Response:
    """Let a drained account take messages again.  The audit log has the key."""
    return answered(changed(service, key, name, drained=False))


def changed(service: Service, key: ApiKey, name: str, *, drained: bool) -> AccountChange:
    """Drain an account, or use it again; ends the request if there is none of this name."""
    who = f"key {key.id} of {key.producer}"
    try:
        change = (stored.drain if drained else stored.use)(service.redis, name, who)
    except UnknownAccount as wrong:
        raise criteria.wrong_field("path.name", wrong) from None
    return AccountChange(name, drained, change)
