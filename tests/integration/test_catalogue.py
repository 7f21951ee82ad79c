"""The catalogue of metrics: processes expose exactly its metrics, and labels are bounded."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import pytest
import redis
from prometheus_client import REGISTRY, generate_latest
from prometheus_client.metrics import MetricWrapperBase

from tests.servers import wait_until
from tests.two_accounts import BULK, hold_account, publish, report
from threelane.contract.gateways import SHIPPED
from threelane.contract.refusal import Owner
from threelane.gateways.one.codes import ONE_API
from threelane.operations import catalogue
from threelane.operations.catalogue import (
    BY_NAME,
    LABELS,
    METRICS,
    MOST_SERIES_OF_EXPORTER,
    MOST_SERIES_OF_PROCESS,
    SERIES_OF_ACCOUNT,
    Where,
)
from threelane.operations.exporter import Fleet
from threelane.store import budgets, keys
from threelane.store.budgets import Budget
from threelane.store.keys import HERE, Space
from threelane.store.spaces import spaces
from threelane.store.states import Status
from threelane.worker.fetch import nudge
from threelane.worker.gateway.outcome import OutcomeKind
from threelane.worker.policy.legacy import LEGACY
from threelane.worker.process import internal_error, metrics
from threelane.worker.process.account_label import OfAccount
from threelane.worker.webhooks import metrics as outcome_metrics

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"
OF_PROCESSES = [
    value
    for module in (metrics, internal_error, nudge, outcome_metrics)
    for value in vars(module).values()
    if isinstance(value, MetricWrapperBase)
]
MESSAGES = 100_000


def _tally_of_all_that_can_happen(client: redis.Redis, space: Space = HERE) -> None:
    """One of each count, and a balance: so that the exporter exports all it can."""
    fields = [f"{kind}:{lane}" for kind in ("accepted", "parts", "repeated", "lapsed", "swept") for lane in keys.LANES]
    fields += ["redriven:1", "cancelled:1", "late:1", "bypassed:1", "reserved:2", "charged_parts:1", "lifted"]
    fields += ["refused:105", "to:1:sent", "retried:1:901", "dead:122:recipient", "in_doubt:1:lost", "resolved:queued"]
    fields += ["returned:1:301", "diverted:1:hold", "taken_over:1:hold", "reported_by_both:1"]
    fields += [
        "unknown:no_receipt:gateway",
        "held:account",
        "probed:prefix",
        "healed:sender",
        "replies:stop",
        "confirmations:accepted",
        "suppressed:STOP",
        "erased:1",
    ]
    fields += ["charged:1:login", "charged_by:producer:shop", "charged_by:country:ZA", "committed:1"]
    names = keys.names(space)
    client.hset(names.TALLY, mapping=dict.fromkeys(fields, 1_000_000))
    client.hset(names.BALANCE, mapping={"credits": 5_000_000, "left": 4_000_000, "at": 1, "drift": 0})
    client.hset(names.VISIBILITY, "delay", 1_500)
    minute = int(client.time()[0]) // 60
    client.hset(names.BURN, str(minute), 1_000_000)
    hold_account(client, space)
    budgets.put(client, "centre:login", "day", Budget(1_000_000, "refuse"))


def test_the_exporter_exports_what_the_catalogue_lists(client: redis.Redis) -> None:
    """Names, types, labels and meanings, none too many and none too few."""
    _tally_of_all_that_can_happen(client)
    collected = {one.name: one for one in Fleet(client).collect()}
    wanted = {one.name: one for one in METRICS if Where.EXPORTER in one.where}

    assert sorted(wanted) == sorted(collected)
    for name, one in collected.items():
        assert (name, wanted[name].type, wanted[name].meaning) == (name, one.type, one.documentation)
        assert one.samples, name
        assert {wanted[name].labels} == {tuple(sample.labels) for sample in one.samples}
        accounts = {sample.labels.get("account", "") for sample in one.samples}
        assert accounts <= {"default", ""}, name


def test_each_series_of_an_account_has_its_name_and_its_own_values(client: redis.Redis) -> None:
    """One account is held and has everything, the other has nothing: no value of one may be in the other's series."""
    publish(client)
    _tally_of_all_that_can_happen(client, BULK)
    now = int(client.time()[0]) * 1000
    client.zadd(keys.names(BULK).QUEUED[1], {"b" * 32: now - 90_000})
    report(client, "w", now, BULK)
    collected = {one.name: one for one in Fleet(client).collect()}
    values: dict[str, dict[str, float]] = {"default": {}, "bulk": {}}
    for name in (one.name for one in METRICS if "account" in one.labels and Where.EXPORTER in one.where):
        for sample in collected[name].samples:
            if account := sample.labels["account"]:
                values[account][name] = values[account].get(name, 0) + sample.value

    assert {"threelane_workers_worth_having"} == {name for name, value in values["default"].items() if value}
    nothing_happened = {name for name, value in values["bulk"].items() if not value}
    assert "threelane_on_hold" in values["bulk"]
    assert {} == {name: values["bulk"][name] for name in _OF_ALL_THAT_HAPPENED & nothing_happened}


_OF_ALL_THAT_HAPPENED = {
    *("threelane_lane_depth", "threelane_lane_oldest_seconds", "threelane_waiting", "threelane_workers"),
    *("threelane_accepted", "threelane_dead", "threelane_in_doubt", "threelane_retried", "threelane_charged_credits"),
    *("threelane_on_hold", "threelane_balance_credits", "threelane_left_credits", "threelane_committed_credits"),
    *("threelane_burn_credits_per_hour", "threelane_hours_left", "threelane_look_up_delay_seconds"),
    *("threelane_charged_by_producer_credits", "threelane_charged_by_country_credits", "threelane_reserved"),
}


def test_a_further_account_adds_few_series(client: redis.Redis) -> None:
    """The document promises a number, by which an operator of many accounts plans."""

    def series() -> int:
        return sum(len(one.samples) for one in Fleet(client).collect())

    before = series()
    publish(client)
    wait_until(lambda: len(spaces(client)) == 2, what="the new account, a second later")
    added = series() - before

    print(f"{added} series of a further account")
    assert SERIES_OF_ACCOUNT * 0.8 < added <= SERIES_OF_ACCOUNT


def test_the_other_processes_export_what_the_catalogue_lists() -> None:
    """Their metrics are made when their modules are read."""
    wanted = {one.name for one in METRICS if Where.EXPORTER not in one.where}
    assert sorted(wanted) == sorted(one._name for one in OF_PROCESSES)
    for one in OF_PROCESSES:
        known = BY_NAME[one._name]
        assert (known.type, known.labels, known.meaning) == (one._type, one._labelnames, one._documentation)


def test_every_metric_of_a_worker_names_its_account() -> None:
    """A worker serves one account; those of the process itself have none, as in every dashboard for them."""
    metrics.CLAIMED.labels(1).inc(0)
    lines = generate_latest(OfAccount("bulk")).decode().splitlines()
    series = [line for line in lines if not line.startswith("#")]

    assert 'threelane_claimed_total{account="bulk",lane="1"}' in {line.rpartition(" ")[0] for line in series}
    own = {name for one in METRICS if "account" in one.labels for name in (*one.series, f"{one.name}_created")}
    unnamed = [one for one in series if one.startswith("threelane_") and 'account="bulk"' not in one]
    assert set() == {re.split("[{ ]", one)[0] for one in unnamed} - own, "those of an endpoint name its account"
    assert any(one.startswith("process_cpu_seconds_total ") for one in series)
    (restricted,) = OfAccount("bulk").restricted_registry(["threelane_claimed_total"]).collect()
    assert {"bulk"} == {sample.labels["account"] for sample in restricted.samples}


def test_the_document_is_that_of_the_catalogue(capsys: pytest.CaptureFixture[str]) -> None:
    """It is generated; python -m threelane.operations.catalogue > docs/metrics.md regenerates it."""
    catalogue.main()
    assert capsys.readouterr().out == DOCUMENT.read_text(encoding="utf-8")


def test_every_label_is_bounded() -> None:
    """A label without a closed set of values is a bill."""
    assert set(LABELS) == {label for one in METRICS for label in one.labels}
    for name, label in LABELS.items():
        assert label.known, name


@pytest.mark.slow
def test_the_exporter_s_series_do_not_grow_with_the_messages(client: redis.Redis) -> None:
    """Random cost centres, producers, codes and senders: unknown ones are summed up as other."""
    random = Random(1)
    tally: dict[str, int] = {}

    def count(*words: object) -> None:
        field = ":".join(map(str, words))
        tally[field] = tally.get(field, 0) + random.randrange(1, 1_000_000)

    holds = {}
    for number in range(MESSAGES):
        lane, code, owner = random.choice(keys.LANES), f"{random.randrange(1000):03}", random.choice(list(Owner))
        count("accepted", lane)
        count("to", lane, random.choice(list(Status)))
        count(random.choice(("retried", "in_doubt")), lane, code)
        count(random.choice(("dead", "unknown")), code, owner)
        count("refused", code)
        count("suppressed", f"code {code}")
        count("charged", lane, f"centre{random.randrange(5000)}")
        count("charged_by", "producer", f"producer{random.randrange(5000)}")
        count("charged_by", "country", f"{random.randrange(300)}")
        if number % 100 == 0:
            entry = b'{"code":"%b","cause":"x","since":1,"until":0}' % random.choice((b"106", b"123", b"114"))
            holds[random.choice(("sender", "prefix")) + f":{number}"] = entry
    client.hset(keys.TALLY, mapping=tally)
    client.hset(keys.HOLDS, mapping=holds)
    client.hset(keys.BALANCE, mapping={"credits": 5_000_000, "left": 4_000_000, "at": 1})
    fleet = Fleet(client)
    collected = {one.name: one for one in fleet.collect()}
    series = sum(len(one.samples) for one in collected.values())

    print(f"{series} series of the exporter, {len(tally)} counts in Redis")
    assert series < MOST_SERIES_OF_EXPORTER
    charged = collected["threelane_charged_credits"]
    assert {"other"} <= {sample.labels["cost_centre"] for sample in charged.samples}
    everything = sum(n for name, n in tally.items() if name.startswith("charged:")) / 1_000_000
    assert everything == pytest.approx(sum(sample.value for sample in charged.samples))


def test_a_count_never_falls_when_another_cost_centre_overtakes(client: redis.Redis) -> None:
    """A counter that falls is a restart to Prometheus, which then counts all of it again."""
    client.hset(keys.TALLY, mapping={f"charged:1:c{n}": 1_000_000 * (n + 1) for n in range(60)})
    fleet = Fleet(client)

    def charged() -> dict[str, float]:
        (found,) = (one for one in fleet.collect() if one.name == "threelane_charged_credits")
        return {sample.labels["cost_centre"]: sample.value for sample in found.samples}

    before = charged()
    client.hset(keys.TALLY, "charged:1:c0", 1_000_000_000)
    after = charged()
    assert [] == [name for name, value in before.items() if after.get(name, 0) < value]


def test_a_worker_s_series_do_not_grow_with_the_messages() -> None:
    """A code that no table lists has the label of its hundred."""
    random = Random(1)
    for _ in range(MESSAGES):
        rule = random.choice((LEGACY, ONE_API)).rule_for(f"{random.randrange(2000)}")
        lane = random.choice(keys.LANES)
        kind = random.choice(list(OutcomeKind))
        metrics.OUTCOMES.labels(lane, kind, rule.reason if kind is OutcomeKind.REFUSED else "").inc()
        metrics.ALARMS.labels(rule.code, rule.owner).inc()
        metrics.TO_GATEWAY.labels(lane).observe(random.random())
        metrics.CALL.labels(random.choice(SHIPPED)).observe(random.random())
        metrics.CLAIMED.labels(lane).inc()
    series = sum(len(one.samples) for one in REGISTRY.collect())
    print(f"{series} series of a worker")
    assert series < MOST_SERIES_OF_PROCESS
