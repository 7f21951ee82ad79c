"""Keywords: the fields of a message as types, so that a type checker finds wrong names and values.

At run time the table in ``fields`` decides; a test compares the two.  None is the same as an absent field.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from typing import Literal, TypeAlias, TypedDict

Switch: TypeAlias = bool | Literal[0, 1]
OldType: TypeAlias = Literal[
    "SMS_NOKIA_OLOGO",
    "SMS_NOKIA_GLOGO",
    "SMS_NOKIA_CLEAN",
    "SMS_NOKIA_PICTURE",
    "SMS_NOKIA_RINGTONE",
    "SMS_NOKIA_RTTL",
    "SMS_NOKIA_RTTTL",
    "SMS_NOKIA_VCARD",
    "SMS_NOKIA_VCAL",
]
Names: TypeAlias = list[str] | tuple[str, ...] | AbstractSet[str]  # not str, which iterates over its characters


class MessageFields(TypedDict, total=False):
    """The optional fields of a message, as keywords of ``send``."""

    # fields of the gateway
    sender: str | None
    client_message_id: str | None
    max_message_parts: Literal[1, 2, 3] | None
    lane: Literal[1, 2, 3] | None
    callback: Literal[0, 1, 2, 3, 4, 5, 6, 7] | None
    escalate: Switch | None
    max_credits: float | Literal["0.8", "1", "1.5", "2", "2.5", "3"] | None
    type: Literal["text", "flash"] | OldType | None
    channel: Literal["sms", "whatsapp"] | None
    mo: Switch | None
    required_features: int | None  # a bit mask
    deliver_at: datetime | str | None  # aware, or ISO 8601 with a zone
    unicode: Switch | None
    udh: str | bytes | None  # str: hexadecimal
    binary: str | bytes | Switch | None  # str: hexadecimal; 1: the text is hexadecimal
    message_class: Literal[0, 1, 2, 3] | None  # of 8-bit data
    handset_receipt: Switch | None
    validity_period: int | None  # minutes
    bypass_dnc: Switch | None
    # fields of Threelane
    country: str | None
    template: str | None  # instead of a text: name, or name@version
    values: Mapping[str, str | float] | None  # of the template's placeholders
    delay: float | timedelta | None  # a number: seconds
    at_gateway: Switch | None
    cost_centre: str | None
    producer: str | None
    tags: Names | None
    batch: str | None
    legal_notice: Switch | None
    on_doubt: Literal["resend", "hold", "drop"] | None
    on_too_long: Literal["refuse", "cut"] | None
    look_alikes: Switch | None
    plain_accents: Switch | None
    repeat: Switch | None
    retry_every: float | None  # seconds
    stop_retrying_after: float | None  # seconds


class _Recipient(TypedDict):
    to: str


class MessageMapping(_Recipient, MessageFields, total=False):
    """A message as a mapping, for lists: ``to`` is required, and ``text`` or ``binary``."""

    text: str | None
