"""Delivery: one event on its way to one webhook, as it stands in Redis."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec


class Delivery(msgspec.Struct, frozen=True):
    """The event's JSON, byte for byte as it is posted; how often it was tried, and why that failed last."""

    event: msgspec.Raw
    tries: int = 0
    reason: str = ""

    def failed(self, reason: str) -> Delivery:
        """Return it after one more try."""
        return Delivery(self.event, self.tries + 1, reason)

    def wait_ms(self, delays_seconds: Sequence[float]) -> int | None:
        """Return how long to wait before the next try; None when there is none left."""
        return int(delays_seconds[self.tries - 1] * 1000) if self.tries <= len(delays_seconds) else None


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Delivery).decode


def lua(name: str) -> str:
    """Return the script of that name beside this module."""
    return Path(__file__).with_name(f"{name}.lua").read_text(encoding="utf-8")
