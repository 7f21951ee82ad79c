"""Scripted faults: what fails, for which request, how often."""

from collections.abc import Sequence
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
    RECEIPTS_LATE = "receipts_late"
    RECEIPTS_DOUBLED = "receipts_doubled"
    RECEIPTS_OUT_OF_ORDER = "receipts_out_of_order"
    RECEIPTS_LOST = "receipts_lost"
    STATUS = "status"
    LOOKUP_LAG = "lookup_lag"


ON_MESSAGES: Final = frozenset(
    {
        *(Do.RECEIPTS_LATE, Do.RECEIPTS_DOUBLED, Do.RECEIPTS_OUT_OF_ORDER, Do.RECEIPTS_LOST),
        *(Do.STATUS, Do.LOOKUP_LAG),
    }
)
TRANSPORT: Final = frozenset(Do) - ON_MESSAGES - {Do.CODE}
NOT_TAKEN: Final = frozenset({Do.CUT_BEFORE, Do.HTML_502, Do.GARBAGE_BEFORE})
_TIMED: Final = frozenset({Do.SLOW, Do.SLOW_BEFORE, Do.RECEIPTS_LATE, Do.LOOKUP_LAG})


class ScriptedFault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One fault as the control API accepts it; an invalid combination is refused when it is parsed."""

    do: Do
    times: Annotated[int, msgspec.Meta(ge=1)] | None = 1  # null repeats without limit
    skip: Annotated[int, msgspec.Meta(ge=0)] = 0  # matching requests to let through first
    to: Annotated[str, msgspec.Meta(pattern="^[0-9]*$")] = ""  # a number or a prefix; empty matches any
    command: str = "sendmsg"
    api: ApiName | None = None  # None matches any
    probability: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0
    code: str = ""  # of `code` and `status`
    text: str = ""  # of `code`, when not the usual text
    seconds: Annotated[float, msgspec.Meta(ge=0)] = 0.0

    def __post_init__(self) -> None:
        if self.command not in COMMANDS:
            raise ValueError(f"command: not one of {', '.join(COMMANDS)}")
        if self.do is Do.CODE and not (len(self.code) == 3 and self.code.isascii() and self.code.isdecimal()):
            raise ValueError("code: not three digits")
        if self.do is Do.STATUS and self.code not in STATUSES:
            raise ValueError(f"code: not one of the statuses {', '.join(STATUSES)}")
        if self.do in _TIMED and not self.seconds:
            raise ValueError(f"seconds: must be above 0 for {self.do}")


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
    hits: int = 0


class Faults:
    """The armed faults, in the order they were armed."""

    __slots__ = ("_armed", "_chance")

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._armed: list[_Armed] = []

    def __bool__(self) -> bool:
        return bool(self._armed)

    def arm(self, faults: Sequence[ScriptedFault]) -> None:
        """Arms faults after those already armed."""
        self._armed.extend(_Armed(fault, fault.skip, fault.times) for fault in faults)

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
        """Returns each armed fault with its remaining counts and its hits."""
        return [
            {
                **msgspec.to_builtins(armed.fault),
                "skip_left": armed.skip_left,
                "times_left": armed.times_left,
                "hits": armed.hits,
            }
            for armed in self._armed
        ]

    def _strikes(self, armed: _Armed) -> bool:
        if armed.times_left == 0:
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
