"""The first messages of a bulk decide whether the others follow."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from threelane.producer.files.canary import parse_percent, watch
from threelane.store.states import Status
from threelane.store.status import MessageStatus

IDS = [f"{n:032x}" for n in range(20)]


class Fleet:
    """Messages in the states that a test sets, look by look; each look takes a second."""

    def __init__(self, *looks: list[Status | None]) -> None:
        self.looks = list(looks)
        self.now = 0.0
        self.slept: list[float] = []

    def read(self, ids: Sequence[str]) -> list[MessageStatus | None]:
        states = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        return [status and _message(one, status) for one, status in zip(ids, states, strict=True)]

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def _message(message_id: str, status: Status) -> MessageStatus:
    code = "113" if status is Status.DEAD else ""
    return MessageStatus(
        id=message_id, status=status, lane=3, to="27831234567", parts=1, accepted_at=1, expires_at=2, code=code
    )


def of(**numbers: int) -> list[Status | None]:
    return [Status(name) for name, number in numbers.items() for _ in range(number)]


def test_it_waits_until_all_have_ended() -> None:
    """What is under way may still fail."""
    fleet = Fleet(of(queued=20), of(sent=10, delivered=10), of(delivered=19, undelivered=1))
    found = watch(fleet.read, IDS, 5.0, 60, lambda: fleet.now, fleet.sleep)
    assert (20, 1, 19, 5.0, 2) == (found.watched, found.failed, found.delivered, found.percent, len(fleet.slept))


def test_it_ends_as_soon_as_too_many_have_failed() -> None:
    """Waiting on would change nothing."""
    fleet = Fleet(of(dead=2, sent=18))
    found = watch(fleet.read, IDS, 5.0, 60, lambda: fleet.now, fleet.sleep)
    assert (2, {"113": 2}, []) == (found.failed, found.why, fleet.slept)


def test_a_message_that_was_not_sent_in_its_time_has_failed() -> None:
    """What the gateway took is good: networks that send no receipts are many."""
    fleet = Fleet(of(sent=15, scheduled=3, in_doubt=2))
    found = watch(fleet.read, IDS, 50.0, 3, lambda: fleet.now, fleet.sleep)
    assert (5, {"scheduled": 3, "in_doubt": 2}) == (found.failed, found.why)
    assert 3 == sum(fleet.slept)


def test_a_forgotten_message_has_failed() -> None:
    """Somebody emptied Redis."""
    fleet = Fleet([None] * 20)
    assert 20 == watch(fleet.read, IDS, 100.0, 3, lambda: fleet.now, fleet.sleep).failed


def test_a_share_is_read_with_or_without_its_sign() -> None:
    """From 0 to 100."""
    assert (5.0, 2.5, 0.0) == (parse_percent("5%"), parse_percent(" 2.5"), parse_percent("0"))
    for wrong in ("", "-1%", "101%", "five", "nan"):
        with pytest.raises(ValueError, match="share"):
            parse_percent(wrong)
