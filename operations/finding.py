"""Finding: the result of one check by ``threelane check`` or ``threelane doctor``."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from threelane.contract.refusal import Owner


class Grade(StrEnum):
    """The severity of a finding."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


class Finding(NamedTuple):
    """The result of one check; ``step`` is what to do about it, ``owner`` who can do it."""

    grade: Grade
    what: str
    detail: str
    step: str = ""
    owner: str = Owner.OPERATOR
