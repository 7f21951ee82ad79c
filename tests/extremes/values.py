"""Values: the least and the greatest value of a field, and those one beyond, found by trying its parser.

Nothing here names a limit: a new field, another range or another word is found as the register declares it.
"""

from __future__ import annotations

import inspect
import re
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from threelane.contract.fields import FieldSpec
from threelane.sandbox import central_order

IsAccepted = Callable[[Any], bool]

_STEPS = sorted(
    {*range(-2, 41), *(2**power + more for power in range(5, 22) for more in (-1, 0, 1)), 1440, 7 * 1440, 9 * 1440}
    | {limit + more for limits in central_order._RANGES.values() for limit in limits for more in (-1, 0, 1)}
)
_TENTHS = [tenth / 10 for tenth in range(-1, 45)]
_LENGTHS = [0, 1, 2, 3, 7, 11, 12, 16, 17, 32, 33, 64, 65, 140, 255, 256, 512, 10_000, 30_000, 100_002, 200_002]
_SHORT = 11  # so many lengths: a shape of which none is accepted is not of this field
_DAY = 24 * 3600
_OFFSETS = [-_DAY, -3600, -301, -2, 60, 3600, _DAY, 6 * _DAY, 7 * _DAY - 60, 7 * _DAY + 60, 8 * _DAY, 9 * _DAY]
"""Seconds from now; a minute around a limit, since a moment passes between intake and gateway."""

# fmt: off
SHAPES: tuple[Callable[[int], str], ...] = (  # a length -> a text of that length
    lambda length: "a" * length,
    lambda length: "1" * length,
    lambda length: "é" * length,
    lambda length: "0" + "1" * (length - 1) if length else "",
    lambda length: "a" + " " * (length - 2) + "a" if length > 1 else "",
    lambda length: "A._&-"[:length] + "b" * (length - 5),
    lambda length: "4a" * (length // 2),  # octets
    lambda length: f"{min(length // 2 - 1, 255):02x}" + "00" * (length // 2 - 1) if length > 1 else "",  # a header
    *((lambda length, code=code: code + "8" * (length - len(code))) for code in ("1", "27", "44", "49", "290", "881")),
)
# fmt: on


def of(field: FieldSpec, is_accepted: IsAccepted) -> list[Any]:
    """Return the values at the edges of what a field accepts, on both sides, its example, and times around now."""
    found: list[Any] = [field.example]
    if "integer" in field.json_types or "number" in field.json_types:
        found += edges(_STEPS, is_accepted)
        found += masks(is_accepted)
    if "number" in field.json_types:
        found += edges(_TENTHS, is_accepted, step=0.1)
    if "boolean" in field.json_types:
        found += [True, False]
    if "string" in field.json_types:
        found += words(field)
        for shape in SHAPES:
            found += of_shape(shape, is_accepted)
    now = int(time.time())
    moments = [now + offset for offset in _OFFSETS]
    for spelled in (_iso, int, str):
        if any(is_accepted(spelled(moment)) for moment in moments):
            found += map(spelled, moments)
    return list({(type(value), repr(value)): value for value in found}.values())


def of_shape(shape: Callable[[int], str], is_accepted: IsAccepted) -> list[str]:
    """Return the texts of a shape around the lengths at which a field's verdict changes."""
    if not any(is_accepted(shape(length)) for length in _LENGTHS[:_SHORT]):
        return [shape(1)]
    around = edges(_LENGTHS, lambda length: is_accepted(shape(length)))
    return [shape(length) for length in around[1:-1] or around]


def edges(steps: Iterable[Any], is_accepted: IsAccepted, step: float = 1) -> list[Any]:
    """Return the neighbours of each change between accepted and refused, and the ends of the steps."""
    ordered = list(steps)
    verdicts = [is_accepted(one) for one in ordered]
    found = [ordered[0], ordered[-1]]
    for low, high, is_low, is_high in zip(ordered, ordered[1:], verdicts, verdicts[1:], strict=False):
        if is_low != is_high:
            found += _between(low, high, is_low, is_accepted, step)
    return sorted(set(found))


def _between(low: Any, high: Any, is_low: bool, is_accepted: IsAccepted, step: float) -> Iterator[Any]:
    """Yield the two neighbours between which the verdict changes."""
    while high - low > step * 1.5:
        middle = (low + high) // 2 if step == 1 else (low + high) / 2
        if is_accepted(middle) == is_low:
            low = middle
        else:
            high = middle
    yield from (low, high)


def masks(is_accepted: IsAccepted) -> list[int]:
    """Return the sum of all bits that are accepted alone, and each bit next to one of them."""
    bits = [1 << power for power in range(18)]
    accepted = [bit for bit in bits if is_accepted(bit)]
    beside = [bit for bit in bits if bit not in accepted and {bit // 2, bit * 2} & set(accepted)]
    return [sum(accepted), *beside]


def words(field: FieldSpec) -> list[str]:
    """Return the words that a field's parser or its description names, those of the sandbox, and words of no kind."""
    named = set(re.findall(r"`([A-Za-z_]+)`", field.meaning))
    named |= {word for value in inspect.getclosurevars(field.parse).nonlocals.values() for word in _texts(value)}
    if named & {"flash", "text"}:
        named |= central_order._MESSAGE_TYPES
    cased = {word.upper() for word in named} | {word.lower() for word in named}
    return [*sorted(named | cased), "", "none", "SMS_NOKIA"]


def _iso(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple | list | set | frozenset | dict):
        yield from (one for one in value if isinstance(one, str))
