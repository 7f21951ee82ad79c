"""Ledgers: the charges of the records, of the exporter and of the account agree, on each API."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from urllib.request import urlopen

import pytest
import redis

from tests.integration.api import API
from tests.servers import wait_until
from threelane import Accepted, Producer, ProducerSettings
from threelane.contract.prices import CREDIT
from threelane.demo.stack import Stack
from threelane.store import keys
from threelane.store.states import AT_REST

PRICES = {"price": "27=0.85", "default-price": "1.123456"}
NUMBERS = ("27999500{:03d}", "1202555{:04d}", "447700900{:03d}")
# fmt: off
ENDS = (  # attempts that fail first, refusals, ends with and without a refund, answers that are lost
    "27999190101", "27999112200", "27999201000", "27999200600", "27999200700", "27999200501", "27999300101",
    "27999300701", "27999400200", "27999400300",
)
# fmt: on
SUMS = re.compile(r"^(threelane_charged(?:_by_\w+?)?_credits)_total\{[^}]*\} (\S+)$", re.MULTILINE)


pytestmark = [pytest.mark.main_job, pytest.mark.timeout(240)]
_SLOW = tuple(pytest.param(one, marks=pytest.mark.slow) for one in ("rest", "xml"))
APIS = ("http", *_SLOW) if API.name == "http" else (API.name,)
"""One API takes a minute, for the end of a lost answer: ``make test-apis`` runs it."""


@pytest.fixture(params=APIS)
def stack(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stack]:
    """A stack of its own, so that its account has no other movements."""
    environment = {"THREELANE_GATEWAY": request.param, "THREELANE_RECEIPT_DELAYS_SECONDS": "3"}  # 006 has no callback
    with Stack(tmp_path, {**PRICES, "credit": "150"}, environment) as made:
        yield made


def metrics(stack: Stack) -> dict[str, Decimal]:
    """Return the exporter's sums of charges, by metric."""
    with urlopen(stack.metrics["exporter"], timeout=20) as reply:
        page = reply.read().decode()
    sums: dict[str, Decimal] = {}
    for name, value in SUMS.findall(page):
        sums[name] = sums.get(name, Decimal(0)) + Decimal(value)
    return sums


def test_every_credit_that_left_the_account_is_in_the_records_and_in_the_metrics(stack: Stack) -> None:
    """To the last decimal: with retries, refunds, lost answers, doubled receipts, and a top-up in the middle."""
    prices = stack.environment["THREELANE_PRICES"]
    settings = ProducerSettings(
        redis_url=stack.redis_url, prices=prices, gateway=stack.environment["THREELANE_GATEWAY"]
    )
    client = redis.Redis.from_url(stack.redis_url)
    # these have no look-up by our id: a lost answer to a refusal, for want of credit, ends with the validity alone
    short = {"validity_period": 1} if settings.gateway in ("one", "platform") else {}
    with Producer(settings) as producer:
        messages = [
            {
                "to": NUMBERS[n % 3].format(n),
                "text": "Hello" if n % 4 else "Two parts. " * 20,
                "lane": n % 3 + 1,
                "cost_centre": ("mail", "news", "ops")[n % 3],
                "producer": f"shop{n % 5}",
            }
            for n in range(300)
        ]
        answers = producer.send_many(
            [{**one, **short} for one in [*messages, *({"to": to, "text": "Hi"} for to in ENDS)]]
        )
        assert [] == [one for one in answers if not isinstance(one, Accepted)]
        ids = [one.id for one in answers if isinstance(one, Accepted)]
        assert len(messages) + len(ENDS) == len(ids)
        wait_until(lambda: client.hexists(keys.HOLDS, "account"), what="the credit to run out")
        stack.call_sandbox("/sandbox/credit", {"add": "1000"})

        def all_at_rest() -> bool:
            return all(one and one.status in AT_REST for one in producer.statuses(ids))

        wait_until(all_at_rest, 150, "all to end")
        records = producer.statuses(ids)
    charged = Decimal(sum(one.charge_millionths for one in records if one)) / CREDIT
    account = stack.call_sandbox("/sandbox/account")
    assert Decimal(account["charged"]) == charged
    assert Decimal(150 + 1000) - Decimal(account["balance"]) == charged
    assert {charged} == {value.quantize(Decimal("0.000001")) for value in metrics(stack).values()}
    assert 3 == len(metrics(stack))
    assert {0} == {int(client.hget(keys.TALLY, f"committed:{lane}") or 0) for lane in keys.LANES}
    client.close()
