"""Caller: who asks, and whether they may; every address but the probes and the description depends on it."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from threelane.contract.refusal import Owner
from threelane.interfaces.api.house import House, house_of
from threelane.interfaces.api.problem import stop
from threelane.store import access
from threelane.store.access import ApiKey

_bearer = HTTPBearer(auto_error=False, description="A key of your producer: threelane producers key make NAME")


def caller(request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]) -> ApiKey:
    """Return the key that came with the request, and take one unit of its rate; ends the request otherwise."""
    house = house_of(request)
    now = house.producer.now()
    key = access.authenticate(house.redis, given.credentials, now) if given else None
    if key is None:
        raise stop(
            401,
            "no key, or one that is not known, expired or revoked",
            headers={"WWW-Authenticate": 'Bearer realm="threelane"'},
            field="Authorization",
            remedy="send Authorization: Bearer <key>; an operator makes one with threelane producers key make",
            owner=Owner.OPERATOR,
        )
    pay(house, key, now)
    request.scope["threelane.key"] = key.id  # for the log
    return key


async def operator(key: Annotated[ApiKey, Depends(caller)]) -> ApiKey:
    """Return the key of an operator; ends the request otherwise."""
    if not key.operator:
        raise lacking("operator", "--operator")
    return key


async def suppressor(key: Annotated[ApiKey, Depends(caller)]) -> ApiKey:
    """Return a key that may read and change the list of suppressed numbers; ends the request otherwise."""
    if not key.may_suppress:
        raise lacking("suppression", "--suppression")
    return key


def lacking(right: str, option: str) -> Exception:
    """Return the end of a request whose key lacks a right."""
    return stop(
        403,
        f"this key has not the right {right!r}",
        field="Authorization",
        remedy=f"have an operator make one that has it: threelane producers key make NAME {option}",
        owner=Owner.OPERATOR,
    )


def pay(house: House, key: ApiKey, now: int, units: int = 1, *, owed: bool = False) -> None:
    """Take units of a key's rate; ends the request with 429 when there are none, unless they may be owed."""
    wait = access.take(house.redis, key, now, units, owed=owed)
    if wait:
        raise stop(
            429,
            f"this key may send {key.rate:g} messages or other requests a second",
            headers={"Retry-After": str(-(-wait // 1000))},
            remedy="wait for the seconds in Retry-After, or have an operator make a key with a higher rate",
            owner=Owner.OPERATOR,
        )


Caller = Annotated[ApiKey, Depends(caller)]
Operator = Annotated[ApiKey, Depends(operator)]
Suppressor = Annotated[ApiKey, Depends(suppressor)]
