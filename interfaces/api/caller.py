"""Caller: authentication and rate; every operation but the probes and the description depends on it."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from threelane.contract.refusal import Owner
from threelane.interfaces.api.problem import stop
from threelane.interfaces.api.service import HOLDER, Service, service_of
from threelane.store import access, registry
from threelane.store.api_key import ApiKey

_bearer = HTTPBearer(auto_error=False, description="A key of your producer: threelane producers key make NAME")


def caller(request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]) -> ApiKey:
    """Return the key of the request and take one unit of its rate; ends the request otherwise."""
    service = service_of(request)
    now = service.producer.now()
    key = access.authenticate(service.redis, given.credentials, now) if given else None
    if key is None:
        raise stop(
            401,
            "the key is missing, unknown, expired or revoked",
            headers={"WWW-Authenticate": 'Bearer realm="threelane"'},
            field="Authorization",
            remedy="send Authorization: Bearer <key>; an operator creates keys with threelane producers key make",
            owner=Owner.OPERATOR,
        )
    pay(service, key, now)
    request.scope["threelane.key"] = key.id  # for the log
    request.scope[HOLDER] = key.producer
    return key


async def operator(key: Annotated[ApiKey, Depends(caller)]) -> ApiKey:
    """Return the key if it is an operator key; ends the request otherwise."""
    if not key.operator:
        raise lacking("operator", "--operator")
    return key


async def viewer(key: Annotated[ApiKey, Depends(caller)]) -> ApiKey:
    """Return the key if it may read what operators read; ends the request otherwise."""
    if not key.may_view:
        raise lacking("viewer", "--viewer")
    return key


async def suppressor(key: Annotated[ApiKey, Depends(caller)]) -> ApiKey:
    """Return the key if it may read and change the suppression list; ends the request otherwise."""
    if not key.may_suppress:
        raise lacking("suppression", "--suppression")
    return key


async def suppression_reader(key: Annotated[ApiKey, Depends(caller)]) -> ApiKey:
    """Return the key if it may read the suppression list; ends the request otherwise."""
    if not (key.may_suppress or key.may_view):
        raise lacking("suppression", "--suppression")
    return key


def lacking(right: str, option: str) -> Exception:
    """Return the end of a request whose key lacks a right."""
    return stop(
        403,
        f"this key lacks the right {right!r}",
        field="Authorization",
        remedy=f"ask an operator for a key with it: threelane producers key make NAME {option}",
        owner=Owner.OPERATOR,
    )


def pay(service: Service, key: ApiKey, now: int, units: int = 1, *, owed: bool = False) -> None:
    """Take units of a key's rate; ends the request with 429 if there are none left, unless they may be owed."""
    wait = access.take(service.redis, key, now, units, owed=owed)
    if wait:
        raise stop(
            429,
            _limit(service, key),
            headers={"Retry-After": str(-(-wait // 1000))},
            remedy="wait for the seconds in Retry-After, or ask an operator for a key with a higher rate",
            owner=Owner.OPERATOR,
        )


def _limit(service: Service, key: ApiKey) -> str:
    """Return the rates of a key and its producer."""
    registered = registry.read(service.redis, key.producer)
    limits = [f"this key may send {key.rate:g}"] if key.rate else []
    limits += [f"all keys of {key.producer} together {registered.rate:g}"] if registered and registered.rate else []
    return f"{', '.join(limits) or 'the rate is used up:'} messages or other requests a second"


Caller = Annotated[ApiKey, Depends(caller)]
Operator = Annotated[ApiKey, Depends(operator)]
Viewer = Annotated[ApiKey, Depends(viewer)]
SuppressionReader = Annotated[ApiKey, Depends(suppression_reader)]
Suppressor = Annotated[ApiKey, Depends(suppressor)]
