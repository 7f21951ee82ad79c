"""Scripted faults: what shall go wrong, with which request, how often."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import Annotated, Final

import msgspec

from sandbox.codes import STATUSES

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


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One fault as the control address takes it; a wrong combination is refused when it is read."""

    do: Do
    times: Annotated[int, msgspec.Meta(ge=1)] | None = 1  # null is for ever
    skip: Annotated[int, msgspec.Meta(ge=0)] = 0  # let so many go first
    to: Annotated[str, msgspec.Meta(pattern="^[0-9]*$")] = ""  # a number or a prefix; empty is any
    command: str = "sendmsg"
    probability: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0
    code: str = ""  # of `code` and `status`
    text: str = ""  # of `code`, when not its usual words
    seconds: Annotated[float, msgspec.Meta(ge=0)] = 0.0

    def __post_init__(self) -> None:
        if self.command not in COMMANDS:
            raise ValueError(f"command: not one of {', '.join(COMMANDS)}")
        if self.do is Do.CODE and not (len(self.code) == 3 and self.code.isascii() and self.code.isdecimal()):
            raise ValueError("code: not three digits")
        if self.do is Do.STATUS and self.code not in STATUSES:
            raise ValueError(f"code: not one of the statuses {', '.join(STATUSES)}")
        if self.do in _TIMED and not self.seconds:
            raise ValueError(f"seconds: has to be above 0 for {self.do}")


@dataclass(slots=True)
class Script:
    """What the faults hold for a request: at most one on the wire, one for all of it, some by recipient."""

    wire: Fault | None = None
    whole: Fault | None = None
    by_recipient: dict[str, list[Fault]] = field(default_factory=dict)

    def add(self, fault: Fault, recipient: str = "") -> None:
        """Gives the fault its place; of two on the wire or for all of it, the first stays."""
        if fault.do in TRANSPORT:
            self.wire = self.wire or fault
        elif recipient:
            self.by_recipient.setdefault(recipient, []).append(fault)
        else:
            self.whole = self.whole or fault


@dataclass(slots=True)
class _Armed:
    fault: Fault
    skip_left: int
    times_left: int | None
    hits: int = 0


class Faults:
    """The faults that are armed, in the order in which they were."""

    __slots__ = ("_armed", "_chance")

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._armed: list[_Armed] = []

    def __bool__(self) -> bool:
        return bool(self._armed)

    def arm(self, faults: Sequence[Fault]) -> None:
        """Arms faults behind those that are."""
        self._armed.extend(_Armed(fault, fault.skip, fault.times) for fault in faults)

    def clear(self) -> None:
        """Disarms all."""
        self._armed.clear()

    def script(self, command: str, recipients: Sequence[str]) -> Script:
        """Returns what is to go wrong with this request, and counts it as done."""
        script = Script()
        for armed in self._armed:
            fault = armed.fault
            if fault.command not in (command, EVERY_COMMAND):
                continue
            reached = [number for number in recipients if number.startswith(fault.to)]
            if fault.do in ON_MESSAGES or (fault.do is Do.CODE and fault.to):
                for number in reached:
                    if self._strikes(armed):
                        script.add(fault, number)
            elif (reached or not fault.to) and not self._has_place_taken(script, fault) and self._strikes(armed):
                script.add(fault)
        return script

    def as_json(self) -> list[dict[str, object]]:
        """Returns each armed fault with what is left of it and how often it struck."""
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

    @staticmethod
    def _has_place_taken(script: Script, fault: Fault) -> bool:
        """Tells whether an earlier fault already decides the same thing, so that this one keeps its turn."""
        return (script.wire if fault.do in TRANSPORT else script.whole) is not None
