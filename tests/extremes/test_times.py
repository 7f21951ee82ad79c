"""Delivery times and validities at their extremes, alone and together, on each API."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import product
from typing import Any

import msgspec
import pytest

from tests.extremes.exchange import Intake, Outside, now_ms, same_code
from tests.extremes.test_fields import ALL_APIS, PLAIN, edges
from threelane.contract import schedule
from threelane.contract.message import Draft, Message
from threelane.contract.refusal import Refusal

pytestmark = pytest.mark.slow

DAYS = 24 * 3600
DELAYS = [0, 1, 60, 3600, 1 * DAYS, 5.9 * DAYS, 6.1 * DAYS, 6.9 * DAYS, schedule.HORIZON / 1000 - 60]
"""Seconds, the last a minute before the greatest: a moment passes between intake and gateway."""
BEYOND = [-8 * DAYS, -2 * DAYS, -3600, schedule.HORIZON / 1000 + 60, 8 * DAYS, 400 * DAYS]
"""Seconds from now that no API takes."""


def validities() -> list[int | None]:
    """Return the whole minutes around each limit of the field, and none."""
    return [None, *sorted({value for value in edges("validity_period") if isinstance(value, int)})]


def scheduled(delay: float, validity: int | None, at_gateway: bool) -> dict[str, Any]:
    more = {"delay": delay, "validity_period": validity, "at_gateway": int(at_gateway) if delay else None}
    return PLAIN | {name: value for name, value in more.items() if value is not None}


@ALL_APIS
@pytest.mark.parametrize("at_gateway", [False, True], ids=["we wait", "the gateway waits"])
def test_every_time_and_validity_that_intake_accepts_the_sandbox_takes(
    intake: Intake, outside: Outside, at_gateway: bool
) -> None:
    """Otherwise a message is accepted first and lost later: the validity that is sent moves with the delivery time."""
    found: dict[str, Message] = {}
    for delay, validity in product(DELAYS, validities()):
        read = intake.read(scheduled(delay, validity, at_gateway))
        if isinstance(read, Draft):
            found[f"{delay / DAYS:.2f} days, validity {validity}"] = read.message
    assert len(found) > len(DELAYS)

    verdicts = outside.send(list(found.values()))

    assert {} == {name: one for name, one in zip(found, verdicts, strict=True) if one != "accepted"}


@ALL_APIS
@pytest.mark.parametrize("seconds", BEYOND, ids=lambda seconds: f"{seconds / DAYS:g} days")
def test_a_delivery_time_that_the_sandbox_refuses_intake_refuses_with_its_code(
    intake: Intake, outside: Outside, seconds: float
) -> None:
    """The gateway schedules up to 7 days ahead, and nothing in the past."""
    now = now_ms()
    moment = now + round(seconds * 1000)
    read = intake.read({**PLAIN, "deliver_at": iso(moment), "at_gateway": 1})
    base = intake.message({**PLAIN, "delay": 3600, "at_gateway": 1})

    assert isinstance(read, Refusal)
    at = min(now, moment - schedule.MINUTE)  # or the gateway class would leave out a time that has passed
    theirs = outside.send([msgspec.structs.replace(base, due_at=moment, expires_at=at + schedule.DAY)], at)[0]

    assert theirs in ("accepted", same_code(intake.api, "deliver_at", read.code))


def iso(moment: int) -> str:
    return datetime.fromtimestamp(moment / 1000, UTC).isoformat()
