"""Countries of a file: messages, parts and estimated cost by the recipients' country."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class CountryCost(msgspec.Struct):
    """What goes to one country; the estimate is in millionths of a credit."""

    messages: int = 0
    parts: int = 0
    estimate_millionths: int = 0


class Countries:
    """The sums of a file or a part of it, by country: two letters, or ``other`` for numbers without one."""

    def __init__(self, found: Mapping[str, CountryCost] | None = None) -> None:
        """Continue from the sums of an earlier run."""
        self._found = dict(found or {})

    def add(self, country: str, parts: int, estimate_millionths: int) -> None:
        """Count one message."""
        one = self._found.setdefault(country, CountryCost())
        one.messages += 1
        one.parts += parts
        one.estimate_millionths += estimate_millionths

    def by_cost(self) -> dict[str, CountryCost]:
        """Return the sums, the most expensive country first."""
        ranked = sorted(self._found.items(), key=lambda one: (-one[1].estimate_millionths, -one[1].messages, one[0]))
        return dict(ranked)
