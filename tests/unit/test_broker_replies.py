"""Broker replies: each error of py-amqp leads to its row, also behind an error of kombu."""

from __future__ import annotations

from pathlib import Path

import pytest
from amqp.exceptions import error_for_code
from kombu.exceptions import OperationalError

from threelane.operations import rabbit_replies
from threelane.producer.nudge_rabbit import PublishRefused
from threelane.runtime.broker_replies import ALARM, REPLIES, Ends, refusal_of
from threelane.runtime.exits import Exit
from threelane.worker.fetch.rabbit_refusals import Refusals, Refused

FROM_RABBITMQ = {
    (320, "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'"): "connection_forced",
    (403, "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN."): "login_refused",
    (403, "ACCESS_REFUSED - access to queue 'sms.1' in vhost '/' refused for user 'sms'"): "access_refused",
    (404, "NOT_FOUND - no queue 'sms.1' in vhost '/'"): "not_found",
    (405, "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'sms.1'"): "resource_locked",
    (406, "PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'sms.1' in vhost '/'"): "other_arguments",
    (406, "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out"): "precondition_failed",
    (530, "NOT_ALLOWED - vhost nope not found"): "vhost_refused",
    (530, "NOT_ALLOWED - access to vhost '/' refused for user 'sms': connection limit (0) is reached"): "limit_reached",
    (541, "INTERNAL_ERROR - access to vhost '/' refused for user 'sms': vhost '/' is down"): "internal_error",
}


@pytest.mark.parametrize(("code", "text", "name"), [(*key, name) for key, name in FROM_RABBITMQ.items()])
def test_each_reply_has_its_row(code: int, text: str, name: str) -> None:
    """Two replies of one code may need different remedies."""
    refused = error_for_code(code, text, (0, 0), Exception)
    wrapped = OperationalError("wrapped")
    wrapped.__cause__ = refused

    for one in (refused, wrapped):
        found = refusal_of(one)
        assert found
        assert name == found.reply.name
        assert text in found.sentence
        assert found.reply.remedy in found.sentence


def test_an_alarm_has_its_row_and_a_lost_connection_has_none() -> None:
    """A lost connection is an outage, and RabbitMQ refused nothing."""
    assert (ALARM, "") == refusal_of(PublishRefused(ALARM))
    assert refusal_of(ConnectionResetError()) is None
    assert refusal_of(None) is None


def test_a_queue_with_other_arguments_is_named() -> None:
    """An operator has many queues."""
    text = "PRECONDITION_FAILED - inequivalent arg 'x-max-priority' for queue 'sms.2' in vhost '/': received none"
    found = refusal_of(error_for_code(406, text, (0, 0), Exception))
    assert found
    assert found.sentence.startswith("queue sms.2: ")


def test_a_refused_worker_retries_at_once_and_then_waits() -> None:
    """Celery reconnects as often as it may, and would fill the log."""
    now = [0.0]
    refusals = Refusals(lambda: now[0])
    refusals.consuming()
    refused = error_for_code(403, "ACCESS_REFUSED - access to queue 'sms.1' refused", (0, 0), Exception)
    refusals.meet(refused)
    refusals.wait()
    refusals.meet(refused)
    with pytest.raises(Refused):
        refusals.wait()
    now[0] = 5.0
    refusals.wait()


def test_a_wrong_setting_ends_a_worker_that_starts_and_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    """A running worker sends by looks, and the permission may be restored."""
    refused = error_for_code(403, "ACCESS_REFUSED - Login was refused", (0, 0), Exception)
    refusals = Refusals()
    with pytest.raises(SystemExit) as ended:
        refusals.meet(refused)
    assert Exit.USAGE == ended.value.code
    assert "THREELANE_BROKER_URL" in capsys.readouterr().err
    refusals.consuming()
    refusals.meet(refused)


def test_only_other_arguments_end_a_running_worker() -> None:
    """No restart of RabbitMQ, no permission and no alarm may stop the sending."""
    assert ["other_arguments"] == [one.name for one in REPLIES if one.ends is Ends.ALWAYS]


def test_the_page_is_generated_from_the_table() -> None:
    """One fact has one place: `python -m threelane.operations.rabbit_replies > docs/rabbitmq-replies.md`."""
    page = Path(__file__).parents[2] / "docs" / "rabbitmq-replies.md"
    assert "\n".join(rabbit_replies.document()) + "\n" == page.read_text(encoding="utf-8")
