"""Memory budget: bounds the octets that the requests of a process hold together."""

from __future__ import annotations

from threelane.interfaces.api.fair_share import FairShare


class MemoryBudget(FairShare):
    """A number of octets, of which one holder (a producer) may have half."""

    def __init__(self, octets: int) -> None:
        """Share out so many."""
        super().__init__(octets, octets // 2)
