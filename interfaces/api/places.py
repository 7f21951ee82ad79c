"""Places: how many long requests are at work at once, shared between producers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from threelane.interfaces.api.fair_share import FairShare, NoRoom


class NoPlace(Exception):
    """All places were taken until the deadline."""


class FairPlaces(FairShare):
    """A number of places, of which one holder (a producer) may have some; the holder with the fewest is next."""

    @asynccontextmanager
    async def place(self, holder: str, seconds: float) -> AsyncIterator[None]:
        """Hold a place; raises NoPlace if none becomes free in time."""
        lease = self.lease(holder)
        try:
            await lease.resize(1, seconds)
        except NoRoom:
            raise NoPlace from None
        try:
            yield
        finally:
            lease.release()
