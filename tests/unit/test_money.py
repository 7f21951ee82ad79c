"""The arithmetic of credits: prices, drift, burn rate, and how many workers are worth having."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import redis

from tests.servers import RedisServer, typed
from threelane.contract import prices
from threelane.operations import forecast
from threelane.operations.capacity import worth_having
from threelane.operations.forecast import Forecast
from threelane.runtime.settings import InvalidSettings, ProducerSettings, load
from threelane.store import keys
from threelane.worker.account.balance import compare, is_back

CREDIT = 1_000_000
NOW = 1_800_000_000_000
MINUTE = NOW // 60_000


# -- prices --


@pytest.mark.parametrize(
    ("to", "price"), [("27831234567", 3), ("27841234567", 2), ("12025550123", 1), ("2784", 2), ("278", 2), ("28", 1)]
)
def test_the_longest_prefix_that_is_given_wins(to: str, price: int) -> None:
    """A network's price goes before its country's, and both before that of the rest."""
    assert price * CREDIT == prices.parse("*=1, 27=2,2783=3").price(to)


def test_a_given_price_goes_before_a_learned_one_and_that_before_the_rest() -> None:
    """A charge does not override an operator's price of a prefix; ``*`` is the price when no other is known."""
    known = prices.parse("44=0.5,*=1").with_learned({b"ZA": b"800000", b"GB": b"900000"})
    assert [800_000, 500_000, 1_000_000] == [known.price(to) for to in ("27831234567", "447700900123", "12025550123")]
    assert CREDIT == prices.parse("").price("27831234567")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("27", "'' is not an amount of credits"),
        ("27=", "'' is not an amount of credits"),
        ("27=cheap", "'cheap' is not an amount of credits"),
        ("27=1=2", "'1=2' is not an amount of credits"),
        ("+27=1", "write a prefix in digits"),
        ("=1", "write a prefix in digits"),
        ("2" * 16 + "=1", "write a prefix in digits"),
        ("٢٧=1", "write a prefix in digits"),
        ("27=-1", "from 0 to 1000 credits"),
        ("27=1001", "from 0 to 1000 credits"),
        ("27=nan", "from 0 to 1000 credits"),
        ("27=inf", "from 0 to 1000 credits"),
        ("1=1;27=2", "'1;27=2' is not an amount of credits"),
    ],
)
def test_unreadable_prices_are_refused_with_the_right_form(text: str, problem: str) -> None:
    """One sentence that names the entry."""
    with pytest.raises(ValueError, match=r"credits|digits") as wrong:
        prices.parse(text)
    assert problem in str(wrong.value)
    with pytest.raises(InvalidSettings) as invalid:
        load(ProducerSettings, redis_url="redis://127.0.0.1:1/0", prices=text)
    assert 1 == len(str(invalid.value).splitlines())
    assert "THREELANE_PRICES: " in str(invalid.value)


def test_a_command_with_wrong_prices_ends_with_that_sentence(tmp_path: Path) -> None:
    """Exit code 2, and no traceback."""
    environment = {
        "THREELANE_REDIS_URL": "redis://127.0.0.1:1/0",
        "THREELANE_PRICES": "27=cheap",
        "HOME": str(tmp_path),
    }
    completed = typed("send", "27831234567", "Hello", environment=environment)
    assert 2 == completed.returncode
    assert "THREELANE_PRICES: '27=cheap': 'cheap' is not an amount of credits, such as 0.8" in completed.stderr
    assert "Traceback" not in completed.stderr


# -- drift --


def readings(*balances: tuple[float, float]) -> list[float]:
    """Return the drift after each reading: the balance, and what was charged in all by then."""
    before: dict[str, str] = {}
    drifts = []
    for credits, charged in balances:
        found = compare(before, round(credits * CREDIT), round(charged * CREDIT))
        before |= {name: str(value) for name, value in found.items()} | {"credits": str(round(credits * CREDIT))}
        drifts.append(int(before["drift"]) / CREDIT)
    return drifts


@pytest.mark.parametrize(
    ("balances", "drifts"),
    [
        (((100, 5), (90, 15), (80, 25)), [0, 0, 0]),  # what is charged is what went
        (((100, 0), (90, 0), (80, 12), (80, 20)), [0, 10, 8, 0]),  # charges are reported later: it comes and goes
        (((100, 0), (90, 5), (80, 10)), [0, 5, 10]),  # half of the charges are never reported: it stays, and grows
        (((100, 0), (90, 10), (500, 10), (480, 30)), [0, 0, 0, 0]),  # a top-up is not drift
        (((100, 0), (90, 5), (500, 5), (480, 25)), [0, 5, 5, 5]),  # nor does it hide one that was there
        (((100, 10), (105, 5), (95, 15)), [0, 0, 0]),  # a charge that is given back
    ],
)
def test_drift_is_credit_without_a_charge(balances: tuple[tuple[float, float], ...], drifts: list[float]) -> None:
    """Charges that are late, top-ups and refunds are none."""
    assert drifts == readings(*balances)


# -- whether credit is back --


@pytest.mark.parametrize(
    ("credits", "costs", "lifted_at", "waited", "back"),
    [
        (0, 0, -1, False, False),
        (1, 0, -1, False, True),
        (799_999, 800_000, -1, False, False),
        (800_000, 800_000, -1, False, True),
        (900_000, 800_000, 900_000, False, False),
        (900_000, 800_000, 900_000, True, True),
        (900_001, 800_000, 900_000, False, True),
        (0, 0, -1, True, False),
    ],
)
def test_credit_is_back_when_the_next_message_can_be_paid(
    credits: int, costs: int, lifted_at: int, waited: bool, back: bool
) -> None:
    """And not at a balance at which resuming failed, except once in a while."""
    assert back is is_back(credits, costs, lifted_at, waited=waited)


# -- forecast --


@pytest.mark.parametrize(
    ("minutes", "burn"),
    [
        ({}, 0),
        ({MINUTE: 5}, 300),  # since the first charge: this minute
        ({MINUTE - 9: 10, MINUTE: 10}, 120),  # 20 in ten minutes
        ({MINUTE - 59: 30, MINUTE: 30}, 60),
        ({MINUTE - 60: 1000, MINUTE: 30}, 30),  # what is older than an hour does not count, but marks the start
        ({MINUTE - 200: 1000}, 0),
        ({MINUTE + 1: 1000}, 0),  # a clock that is ahead
        ({MINUTE - 1: -10, MINUTE: 10}, 0),  # given back
    ],
)
def test_the_burn_rate_is_what_an_hour_costs(minutes: dict[int, int], burn: int) -> None:
    """Of the last hour, or of less when less is known."""
    assert burn == forecast.burn({str(minute): str(amount) for minute, amount in minutes.items()}, NOW)


def test_the_hours_that_are_left() -> None:
    """None when it is unknown: no reading, or nothing is charged."""
    assert 5 == Forecast(balance=20, left=10, burn=2).hours_left
    assert 0 == Forecast(balance=20, left=0, burn=2).hours_left
    assert None is Forecast(balance=20, left=10).hours_left
    assert None is Forecast(left=10, burn=2).hours_left


def test_what_is_missing_for_all_that_waits() -> None:
    """Nothing when it suffices, or when the balance is not known."""
    committed = {1: 5, 2: 6, 3: 7}
    assert 8 == Forecast(balance=99, left=10, committed=committed).short
    assert 0 == Forecast(balance=99, left=18, committed=committed).short
    assert 0 == Forecast(left=0, committed=committed).short


# -- capacity --


@pytest.mark.parametrize(
    ("waiting", "workers", "rate", "served", "worth"),
    [
        (0, 5, 100, 50, 1),  # nothing waits: one
        (1_000, 0, 0, 0, 1),  # nothing is known
        (1_000, 1, 100, 50, 1),  # drained in 20 seconds
        (60_000, 1, 100, 50, 2),  # 20 minutes of one worker
        (6_000_000, 1, 100, 50, 2),  # more cannot go faster than the rate
        (6_000_000, 1, 1_000, 50, 20),
        (600_000, 3, 1_000, 60, 17),
    ],
)
def test_workers_worth_having(waiting: int, workers: int, rate: float, served: float, worth: int) -> None:
    """As many as drain the backlog in ten minutes, and no more than the shared rate lets send."""
    assert worth == worth_having(waiting, workers, rate, served)


def test_charges_are_shown_by_country_with_messages_and_parts(redis_server: RedisServer, client: redis.Redis) -> None:
    """Workers of earlier versions counted credits only."""
    tally = {"charged_by:country:ZA": 5 * CREDIT, "charged_by:country:DE": CREDIT, "charged_messages_to:ZA": 2,
             "charged_parts_to:ZA": 1_234}  # fmt: skip
    client.hset(keys.TALLY, mapping=tally)
    environment = {"THREELANE_REDIS_URL": redis_server.url}
    shown = [line.split() for line in typed("money", environment=environment).stdout.splitlines()]
    found = json.loads(typed("money", "--json", environment=environment).stdout)

    assert [["ZA", "2", "1,234", "5.00"], ["DE", "0", "0", "1.00"]] == [
        line for line in shown if line[:1] in (["ZA"], ["DE"])
    ]
    assert ({"ZA": 2}, {"ZA": 1_234}) == (found["messages_by_country"], found["parts_by_country"])
