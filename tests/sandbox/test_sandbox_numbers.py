"""Magic recipients: the outcome can be read from the number."""

from collections.abc import Callable
from typing import Any

import pytest

from threelane.sandbox.codes import STATUSES
from threelane.sandbox.numbers import Numbers
from threelane.sandbox.running import Running

WaitUntil = Callable[[Callable[[], Any]], Any]


@pytest.mark.parametrize("code", ["122", "301", "777", "901", "003"])
def test_279991_answers_its_code_always_or_to_the_first_attempts(sandbox: Running, code: str) -> None:
    """Counted by client id when there is one, else by number; nothing is charged before it is taken."""
    assert [sandbox.send(f"279991{code}00")[:8] for _ in range(3)] == [f"ERR: {code}"] * 3
    for parameters in ({}, {"climsgid": "a"}, {"climsgid": "b"}):
        answers = [sandbox.send(f"279991{code}02", **parameters)[:8] for _ in range(3)]
        assert [answer[:3] for answer in answers] == ["ERR", "ERR", "ID:"]
    summary = sandbox.control("GET", "ledger?summary=1")["summary"]
    assert (summary["messages"], summary["charged"], summary["refused"]) == (3, "2.400", {code: 9})


def test_279991130_refuses_until_the_time_that_it_names() -> None:
    """Asking again does not move that time, and at that time it is over."""
    numbers, number, now = Numbers(), "27999113005", 1000.25
    first = numbers.fault(number, "", now)
    again = numbers.fault(number, "", now + 3)
    assert first
    assert again
    assert first.text == again.text == "Maximum MT limit exceeded until 1006"
    assert numbers.fault(number, "", 1006) is None


@pytest.mark.parametrize("status", list(STATUSES))
def test_279992_ends_in_its_status(sandbox: Running, wait_until: WaitUntil, status: str) -> None:
    """Also in one that is not final, and without a charge when it expired or was cancelled."""
    id = sandbox.send(f"279992{status}00").removeprefix("ID: ")
    wait_until(lambda: sandbox.command("querymsg", apimsgid=id).endswith(f"Status: {status}"))
    balance = "100000.000" if status in ("006", "010") else "99999.200"
    assert sandbox.command("getbalance") == f"Credit: {balance}"


def test_279993006_is_late_by_its_seconds() -> None:
    """The message is taken meanwhile."""
    fault = Numbers().fault("27999300609", "", 0)
    assert fault
    assert (fault.do, fault.seconds) == ("slow", 9)


@pytest.mark.parametrize(
    "number", ["27999100001", "27999201500", "27999300800", "27999400500", "27999500000", "2799910000100"]
)
def test_a_number_that_matches_no_line_is_ordinary(sandbox: Running, number: str) -> None:
    """So a whole range can be used for load."""
    assert sandbox.send(number).startswith("ID: ")
