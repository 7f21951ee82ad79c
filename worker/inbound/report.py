"""Report: what a request of the gateway's own accord says: statuses of our messages, and replies of people."""

from __future__ import annotations

import re

import msgspec

from threelane.store.states import Status

MAX_TEXT = 200
_MOST_DESCRIPTION = 80
_OUR_ID = re.compile(r"[0-9A-Fa-f]{32}")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff]+")
_NUMBER = re.compile(r"\d{6,}")


class StatusReport(msgspec.Struct, frozen=True):
    """One status: our id, the gateway's, the status as we write it, what it makes of the message, and the charge.

    ``text`` is what the record has no other place for; ``unlisted`` marks a status that no table of ours knows.
    """

    id: str
    gateway_id: str
    network_status: str
    to: Status | None
    charge_millionths: int | None = None
    text: str = ""
    unlisted: bool = False


class ReplyPart(msgspec.Struct, frozen=True):
    """The place of a reply in a longer one: the sender's reference, of how many parts, and which from 1 on."""

    reference: int
    total: int
    number: int


class InboundReply(msgspec.Struct, frozen=True):
    """What a person sent us: the gateway's id of it, from whom, to which number of ours, the text, and when (ms)."""

    id: str
    from_: str
    to: str
    text: str
    at: int = 0
    network: str = ""
    related_id: str = ""
    related_gateway_id: str = ""
    part: ReplyPart | None = None


class Inbound(msgspec.Struct, frozen=True):
    """All that one request says; nothing for a probe, and for what belongs to another application of the account.

    ``problem`` is set when a part of the request could not be read: take the rest, and let the gateway repeat it.
    """

    reports: tuple[StatusReport, ...] = ()
    replies: tuple[InboundReply, ...] = ()
    problem: str = ""


def our_id(raw: str) -> str:
    """Return a client message id as we write it, or nothing when it is none of ours."""
    return raw.lower() if _OUR_ID.fullmatch(raw) else ""


def printable(raw: str, most: int = 64) -> str:
    """Return a foreign word for the record: one line, nothing that a terminal obeys, and no longer than told."""
    return _UNPRINTABLE.sub(" ", raw).strip()[:most]


def report_text(status: str = "", timestamp: str = "", charge: str = "", description: str = "") -> str:
    """Return what a report said, as it was written; long numbers in a description may be somebody's, and are hidden."""
    words = _NUMBER.sub("...", printable(description, 4 * _MOST_DESCRIPTION))[:_MOST_DESCRIPTION]
    written = {"status": status, "timestamp": timestamp, "charge": charge, "description": words}
    shown = (f"{name}={printable(value, _MOST_DESCRIPTION)}" for name, value in written.items() if value)
    return " ".join(shown)[:MAX_TEXT]
