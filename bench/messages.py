"""Messages: the messages every system sends: one part of 100 characters, each to a different number."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, islice

TEXT = "Your parcel is on its way and comes to your door today between two and four o'clock. Reply STOP to end."[:100]
_numbers = count()


def messages(most: int) -> Iterator[dict[str, str]]:
    """Yield messages as a caller passes them, to numbers that this process has not used yet."""
    for number in islice(_numbers, most):
        yield {"to": f"2783{number % 10_000_000:07d}", "text": TEXT}
