"""Explain route: which account a message would get, by which route, and at which estimated price."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from threelane.contract.accounts.account import Account
from threelane.contract.accounts.route import Subject
from threelane.contract.accounts.routing import Chosen, Routing, choose
from threelane.contract.prices import CREDIT


class Offer(msgspec.Struct, frozen=True):
    """An account that a message may get: its share of such messages, from 0 to 1, and its price of a part."""

    account: str
    gateway: str
    share: float
    price: float
    currency: str


class Passed(msgspec.Struct, frozen=True):
    """A route before the one that chooses, and a condition of it that the message does not meet, or DRAINED."""

    rule: str
    condition: str


class RouteExplanation(msgspec.Struct, frozen=True, kw_only=True):
    """The route of a message, "" if none matches; the account, or several with their shares; the stand-by, if any.

    Without an account the message is refused, since all that could take it are drained.  ``drained`` has all accounts
    that take nothing new, None if that is not known.
    """

    rule: str
    accounts: tuple[Offer, ...]
    stand_by: Offer | None
    passed: tuple[Passed, ...]
    at: int
    drained: tuple[str, ...] | None = None


DRAINED = "drained"
"""Of a route that matches: its accounts take nothing new, and no stand-by takes their place."""


def explain(
    routing: Routing, subject: Subject, now: int, message_id: str = "", drained: Collection[str] | None = None
) -> RouteExplanation:
    """Return the route of a message; with its id, the one account that it gets.  ``drained`` is None if unknown."""
    chosen = choose(routing, subject, message_id, now, drained or ())
    passed: list[Passed] = []
    for route in routing.routes:
        if chosen and route.name == chosen.rule:
            break
        passed.append(Passed(route.name, route.mismatch(subject, now) or DRAINED))
    weights = _weights(routing, chosen, drained or ()) if chosen and not message_id else {}
    if chosen and not weights:
        weights = {chosen.account: 1}
    total = sum(weights.values())
    return RouteExplanation(
        rule=chosen.rule if chosen else "",
        accounts=tuple(_offer(routing.accounts[name], weight / total, subject) for name, weight in weights.items()),
        stand_by=_offer(routing.accounts[chosen.stand_by], 0, subject) if chosen and chosen.stand_by else None,
        passed=tuple(passed),
        at=now,
        drained=None if drained is None else tuple(sorted(drained)),
    )


def _weights(routing: Routing, chosen: Chosen, drained: Collection[str]) -> dict[str, int]:
    """Return the accounts of the route among which the message id decides; none if its stand-by takes its place."""
    route = next((one for one in routing.routes if one.name == chosen.rule), None)
    return {name: weight for name, weight in route.accounts.items() if name not in drained} if route else {}


def _offer(account: Account, share: float, subject: Subject) -> Offer:
    price = account.price(subject.to) / CREDIT
    return Offer(account.name, account.gateway, share, price, account.currency)
