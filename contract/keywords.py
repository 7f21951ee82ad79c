"""Keywords: the fields of a message as types, so that a type checker finds a wrong name or value before it runs.

The names are those of the table in ``fields``, which alone decides at run time; a test holds the two together.  None
is the same as leaving a field out.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from typing import Literal, TypeAlias, TypedDict

Switch: TypeAlias = bool | Literal[0, 1]
Names: TypeAlias = list[str] | tuple[str, ...] | AbstractSet[str]  # a text would be a list of its letters


class MessageFields(TypedDict, total=False):
    """What a message may have besides its recipient and its text, as keywords of ``send``."""

    # what the gateway offers
    sender: str | None
    client_message_id: str | None
    max_message_parts: Literal[1, 2, 3] | None
    lane: Literal[1, 2, 3] | None
    callback: Literal[0, 1, 2, 3, 4, 5, 6, 7] | None
    escalate: Switch | None
    max_credits: float | Literal["0.8", "1", "1.5", "2", "2.5", "3"] | None
    type: Literal["text", "flash"] | None
    channel: Literal["sms", "whatsapp"] | None
    mo: Switch | None
    required_features: int | None  # a bit mask
    deliver_at: datetime | str | None  # aware, or ISO 8601 with its zone
    unicode: Switch | None
    udh: str | bytes | None  # a text is hexadecimal
    binary: str | bytes | None  # a text is hexadecimal
    validity_period: int | None  # minutes
    bypass_dnc: Switch | None
    # what Threelane adds
    delay: float | timedelta | None  # a number is seconds
    at_gateway: Switch | None
    cost_centre: str | None
    producer: str | None
    tags: Names | None
    batch: str | None
    legal_notice: Switch | None
    on_doubt: Literal["resend", "hold", "drop"] | None
    on_too_long: Literal["refuse", "cut"] | None
    look_alikes: Switch | None
    retry_every: float | None  # seconds
    stop_retrying_after: float | None  # seconds


class _Recipient(TypedDict):
    to: str


class MessageMapping(_Recipient, MessageFields, total=False):
    """A whole message as a mapping, for lists: ``to`` is needed, and ``text`` or ``binary``."""

    text: str | None
