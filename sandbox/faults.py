"""Scripted faults: what fails, for which request, how often."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import Annotated, Final, NamedTuple

import msgspec

from threelane.sandbox.apis import ApiName
from threelane.sandbox.codes import STATUSES

EVERY_COMMAND: Final = "*"
COMMANDS: Final = (
    *(
        "auth",
        "ping",
        "sendmsg",
        "querymsg",
        "getmsgcharge",
        "delmsg",
        "getbalance",
        "token_pay",
        "startbatch",
        "endbatch",
        "routecoverage",
    ),
    EVERY_COMMAND,
)


class Do(StrEnum):
    """The kinds of fault."""

    CODE = "code"
    LOSE_ANSWER = "lose_answer"
    CUT_BEFORE = "cut_before"
    CUT_MIDDLE = "cut_middle"
    SLOW = "slow"
    SLOW_BEFORE = "slow_before"
    HTML_502 = "html_502"
    HTML_502_AFTER = "html_502_after"
    GARBAGE = "garbage"
    GARBAGE_BEFORE = "garbage_before"
    PAGE = "page"
    PAGE_AFTER = "page_after"
    RESET = "reset"
    RESET_AFTER = "reset_after"
    HANG = "hang"
    HANG_AFTER = "hang_after"
    CUT_AT = "cut_at"
    UNASKED = "unasked"
    HIDE = "hide"
    CODE_AFTER = "code_after"
    RECEIPTS_LATE = "receipts_late"
    RECEIPTS_DOUBLED = "receipts_doubled"
    RECEIPTS_OUT_OF_ORDER = "receipts_out_of_order"
    RECEIPTS_LOST = "receipts_lost"
    STATUS = "status"
    LOOKUP_LAG = "lookup_lag"
    UNKNOWN_ID = "unknown_id"


ON_MESSAGES: Final = frozenset(
    {
        *(Do.RECEIPTS_LATE, Do.RECEIPTS_DOUBLED, Do.RECEIPTS_OUT_OF_ORDER, Do.RECEIPTS_LOST),
        *(Do.STATUS, Do.LOOKUP_LAG, Do.UNKNOWN_ID, Do.CODE_AFTER),
    }
)
TRANSPORT: Final = frozenset(Do) - ON_MESSAGES - {Do.CODE}
NOT_TAKEN: Final = frozenset({Do.CUT_BEFORE, Do.HTML_502, Do.GARBAGE_BEFORE, Do.PAGE, Do.RESET, Do.HANG})
_CODED: Final = frozenset({Do.CODE, Do.CODE_AFTER})
_PAGES: Final = frozenset({Do.PAGE, Do.PAGE_AFTER})
_TIMED: Final = frozenset({Do.SLOW, Do.SLOW_BEFORE, Do.RECEIPTS_LATE, Do.LOOKUP_LAG})


class RetryAfter(StrEnum):
    """The two forms of the header `Retry-After`."""

    SECONDS = "seconds"
    DATE = "date"


class ScriptedFault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One fault as the control API accepts it; an invalid combination is refused when it is parsed."""

    do: Do
    times: Annotated[int, msgspec.Meta(ge=1)] | None = 1  # null repeats without limit
    skip: Annotated[int, msgspec.Meta(ge=0)] = 0  # matching requests to let through first
    to: Annotated[str, msgspec.Meta(pattern="^[0-9]*$")] = ""  # a number or a prefix; empty matches any
    command: str = "sendmsg"
    api: ApiName | None = None  # None matches any
    probability: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0
    lasts_seconds: Annotated[float, msgspec.Meta(gt=0)] | None = None  # from when it was armed; null has no end
    code: str = ""  # of `code`, `code_after` and `status`
    text: str = ""  # of `code` and `code_after`, when not the usual text
    seconds: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    http: Annotated[int, msgspec.Meta(ge=200, le=599)] = 503  # of a page
    retry_after_seconds: Annotated[int, msgspec.Meta(ge=0)] | None = None  # of a page; null sends no Retry-After
    retry_after: RetryAfter = RetryAfter.SECONDS
    octets: Annotated[int, msgspec.Meta(ge=0)] | None = None  # of `cut_at`: kept of the body; null draws a number
    announced: bool = True  # of `cut_at`: the answer has a Content-Length, that of the whole body

    def __post_init__(self) -> None:
        if self.command not in COMMANDS:
            raise ValueError(f"command: not one of {', '.join(COMMANDS)}")
        if self.do in _CODED and not (len(self.code) == 3 and self.code.isascii() and self.code.isdecimal()):
            raise ValueError("code: not three digits")
        if self.do is Do.STATUS and self.code not in STATUSES:
            raise ValueError(f"code: not one of the statuses {', '.join(STATUSES)}")
        if self.do in _TIMED and not self.seconds:
            raise ValueError(f"seconds: must be above 0 for {self.do}")
        if self.retry_after_seconds is not None and self.do not in _PAGES:
            raise ValueError("retry_after_seconds: only a page has the header")


class Target(NamedTuple):
    """One operation of a request: a command, and for a send one recipient."""

    command: str
    to: str = ""
    client_id: str = ""


@dataclass(slots=True)
class FaultScript:
    """The faults of one request: at most one on the wire, one for the whole request, any number by target."""

    wire: ScriptedFault | None = None
    whole: ScriptedFault | None = None
    by_place: dict[int, list[ScriptedFault]] = field(default_factory=dict)  # by the index of the target

    def add(self, fault: ScriptedFault, index: int) -> None:
        """Adds a fault for one target; of two faults on the wire the first is kept."""
        if fault.do in TRANSPORT:
            self.wire = self.wire or fault
        else:
            self.by_place.setdefault(index, []).append(fault)

    def at(self, index: int) -> Sequence[ScriptedFault]:
        """Returns the faults of the target at that index."""
        return self.by_place.get(index, ())


@dataclass(slots=True)
class _Armed:
    fault: ScriptedFault
    skip_left: int
    times_left: int | None
    until: float | None
    hits: int = 0


class Faults:
    """The armed faults, in the order they were armed."""

    __slots__ = ("_armed", "_chance", "_clock")

    def __init__(self, chance: Random, clock: Callable[[], float] = time.time) -> None:
        self._chance = chance
        self._clock = clock
        self._armed: list[_Armed] = []

    def __bool__(self) -> bool:
        return bool(self._armed)

    def arm(self, faults: Sequence[ScriptedFault]) -> None:
        """Arms faults after those already armed."""
        now = self._clock()
        for fault in faults:
            until = None if fault.lasts_seconds is None else now + fault.lasts_seconds
            self._armed.append(_Armed(fault, fault.skip, fault.times, until))

    def clear(self) -> None:
        """Disarms every fault."""
        self._armed.clear()

    def script(self, api: str, targets: Sequence[Target], apart: bool = False) -> FaultScript:
        """Returns the faults of this request, and counts each as used.

        A code without a number applies to the whole request, or to one target when `apart` is set.
        """
        script = FaultScript()
        for armed in self._armed:
            fault = armed.fault
            reached = [index for index, target in enumerate(targets) if _reaches(fault, api, target)]
            if not reached:
                continue
            if fault.do in TRANSPORT:
                if script.wire is None and self._strikes(armed):  # else this fault keeps its count
                    script.wire = fault
            elif fault.do is Do.CODE and not (fault.to or apart):
                if script.whole is None and self._strikes(armed):
                    script.whole = fault
            else:
                for index in reached:
                    if self._strikes(armed):
                        script.add(fault, index)
        return script

    def as_json(self) -> list[dict[str, object]]:
        """Returns each armed fault with its remaining counts, its hits and when it ends."""
        return [
            {
                **msgspec.to_builtins(armed.fault),
                "skip_left": armed.skip_left,
                "times_left": armed.times_left,
                "until": armed.until,
                "hits": armed.hits,
            }
            for armed in self._armed
        ]

    def _strikes(self, armed: _Armed) -> bool:
        if armed.times_left == 0 or (armed.until is not None and self._clock() >= armed.until):
            return False
        if armed.skip_left:
            armed.skip_left -= 1
            return False
        if armed.fault.probability < 1 and self._chance.random() >= armed.fault.probability:
            return False
        if armed.times_left is not None:
            armed.times_left -= 1
        armed.hits += 1
        return True


def _reaches(fault: ScriptedFault, api: str, target: Target) -> bool:
    if fault.api not in (None, api) or fault.command not in (target.command, EVERY_COMMAND):
        return False
    if not target.to and fault.do in ON_MESSAGES:
        return False
    return target.to.startswith(fault.to)
