"""Diverted: where a message that a stand-by took over came from: ``<account> <attempts there> <when, ms> <why>``."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Why(StrEnum):
    """Why an account cannot send."""

    HOLD = "hold"  # the account is on hold: no credit, a limit, frozen
    UNREACHABLE = "unreachable"  # its breaker is open, or none of its workers reaches the gateway
    REFUSED_LOGIN = "refused_login"  # the gateway refuses the credentials of all its workers
    NO_WORKER = "no_worker"  # none reports


class Diverted(NamedTuple):
    """The account that a message left, its attempts there that counted, when it left (ms), and why."""

    account: str
    attempts: int
    at: int
    why: str


def parse(text: str) -> Diverted | None:
    """Return what a record's field says; None for none, or for one that is damaged."""
    words = text.split(" ")
    if len(words) != 4 or not (words[1].isdigit() and words[2].isdigit()):
        return None
    return Diverted(words[0], int(words[1]), int(words[2]), words[3])
