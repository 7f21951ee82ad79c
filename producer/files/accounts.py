"""Accounts of a file: messages, parts and estimated cost by account, in the currency of each."""

from __future__ import annotations

from collections import Counter

import msgspec

from threelane.producer.rehearse import Rehearsed

NO_ROUTE = "no route matches"


class AccountCost(msgspec.Struct):
    """What goes through one account; the estimate is in millionths of its currency."""

    currency: str
    messages: int = 0
    parts: int = 0
    estimate_millionths: int = 0
    routes: Counter[str] = msgspec.field(default_factory=Counter)  # messages by the route that chose the account


class Accounts:
    """The sums of a file by account; none if the installation has one account."""

    def __init__(self) -> None:
        """Count none."""
        self._found: dict[str, AccountCost] = {}

    def add(self, answer: Rehearsed) -> None:
        """Count a message that would be accepted."""
        if not answer.account:
            return
        one = self._found.setdefault(answer.account, AccountCost(answer.currency))
        one.messages += 1
        one.parts += answer.parts
        one.estimate_millionths += answer.estimate_millionths
        one.routes[answer.route or NO_ROUTE] += 1

    def by_currency(self) -> Counter[str]:
        """Return the estimates by currency, which cannot be added up."""
        sums: Counter[str] = Counter()
        for one in self._found.values():
            sums[one.currency] += one.estimate_millionths
        return sums

    def by_messages(self) -> dict[str, AccountCost]:
        """Return the sums, the account with most messages first."""
        return dict(sorted(self._found.items(), key=lambda one: (-one[1].messages, one[0])))
