"""What people see of it: log lines and metrics, without secrets, texts or whole numbers."""

from __future__ import annotations

from collections.abc import Callable
from urllib.request import urlopen

import pytest

from tests.integration.api import API
from tests.integration.conftest import SECRET, Workers, log_of, threelane_child
from tests.servers import wait_until
from threelane import Producer, Status
from threelane.sandbox.running import Running
from threelane.store.status import MessageStatus

Until = Callable[..., MessageStatus]
pytestmark = pytest.mark.main_job
TEXT = "The secret word is zanzibar"


def test_no_log_shows_a_text_a_whole_number_or_a_secret(
    producer: Producer,
    reporting: Running,
    workers: Workers,
    until: Until,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A log is read by more people than may know these."""
    caplog.set_level("DEBUG")
    child = workers.start(log_level="DEBUG", clickatell_password="sandbox")
    ends = {"27999500001": Status.DELIVERED, "27999112200": Status.DEAD, "27999190101": Status.DELIVERED}
    for number, status in ends.items():
        until(producer.send(number, TEXT).id, status)
    until(producer.send("27999300101", TEXT).id, Status.IN_DOUBT, Status.DELIVERED)
    producer.try_send("2799950000100x", TEXT)
    log = child.log.read_text() + "\n".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)

    assert "sent" in {line["event"] for line in log_of(child)}
    for hidden in ("zanzibar", SECRET, "password=", *ends, "27999300101"):
        assert hidden not in log


def test_the_first_line_of_a_worker_has_api_account_balance_and_lanes(workers: Workers) -> None:
    """Who starts a worker sees at once whether it speaks for the right account; no library's warning is beside it."""
    child = workers.start()
    (line,) = [line for line in log_of(child) if line["event"] == "started"]
    assert [] == [one for one in child.log.read_text(encoding="utf-8").splitlines() if not one.startswith("{")]
    assert line["gateway"] == API.name
    assert line["account"] == ("sandbox/sandbox" if "USER" in API.credentials else f"by the key of {API.name}")
    assert ("running", 100_000) == (line["state"], line["balance"])
    assert line["lanes"] == [1, 2, 3]


def test_the_outcome_of_each_attempt_is_logged_with_its_number_and_code(
    producer: Producer, sandbox: Running, workers: Workers, until: Until
) -> None:
    """Who looks into one message finds what became of it, retries included, without a debug level."""
    child, outcomes = workers.start(), ("sent", "retried", "dead")
    retried, dead = producer.send("27999190101", "Two").id, producer.send("27999112200", "Three").id
    until(retried, Status.SENT)
    until(dead, Status.DEAD)

    def logged(message_id: str) -> list[tuple[str, int, str]]:
        mine = [line for line in log_of(child) if line["event"] in outcomes and line["id"] == message_id]
        return [(line["event"], line["attempt"], line.get("code", "")) for line in mine]

    expected = [("retried", 1, API.code("901")), ("sent", 2, "")]
    wait_until(
        lambda: expected == logged(retried), what=f"the outcomes {expected}"
    )  # an attempt is settled, then logged
    wait_until(lambda: [("dead", 1, API.code("122"))] == logged(dead), what="the outcome of the dead letter")


def test_the_metrics_count_the_outcome_of_every_message(
    producer: Producer, reporting: Running, workers: Workers, until: Until, base_environment: dict[str, str]
) -> None:
    """Counts are made by the scripts that move messages, so they agree with the records to the last one."""
    worker = workers.start()
    until(producer.send("27999500001", "One", lane=1, cost_centre="login").id, Status.DELIVERED)
    until(producer.send("27999500002", "a" * 400, cost_centre="news").id, Status.DELIVERED)
    until(producer.send("27999190101", "Two", lane=2).id, Status.DELIVERED)
    until(producer.send("27999112200", "Three").id, Status.DEAD)
    until(producer.send("27999300101", "Four").id, Status.DELIVERED)
    producer.try_send("1", "Five")
    exporter = threelane_child("exporter", workers.folder, base_environment)
    workers.children.append(exporter)
    address = exporter.event("metrics")["url"]

    def page() -> str:
        return str(urlopen(address).read().decode())

    wait_until(lambda: 'threelane_moved_total{account="default",lane="3",status="delivered"} 2.0' in page())
    price = 0.8 if API.reports_charge else 1.0  # where no charge is reported the estimate stands for it
    for labels, parts in (('login",lane="1', 1), ('news",lane="3', 3), ('none",lane="3', 1)):
        assert (
            f'threelane_charged_credits_total{{account="default",cost_centre="{labels}"}} {round(parts * price, 1)}'
            in page()
        )
    for line in (
        'threelane_accepted_total{account="default",lane="3"} 3.0',
        'threelane_refused_total{code="105"} 1.0',
        'threelane_parts_total{account="default",lane="3"} 5.0',
        'threelane_moved_total{account="default",lane="1",status="delivered"} 1.0',
        f'threelane_retried_total{{account="default",code="{API.code("901")}",lane="2"}} 1.0',
        f'threelane_dead_total{{account="default",code="{API.code("122")}",owner="recipient"}} 1.0',
        'threelane_in_doubt_total{account="default",code="lost",lane="3"} 1.0',
        'threelane_lane_depth{account="default",lane="1"} 0.0',
        'threelane_lane_oldest_seconds{account="default",lane="1"} 0.0',
        "threelane_redis_up 1.0",
    ):
        assert line in page()
    own = urlopen(worker.event("metrics")["url"]).read().decode()
    assert 'threelane_accept_to_gateway_seconds_count{account="default",lane="1"} 1.0' in own
