"""A real Prometheus scrapes a real stack: every panel and every rule finds what it queries."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen
from xml.etree import ElementTree

import pytest
import redis
import yaml
from prometheus_client.parser import text_string_to_metric_families

from deploy.grafana.dashboards import FOLDER
from deploy.grafana.render import draw_all
from tests.prometheus import MISSING, Prometheus, rules
from tests.servers import allow_repeats, wait_until
from threelane import Producer, ProducerSettings
from threelane.demo.child import Child
from threelane.demo.stack import Stack
from threelane.operations.catalogue import LABELS, METRICS, Where, of_series
from threelane.store import budgets, keys, registry
from threelane.store.budgets import Budget
from threelane.store.tally import Count

pytestmark = [pytest.mark.skipif(bool(MISSING), reason=MISSING), pytest.mark.xdist_group("prometheus")]

ENVIRONMENT = {
    "THREELANE_BALANCE_SECONDS": "1",
    "THREELANE_LATE_AFTER_SECONDS": "1",
    "THREELANE_RECEIPT_DELAYS_SECONDS": "1,2",
    "THREELANE_WEBHOOK_DELAYS_SECONDS": "0.2",
    "THREELANE_WEBHOOK_PRIVATE_ADDRESSES": "true",
}
NUMBERS = (
    *(f"2799950000{n}" for n in range(10)),
    "27999190102",  # 901 twice
    "27999300101",  # its answer is lost
    "27999300201",  # it is lost
    "27999112200",  # opted out
    "27999177700",  # a code that no table lists
    "27999400400",  # no receipt
    "1",  # refused at accept
)
LIMITED = "27999500002"  # gets more codes than ten an hour
# an outage and a prefix on hold would stop the rest of the load, so their counts rise without them
COUNTED = (
    Count.LIMITED.field("recipient", "refused"),
    Count.BREAKER_OPENED.field("unreadable"),
    Count.PROBED.field("answered"),
    *(count.field("prefix") for count in (Count.HELD, Count.HOLD_PROBED, Count.HEALED)),
)
# no nudge is lost here, no worker dies, Redis does not fail, no lane has a window, and all ends become known
NEVER = {
    "threelane_swept",
    "threelane_swept_messages",
    "threelane_lapsed_leases",
    "threelane_housekeeping_failed",
    "threelane_deferred",
    "threelane_unknown",
}


class Scene:
    """The stack, its Prometheus, and the pages it scrapes."""

    def __init__(self, stack: Stack, prometheus: Prometheus, pages: dict[str, str]) -> None:
        self.stack = stack
        self.prometheus = prometheus
        self.pages = pages


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A stack under mixed load; it goes on while tests look."""
    folder = tmp_path_factory.mktemp("scraped")
    with Stack(folder / "stack", {}, ENVIRONMENT) as stack:
        hooks = Child(
            "webhooks", [sys.executable, "-m", "threelane", "webhooks"], folder / "hooks.log", stack.environment
        )
        client = redis.Redis.from_url(stack.redis_url)
        allow_repeats(client)
        registry.put(client, "shop", webhook="http://127.0.0.1:9/nobody", allow_loopback=True)
        budgets.put(client, "producer:shop", "day", Budget(10_000_000_000, "refuse"))
        pages = stack.metrics | {"webhooks": hooks.event("metrics")["url"]}
        try:
            with Prometheus(folder / "prometheus", pages) as prometheus:
                for turn in range(6):
                    _load(stack, turn)
                    for count in COUNTED:
                        client.hincrby(keys.TALLY, count, 1)
                    _damage(client, turn)
                    time.sleep(1)
                yield Scene(stack, prometheus, pages)
        finally:
            hooks.stop()
            client.close()


UNPROVOKED = ["threelane:internal_errors:10m"]
"""No stored data makes the code fail at a message; promtool tests this rule with counts of its own."""


def _damage(client: redis.Redis, turn: int) -> None:
    """Store a message whose suppression is damaged, and count an unreadable nudge."""
    values = {"status": "queued", "lane": "3", "to": "27999000001", "parts": "1", "accepted": "1", "body": "{}"}
    client.hset(keys.SUPPRESSED, "27999000001", "x")
    client.hset(keys.record(f"{turn}"), mapping=values | {"expires": "99999999999999"})
    client.zadd(keys.QUEUED[3], {f"{turn}": 1})
    client.lpush(keys.queue(3), "x")


def _load(stack: Stack, turn: int) -> None:
    settings = ProducerSettings(redis_url=stack.redis_url, producer="shop", cost_centre=f"centre{turn % 2}")
    with Producer(settings) as producer:
        for lane in (1, 2, 3):
            producer.send_many([{"to": to, "text": "Hello", "lane": lane} for to in NUMBERS])
        producer.send_many([{"to": LIMITED, "text": f"code {n}", "lane": 1} for n in range(12)])
        producer.send("27999112300", "Not registered", sender="ACME")
        producer.send("27999500001", "Later", delay=2)
    stack.call_sandbox("/sandbox/replies", {"from": f"2783000000{turn}", "to": "27999", "text": "STOP"})


def _queries() -> Iterator[tuple[str, str]]:
    """Yield every panel's query, as Grafana would send it."""
    for file in sorted(FOLDER.glob("*.json")):
        for panel in json.loads(file.read_text())["panels"]:
            for target in panel.get("targets", []):
                expression = (
                    target["expr"]
                    .replace("$__rate_interval", "10s")
                    .replace("$instance", ".*")
                    .replace("$account", ".*")
                )
                yield f"{file.stem}: {panel['title']}", expression


def test_every_exported_metric_is_in_the_catalogue(scene: Scene) -> None:
    """Names and labels, of every process; and their labels have only allowed values."""
    own = re.compile(r"^(process|python)_")
    for process, page in scene.pages.items():
        for family in text_string_to_metric_families(urlopen(page).read().decode()):
            if own.match(family.name):
                continue
            for sample in family.samples:
                if sample.name.endswith("_created"):
                    continue
                known = of_series(sample.name)
                assert known, sample.name
                assert set(known.labels_of(Where(process))) == set(sample.labels) - {"le"}, sample.name
                for label, value in sample.labels.items():
                    assert label == "le" or value in LABELS[label].known or LABELS[label].others, sample


def test_every_metric_that_an_answer_rests_on_is_scraped(scene: Scene) -> None:
    """What the rules and panels name is there after a quarter of a minute, but for what never happens here."""
    queries = " ".join([*(rule["expr"] for rule in rules()), *(expression for _, expression in _queries())])
    wanted = {one.name for one in METRICS if any(name in queries for name in one.series)}
    scraped = set(scene.prometheus.get("label/__name__/values"))
    absent = {one.name for one in METRICS if one.name in wanted and not one.series & scraped}
    assert absent <= NEVER


def test_every_panel_has_data(scene: Scene) -> None:
    """An empty panel at night is a question more."""

    empty = list(_queries())

    def all_have() -> bool:
        empty[:] = [(title, expression) for title, expression in empty if not scene.prometheus.ever(expression)]
        return not empty

    try:
        wait_until(all_have)
    except AssertionError:
        raise AssertionError(f"no data: {empty}") from None


def test_every_rule_is_evaluated(scene: Scene) -> None:
    """Prometheus reports for each whether its last evaluation succeeded, and the result of each recording rule."""

    def evaluated() -> list[dict[str, Any]]:
        return [rule for group in scene.prometheus.get("rules")["groups"] for rule in group["rules"]]

    wait_until(lambda: all(rule["health"] == "ok" for rule in evaluated()), what="the evaluation of all rules")
    assert len(rules()) == len(evaluated())
    recorded = [rule["name"] for rule in evaluated() if rule["type"] == "recording"]
    empty = [name for name in recorded if not scene.prometheus.query(name)]
    assert UNPROVOKED == empty


def test_the_alert_for_an_unlisted_code_fires(scene: Scene) -> None:
    """One of the load's answers has such a code."""
    wait_until(lambda: {"UnlistedCode", "WebhookDeadLetters"} <= scene.prometheus.firing(), what="the alerts")


def test_keda_s_query_is_answered_with_a_number_that_grows_with_the_backlog(scene: Scene) -> None:
    """With messages waiting: KEDA takes the first series, and none at all for a failure."""
    (trigger,) = yaml.safe_load((FOLDER.parents[1] / "kubernetes/base/keda.yaml").read_text())["spec"]["triggers"]

    def wanted_workers() -> float:
        answers = scene.prometheus.query(trigger["metadata"]["query"])
        assert len(answers) <= 1
        return sum(float(one["value"][1]) for one in answers)  # none just now: a scrape took too long

    client = redis.Redis.from_url(scene.stack.redis_url)
    client.hset(keys.HOLDS, "lane:3", '{"code":"","cause":"paused","since":0,"until":0}')
    with Producer(ProducerSettings(redis_url=scene.stack.redis_url)) as producer:
        producer.send_many([{"to": f"2799950{n:04d}", "text": "Waits", "lane": 3} for n in range(300)])
    waiting = 'threelane_lane_depth{lane="3"} >= 300'
    wait_until(lambda: scene.prometheus.query(waiting), what="300 messages to wait")
    wait_until(lambda: wanted_workers() == 1, what="one worker to be enough for them")
    now = client.time()[0] * 1000
    client.zadd(keys.QUEUED[3], {f"waits{n}": now for n in range(200_000)})
    wait_until(lambda: wanted_workers() > 1, what="more workers to be worth having")
    client.zrem(keys.QUEUED[3], *(f"waits{n}" for n in range(200_000)))
    client.hdel(keys.HOLDS, "lane:3")
    client.close()


def test_the_dashboards_can_be_drawn_without_a_grafana(scene: Scene, tmp_path: Path) -> None:
    """So that somebody looks at them when they are changed."""
    draw_all(scene.prometheus.url, 60, tmp_path, "5s")
    drawn = {file.stem: ElementTree.parse(file).getroot() for file in tmp_path.iterdir()}
    assert {"lanes", "money", "trouble", "worker"} == set(drawn)
    assert all("polyline" in ElementTree.tostring(one, encoding="unicode") for one in drawn.values())
