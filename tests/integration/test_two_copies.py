"""Two copies: of a message that was sent again from doubt, the gateway may have both, under two ids of its own.

A report ends the message only if it is of the attempt that counts, or says that a copy was delivered; the charges of
both copies count.
"""

from __future__ import annotations

import pytest

from tests.integration.test_returned import (
    DAY,
    FIRST,
    LOST,
    MINUTE,
    SECOND,
    Gateway,
    accepted,
    claim,
    look_up,
    record,
    report,
    settle,
    spent,
    state,
    system,
)
from tests.properties.system import System
from threelane.contract.prices import CREDIT
from threelane.store import budgets
from threelane.store.budgets import Budget
from threelane.worker.account import hold
from threelane.worker.gateway.outcome import Known, LookUp
from threelane.worker.receipt.poll import poll

__all__ = ["system"]  # a fixture
BAD = ["012", "014", "007", "010", "006"]


def resent(system: System, name: str = "sent", **fields: object) -> str:
    """Return a message that was sent again from doubt, with its second attempt in a state."""
    message = system.take(**fields)
    assert settle(system, claim(system, message), LOST)
    system.now += DAY // 2
    system.start_look_up().answer({message: LookUp(Known.NOT_FOUND)})
    assert "queued" == record(system, message)["status"]
    state(system, message, name)
    return message


@pytest.mark.parametrize("status", BAD)
@pytest.mark.parametrize("name", ["sending", "in_doubt", "sent"])
def test_a_bad_end_of_the_first_copy_does_not_end_the_second(system: System, name: str, status: str) -> None:
    """It was hidden from look-ups; its producer would send a third copy of what the person gets."""
    message = resent(system, name)
    assert ["earlier"] * 2 == [report(system, message, status, FIRST) for _ in range(2)]
    assert (name, []) == (record(system, message)["status"], system.outcomes(message))
    assert {} == hold.holds(system.sync, system.now)
    assert "moved" == report(system, message, "004", SECOND)
    assert ("delivered", SECOND) == (record(system, message)["status"], record(system, message)["gateway_id"])


def test_the_message_ends_badly_when_its_second_copy_does(system: System) -> None:
    """That one is known by the id of its acceptance."""
    message = resent(system)
    assert ["earlier", "moved"] == [report(system, message, "007", one) for one in (FIRST, SECOND)]
    assert "undelivered" == record(system, message)["status"]


@pytest.mark.parametrize("name", ["queued", "sending", "in_doubt", "sent"])
def test_a_delivery_of_the_first_copy_is_that_of_the_message(system: System, name: str) -> None:
    """Its person has the text, also if another report of this copy came before."""
    message = resent(system, name)
    report(system, message, "003", FIRST)
    assert "moved" == report(system, message, "004", FIRST)
    assert "delivered" == record(system, message)["status"]
    if name == "sent":
        assert SECOND == record(system, message)["gateway_id"], "by which the second copy's charge is known"


def test_a_bad_end_without_a_gateway_id_ends_neither_copy(system: System) -> None:
    """It may be of either; a look-up shows which."""
    message = resent(system)
    assert "earlier" == report(system, message, "007", "")
    assert "sent" == record(system, message)["status"]


def test_a_bad_end_before_the_response_is_of_the_attempt_whose_id_the_response_has(system: System) -> None:
    """Until then it may be of either; the next poll, which is due at once, ends the message."""
    message = resent(system, "queued")
    again = claim(system, message)
    assert "earlier" == report(system, message, "007", SECOND, 0.8)
    assert settle(system, again, accepted(SECOND))
    assert "sent" == record(system, message)["status"]
    at_the_gateway = Gateway(LookUp(Known.FOUND, SECOND, "007", 800_000))
    assert 1 == system.run(poll(system.client, at_the_gateway, system.settings, 3, system.now))  # type: ignore[arg-type]
    found = record(system, message)
    assert ("undelivered", SECOND, "800000") == (found["status"], found["gateway_id"], found["charge"])


def test_a_second_doubt_that_finds_only_a_copy_that_ended_is_unknown_after_the_grace(system: System) -> None:
    """It may be the first copy, and the second on its way; without a trace of that one nobody waits for days."""
    message = resent(system, "in_doubt")
    began = system.now
    while record(system, message)["status"] == "in_doubt":
        look_up(system, Gateway(LookUp(Known.FOUND, FIRST, "007", 800_000)))
        system.now += 5 * MINUTE
        assert system.now < began + DAY
    found = record(system, message)
    assert ("unknown", "in_doubt_again", "2") == (found["status"], found["code"], found["attempt"])
    assert system.now - began <= 40 * MINUTE
    assert "800000" == found["charge"]


def test_a_second_doubt_ends_when_a_copy_turns_out_to_be_delivered(system: System) -> None:
    """Also the copy that a report had undelivered before: its person has the text."""
    message = resent(system, "in_doubt")
    report(system, message, "012", FIRST)
    system.now += MINUTE
    look_up(system, Gateway(LookUp(Known.FOUND, FIRST, "004", 800_000)))
    assert "delivered" == record(system, message)["status"]


@pytest.mark.parametrize(("first", "ends"), [("007", "undelivered"), ("003", "undelivered"), ("004", "delivered")])
def test_a_poll_that_finds_the_first_copy_polls_the_second_by_its_own_id(system: System, first: str, ends: str) -> None:
    """No document says which of the two our id finds; the record keeps the id of the attempt that counts."""
    message = resent(system)
    known = Gateway(LookUp(Known.FOUND, FIRST, first, 800_000), **{SECOND: LookUp(Known.FOUND, SECOND, "012", 500_000)})
    system.now += 10 * MINUTE
    assert 1 == system.run(poll(system.client, known, system.settings, 3, system.now))  # type: ignore[arg-type]
    found = record(system, message)
    assert (ends, SECOND, "1300000") == (found["status"], found["gateway_id"], found["charge"])
    assert "renamed:3" not in system.glance([]).tally


@pytest.mark.parametrize("order", [(FIRST, SECOND), (SECOND, FIRST)])
@pytest.mark.parametrize("status", ["012", "004"])
def test_both_copies_are_paid_for_once(system: System, order: tuple[str, str], status: str) -> None:
    """The gateway took both: its credits and ours are the same, in whatever order its reports come."""
    budgets.put(system.sync, "centre:news", "month", Budget(100 * CREDIT))
    message = resent(system, cost_centre="news")
    ends = {FIRST: (status, 0.8), SECOND: ("004", 1.5)}
    for _ in range(2):  # Clickatell repeats callbacks
        for one in order:
            report(system, message, ends[one][0], one, ends[one][1])
    assert ("delivered", str(2_300_000)) == (record(system, message)["status"], record(system, message)["charge"])
    assert (2.3, 2_300_000) == (spent(system), system.glance([]).tally["charged:3:news"])
