"""An order: a send request after parsing, independent of its API."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from threelane.sandbox.faults import Do, ScriptedFault
from threelane.sandbox.text import TextEncoding


@dataclass(frozen=True, slots=True)
class Order:
    """One valid text for one or more recipients."""

    api: str
    client_id: str
    sender: str
    text: str  # as the handset shows it; hex when the encoding is 8bit
    encoding: TextEncoding
    parts: int
    queue: int
    callback: int  # the mask of statuses to push
    due_at: float | None  # Unix seconds; None sends at once
    max_credits: Decimal | None  # highest accepted price of a part
    options: Mapping[str, object]  # every parameter as sent, without the credentials
    channel: str = "sms"
    bypasses_dnc: bool = False  # skips the do-not-contact list; Central REST only
    request_id: str = ""  # of Platform REST: the same for all recipients of a request


@dataclass(frozen=True, slots=True)
class Effects:
    """The effects of faults on an accepted message."""

    ends_in: str = "004"
    ends_later_seconds: float = 0.0
    hidden_seconds: float = 0.0  # delay until look-ups find it
    unknown_id: bool = False  # look-ups by its gateway id find nothing
    receipts: frozenset[Do] = field(default=frozenset())
    faults: frozenset[Do] = field(default=frozenset())  # all of them, those on the wire too
    receipts_late_seconds: float = 0.0


ORDINARY: Final = Effects()


def effects(faults: Sequence[ScriptedFault]) -> Effects:
    """Returns the combined effects of these faults; of two of a kind the first applies."""
    first = {fault.do: fault for fault in reversed(faults)}
    if not first:
        return ORDINARY
    status, lag, late = first.get(Do.STATUS), first.get(Do.LOOKUP_LAG), first.get(Do.RECEIPTS_LATE)
    return Effects(
        ends_in=status.code if status else ORDINARY.ends_in,
        ends_later_seconds=status.seconds if status else 0.0,
        hidden_seconds=math.inf if Do.HIDE in first else lag.seconds if lag else 0.0,
        unknown_id=Do.UNKNOWN_ID in first,
        receipts=frozenset(first) | ({Do.RECEIPTS_LOST} if Do.HIDE in first else set()),
        faults=frozenset(first),
        receipts_late_seconds=late.seconds if late else 0.0,
    )
