"""Finding: one thing that check or doctor looked at."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from threelane.contract.refusal import Owner


class Grade(StrEnum):
    """How a finding is to be taken."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


class Finding(NamedTuple):
    """One thing that was looked at; ``step`` is what to do about it, ``owner`` who can."""

    grade: Grade
    what: str
    told: str
    step: str = ""
    owner: str = Owner.OPERATOR
