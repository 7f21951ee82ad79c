"""Magic recipients: numbers of eleven digits that encode the outcome.

| number          | outcome                                                                              |
|-----------------|--------------------------------------------------------------------------------------|
| `279991 CCC NN` | returns error CCC to the first NN attempts, then accepts; NN=00 always               |
| `279991 130 NN` | returns 130 with a time, until NN seconds (at least 1) after the first attempt       |
| `279992 SSS NN` | accepted; ends in status SSS (001-014), NN seconds later than usual                  |
| `279993 001 NN` | accepts the message, never responds, for the first NN attempts; NN=00 always         |
| `279993 002 NN` | cuts the connection before the request is handled; NN as above, also below           |
| `279993 003 NN` | accepts the message, cuts the connection in the middle of the response               |
| `279993 004 NN` | returns HTTP 502 with an HTML page, does not accept the message                      |
| `279993 005 NN` | accepts the message, returns HTTP 502 with an HTML page                              |
| `279993 006 NN` | accepts the message, responds NN seconds later; every time                           |
| `279993 007 NN` | accepts the message, returns unreadable text                                         |
| `279994 001 NN` | pushes its receipts NN seconds late                                                  |
| `279994 002 00` | pushes every receipt twice                                                           |
| `279994 003 00` | pushes the final receipt before the 003                                              |
| `279994 004 00` | pushes no receipt                                                                    |

Attempts are counted by client id and number, or by number without a client id. Any other number is an
ordinary recipient, including a number of these ranges that matches no line.
"""

import math
from functools import lru_cache
from typing import Final, NamedTuple

from threelane.sandbox.codes import ERRORS, STATUSES
from threelane.sandbox.faults import Do, ScriptedFault

RANGE: Final = "27999"
_DIGITS: Final = 11
_ALWAYS: Final = 0
_LIMIT_REACHED: Final = "130"

_TRANSPORT: Final = {
    "001": Do.LOSE_ANSWER,
    "002": Do.CUT_BEFORE,
    "003": Do.CUT_MIDDLE,
    "004": Do.HTML_502,
    "005": Do.HTML_502_AFTER,
    "006": Do.SLOW,
    "007": Do.GARBAGE,
}
_RECEIPTS: Final = {
    "001": Do.RECEIPTS_LATE,
    "002": Do.RECEIPTS_DOUBLED,
    "003": Do.RECEIPTS_OUT_OF_ORDER,
    "004": Do.RECEIPTS_LOST,
}


class NumberRule(NamedTuple):
    """The fault encoded in a number."""

    fault: ScriptedFault
    first_attempts: int = _ALWAYS


@lru_cache(maxsize=10_000)
def rule(number: str) -> NumberRule | None:
    """Returns the rule of a number, or None for an ordinary one."""
    if len(number) != _DIGITS or not number.startswith(RANGE) or not number.isdecimal():
        return None
    kind, code, count = number[5], number[6:9], int(number[9:])
    if kind == "1" and code != "000":
        return NumberRule(ScriptedFault(Do.CODE, code=code, seconds=max(count, 1)), count)
    if kind == "2" and code in STATUSES:
        return NumberRule(ScriptedFault(Do.STATUS, code=code, seconds=count))
    if kind == "3" and code in _TRANSPORT:
        do = _TRANSPORT[code]
        if do is Do.SLOW:
            return NumberRule(ScriptedFault(do, seconds=count)) if count else None
        return NumberRule(ScriptedFault(do), count)
    if kind == "4" and code in _RECEIPTS:
        do = _RECEIPTS[code]
        if do is Do.RECEIPTS_LATE:
            return NumberRule(ScriptedFault(do, seconds=count)) if count else None
        return NumberRule(ScriptedFault(do))
    return None


class Numbers:
    """Counts the attempts to each magic number."""

    __slots__ = ("_attempts", "_refused_until")

    def __init__(self) -> None:
        self._attempts: dict[tuple[str, str], int] = {}
        self._refused_until: dict[tuple[str, str], int] = {}

    def clear(self) -> None:
        """Resets every count."""
        self._attempts.clear()
        self._refused_until.clear()

    def fault(self, number: str, client_id: str, now: float) -> ScriptedFault | None:
        """Returns the fault of this attempt, and counts it; None when the attempt succeeds."""
        found = rule(number)
        if found is None:
            return None
        fault, key = found.fault, (client_id, number)
        if fault.do is Do.CODE and fault.code == _LIMIT_REACHED:
            until = self._refused_until.setdefault(key, math.ceil(now + fault.seconds))
            limit_text = f"{ERRORS[_LIMIT_REACHED]} {until}"
            return ScriptedFault(Do.CODE, code=_LIMIT_REACHED, text=limit_text) if now < until else None
        if found.first_attempts == _ALWAYS:
            return fault
        attempt = self._attempts[key] = self._attempts.get(key, 0) + 1
        return fault if attempt <= found.first_attempts else None
