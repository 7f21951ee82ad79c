"""Report: the values in the gateway's callbacks: statuses of our messages, and replies."""

from __future__ import annotations

import re
from enum import StrEnum

import msgspec

from threelane.contract import message_id
from threelane.store.states import Status
from threelane.worker.inbound.media import ReplyMedia

MAX_TEXT = 200
_MOST_DESCRIPTION = 80
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff]+")
_NUMBER = re.compile(r"\d{6,}")


class Foreign(StrEnum):
    """Whose message a status is of that is acknowledged and ignored, since Clickatell would repeat it."""

    OTHER_APPLICATION = "other_application"
    OTHER_ACCOUNT = "other_account"  # than that of the address at which the status came


class StatusReport(msgspec.Struct, frozen=True):
    """One status report: our id, the gateway's, the normalized status, the state that it means, and the charge.

    ``text`` keeps the rest of the report; ``unlisted`` marks a status that is in no table.  ``at`` is the gateway's
    time of the status (ms), 0 if the report has none.  ``estimated``: its API never reports a charge, so the estimate
    counts until another API reports one.
    """

    id: str
    gateway_id: str
    network_status: str
    to: Status | None
    charge_millionths: int | None = None
    text: str = ""
    unlisted: bool = False
    at: int = 0
    estimated: bool = False


class ReplyPart(msgspec.Struct, frozen=True):
    """The part of a long reply: the sender's reference, the number of parts, and the part's number from 1."""

    reference: int
    total: int
    number: int


class InboundReply(msgspec.Struct, frozen=True):
    """A reply: its gateway id, the person's number, our number, the text, its time (ms), and the files with it."""

    id: str
    from_: str
    to: str
    text: str
    at: int = 0
    network: str = ""
    related_id: str = ""
    related_gateway_id: str = ""
    part: ReplyPart | None = None
    media: tuple[ReplyMedia, ...] = ()


class Inbound(msgspec.Struct, frozen=True):
    """The contents of one request; empty for a probe, or for another application of the account.

    ``foreign`` counts its statuses of messages that cannot be ours.  ``problem`` is set if a part of the request was
    unreadable: process the rest, and let the gateway repeat it.
    """

    reports: tuple[StatusReport, ...] = ()
    replies: tuple[InboundReply, ...] = ()
    problem: str = ""
    foreign: int = 0


def our_id(raw: str) -> str:
    """Return a client message id in our form, or "" if it is not ours."""
    return message_id.as_sent(raw)


def printable(raw: str, most: int = 64) -> str:
    """Return a foreign text for the record: one line without control characters, of at most ``most`` characters."""
    return _UNPRINTABLE.sub(" ", raw).strip()[:most]


def report_text(status: str = "", timestamp: str = "", charge: str = "", description: str = "") -> str:
    """Return a report's original values as text; hides long numbers in a description, which may be phone numbers."""
    words = _NUMBER.sub("...", printable(description, 4 * _MOST_DESCRIPTION))[:_MOST_DESCRIPTION]
    written = {"status": status, "timestamp": timestamp, "charge": charge, "description": words}
    shown = (f"{name}={printable(value, _MOST_DESCRIPTION)}" for name, value in written.items() if value)
    return " ".join(shown)[:MAX_TEXT]
