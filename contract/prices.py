"""Prices: the estimated price of a part, by the recipient's prefix or country; millionths of a credit.

In order of precedence: the operator's price for the longest matching prefix, the price of the last charge in the same
country, the operator's price for all others (``*``).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, DecimalException

import msgspec

from threelane.contract import zones

CREDIT = 1_000_000  # charges are kept in millionths of a credit, so that sums are exact
REST = "*"
MOST_DIGITS = 15  # of a learned price; more are damage
ELSEWHERE = "other"  # for numbers without a country, such as satellite phones


class Prices(msgspec.Struct, frozen=True):
    """Prices of a part: set by prefix, and learned by country."""

    given: Mapping[str, int]
    learned: Mapping[str, int] = {}
    longest: int = 0  # digits of the longest prefix in ``given``

    def price(self, to: str, where: str = "") -> int:
        """Return the price of a part to a number; ``where`` is its country, if known."""
        for length in range(self.longest, 0, -1):
            if (price := self.given.get(to[:length])) is not None:
                return price
        learned = self.learned.get(where or country(to))
        return learned if learned is not None else self.given.get(REST, CREDIT)

    def with_learned(self, entries: Mapping[bytes, bytes]) -> Prices:
        """Return a copy with the learned prices, as read from Redis; without damaged ones."""
        learned = {name.decode(): int(price) for name, price in entries.items() if _is_learned(name, price)}
        return msgspec.structs.replace(self, learned=learned)


def _is_learned(name: bytes, price: bytes) -> bool:
    return name.isalpha() and price.isdigit() and len(price) <= MOST_DIGITS


def country(to: str) -> str:
    """Return the country of a number, two letters, or ``other``."""
    return zones.country(to) or ELSEWHERE


def parse(text: str) -> Prices:
    """Parse ``27=0.8,1=1.2,*=1``; raises ValueError with the correct form."""
    given: dict[str, int] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        prefix, _, price = (part.strip() for part in entry.partition("="))
        if prefix != REST and not (prefix.isascii() and prefix.isdigit() and len(prefix) <= 15):
            raise ValueError(f"{entry!r}: write a prefix in digits, or *, and its price, as in 27=0.8,*=1")
        try:
            amount = Decimal(price) * CREDIT
        except DecimalException:
            raise ValueError(f"{entry!r}: {price!r} is not an amount of credits, such as 0.8") from None
        if not amount.is_finite() or not 0 <= amount <= 1000 * CREDIT:
            raise ValueError(f"{entry!r}: a part costs from 0 to 1000 credits")
        given[prefix] = int(amount)
    return Prices(given, longest=max((len(prefix) for prefix in given if prefix != REST), default=0))
