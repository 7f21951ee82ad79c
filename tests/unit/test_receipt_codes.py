"""What the network reports of a message: statuses as they are written, and charges to the last millionth."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from threelane.store.states import Status
from threelane.worker.policy.statuses import STATUSES, millionths, status_code

CALLBACKS = json.loads(Path(__file__).with_name("data").joinpath("status_callbacks.json").read_text(encoding="utf-8"))

# fmt: off
MEANINGS = {
    "001": None,                # unknown, or reporting is delayed
    "002": Status.SENT,         # queued for another delivery
    "003": Status.SENT,         # with the network
    "004": Status.DELIVERED,    # received by the handset
    "005": Status.UNDELIVERED,  # an error in the content
    "006": Status.CANCELLED,    # by command or by staff
    "007": Status.UNDELIVERED,  # an error on the way to the handset
    "008": Status.SENT,         # with the gateway; not delivered
    "009": Status.UNDELIVERED,  # no route
    "010": Status.EXPIRED,      # before it was handed over
    "011": Status.SENT,         # scheduled at the gateway
    "012": Status.UNDELIVERED,  # out of credit
    "013": Status.CANCELLED,    # by the gateway's staff
    "014": Status.UNDELIVERED,  # the account's limit
}
WRITTEN = [
    ("3", "003"), ("03", "003"), ("003", "003"), (" 004\n", "004"), ("12", "012"), ("012", "012"),
    ("00A", "010"), ("00a", "010"), ("00B", "011"), ("00C", "012"), ("A", "010"), ("0c", "012"),
    ("010", "010"), ("011", "011"), ("00D", "00d"), ("999", "999"), ("", "000"),
]
CHARGES = [
    ("0", 0), ("0.000000", 0), ("0.300000", 300_000), ("0.8", 800_000), ("1", 1_000_000), ("1.5", 1_500_000),
    (" 2.400000 ", 2_400_000), ("0.000001", 1), ("0.29", 290_000), ("1.1", 1_100_000), ("4.35", 4_350_000),
    ("999999.999999", 999_999_999_999), ("0.1e1", 1_000_000), ("8E-1", 800_000),
]
NO_AMOUNTS = ["", " ", "free", "-0.8", "-1", "NaN", "sNaN", "Infinity", "-Infinity", "1,5", "0.8 credits", "0x1",
              "1000000", "1e300", "1e999999999", "--1", "1.2.3", "\x00", "€1"]
# fmt: on


def test_each_status_has_its_meaning_and_there_is_no_other() -> None:
    """Fourteen of them; received by the gateway (008) is not delivered."""
    assert MEANINGS == STATUSES


@pytest.mark.parametrize(("raw", "code"), WRITTEN)
def test_a_status_is_three_digits_however_it_was_written(raw: str, code: str) -> None:
    """Without its zeros, or in the hexadecimal of old integrations."""
    assert code == status_code(raw)


@pytest.mark.parametrize("callback", CALLBACKS, ids=lambda one: f"{one['method']}-{one['fields']['status']}")
def test_a_callback_that_others_have_seen_has_a_meaning_and_a_price(callback: dict[str, Any]) -> None:
    """Statuses and charges as they are known to arrive."""
    code = status_code(callback["fields"]["status"])
    assert (callback["becomes"]["network"], callback["becomes"]["status"]) == (code, STATUSES[code])
    assert 300_000 == millionths(callback["fields"]["charge"])


@pytest.mark.parametrize(("raw", "amount"), CHARGES)
def test_a_charge_is_exact_to_the_millionth(raw: str, amount: int) -> None:
    """Sums of thousands of charges are compared with the balance."""
    assert amount == millionths(raw)


@pytest.mark.parametrize("raw", NO_AMOUNTS)
def test_an_invalid_amount_is_none_and_does_no_harm(raw: str) -> None:
    """Nor is a negative one, or one beyond all prices; Redis adds whole numbers only."""
    assert millionths(raw) is None


@given(some.integers(0, 10**12 - 1))
def test_every_amount_comes_back_as_it_was(amount: int) -> None:
    """In the six decimals that callbacks have."""
    assert amount == millionths(f"{Decimal(amount) / 10**6:.6f}")


@given(some.text(max_size=20) | some.floats().map(str) | some.decimals().map(str))
def test_no_text_raises_or_comes_to_an_amount_that_redis_could_not_add(raw: str) -> None:
    """Anyone can write anything into a callback."""
    amount = millionths(raw)
    assert amount is None or 0 <= amount < 10**12
