"""The catalogue of metrics: processes expose exactly its metrics, and labels are bounded."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
import redis
from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase

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
    Where,
)
from threelane.operations.exporter import Fleet
from threelane.store import budgets, keys
from threelane.store.budgets import Budget
from threelane.store.states import Status
from threelane.worker.fetch import nudge
from threelane.worker.gateway.outcome import OutcomeKind
from threelane.worker.policy.legacy import LEGACY
from threelane.worker.process import internal_error, metrics
from threelane.worker.webhooks import metrics as outcome_metrics

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"
OF_PROCESSES = [
    value
    for module in (metrics, internal_error, nudge, outcome_metrics)
    for value in vars(module).values()
    if isinstance(value, MetricWrapperBase)
]
MESSAGES = 100_000


def _tally_of_all_that_can_happen(client: redis.Redis) -> None:
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
    client.hset(keys.TALLY, mapping=dict.fromkeys(fields, 1_000_000))
    client.hset(keys.BALANCE, mapping={"credits": 5_000_000, "left": 4_000_000, "at": 1, "drift": 0})
    client.hset(keys.VISIBILITY, "delay", 1_500)
    minute = int(client.time()[0]) // 60
    client.hset(keys.BURN, str(minute), 1_000_000)
    client.hset(keys.HOLDS, "account", b'{"code":"301","cause":"no_credit","since":1,"until":0}')
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


def test_the_other_processes_export_what_the_catalogue_lists() -> None:
    """Their metrics are made when their modules are read."""
    wanted = {one.name for one in METRICS if Where.EXPORTER not in one.where}
    assert sorted(wanted) == sorted(one._name for one in OF_PROCESSES)
    for one in OF_PROCESSES:
        known = BY_NAME[one._name]
        assert (known.type, known.labels, known.meaning) == (one._type, one._labelnames, one._documentation)


def test_the_document_is_that_of_the_catalogue(capsys: pytest.CaptureFixture[str]) -> None:
    """It is generated; python -m threelane.operations.catalogue > docs/metrics.md regenerates it."""
    catalogue.main()
    assert capsys.readouterr().out == DOCUMENT.read_text(encoding="utf-8")


def test_every_label_is_bounded() -> None:
    """A label without a closed set of values is a bill."""
    assert set(LABELS) == {label for one in METRICS for label in one.labels}
    for name, label in LABELS.items():
        assert label.known, name


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
