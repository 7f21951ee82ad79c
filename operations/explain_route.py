"""Explain route: which account a message would get, by which route, and at which estimated price."""

from __future__ import annotations

import msgspec

from threelane.contract.accounts.account import Account
from threelane.contract.accounts.route import Subject
from threelane.contract.accounts.routing import Routing, choose
from threelane.contract.prices import CREDIT


class Offer(msgspec.Struct, frozen=True):
    """An account that a message may get: its share of such messages, from 0 to 1, and its price of a part."""

    account: str
    gateway: str
    share: float
    price: float
    currency: str


class Passed(msgspec.Struct, frozen=True):
    """A route before the one that matches, and a condition of it that the message does not meet."""

    rule: str
    condition: str


class RouteExplanation(msgspec.Struct, frozen=True, kw_only=True):
    """The route of a message, "" if none matches; the account, or several with their shares; the stand-by, if any."""

    rule: str
    accounts: tuple[Offer, ...]
    stand_by: Offer | None
    passed: tuple[Passed, ...]
    at: int


def explain(routing: Routing, subject: Subject, now: int, message_id: str = "") -> RouteExplanation:
    """Return the route of a message; with its id, the one account that it gets."""
    passed: list[Passed] = []
    for route in routing.routes:
        if not (condition := route.mismatch(subject, now)):
            chosen = choose(routing, subject, message_id, now) if message_id else None
            weights = {chosen.account: 1} if chosen else route.accounts
            total = sum(weights.values())
            offers = (_offer(routing.accounts[name], weight / total, subject) for name, weight in weights.items())
            stand_by = _offer(routing.accounts[route.stand_by], 0, subject) if route.stand_by else None
            return RouteExplanation(
                rule=route.name, accounts=tuple(offers), stand_by=stand_by, passed=tuple(passed), at=now
            )
        passed.append(Passed(route.name, condition))
    offer = _offer(routing.accounts[routing.default], 1, subject)
    return RouteExplanation(rule="", accounts=(offer,), stand_by=None, passed=tuple(passed), at=now)


def _offer(account: Account, share: float, subject: Subject) -> Offer:
    price = account.price(subject.to) / CREDIT
    return Offer(account.name, account.gateway, share, price, account.currency)
