"""Check RabbitMQ: whether a queue can be declared, and a nudge published, confirmed and fetched, on each node."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

from amqp.exceptions import AMQPError
from kombu import Connection

from threelane.operations.finding import Finding, Grade
from threelane.producer.nudge_rabbit import PublishRefused, RabbitSession
from threelane.runtime import tls
from threelane.runtime.broker_replies import refusal_of
from threelane.runtime.deadline import Deadline
from threelane.runtime.settings import Settings
from threelane.store import keys

WHAT = "broker, RabbitMQ"
SECONDS = 5.0  # all that the check waits for one node
EXPIRES_MS = 60_000  # RabbitMQ deletes the queue of a check that could not delete it
NUDGE = b"[[0, []], {}, {}]"


def check_rabbit(settings: Settings) -> Iterator[Finding]:
    """Yield a finding for each node of RabbitMQ."""
    for url in settings.broker.split(";"):
        at = Connection(url).as_uri()  # without its password
        deadline = Deadline(SECONDS)
        try:
            with deadline.within():
                session = RabbitSession(url, deadline, settings.rabbit_queue_arguments)
                try:
                    _lanes(session)
                    _round_trip(session)
                finally:
                    session.close()
        except (AMQPError, PublishRefused) as refused:
            refusal = refusal_of(refused)
            problem = refusal.sentence if refusal else str(refused)
            yield Finding(Grade.ERROR, WHAT, f"{at}: {problem}", "see docs/rabbitmq-replies.md")
        except OSError as failed:
            problem = tls.problem(failed) or str(failed) or type(failed).__name__
            yield Finding(Grade.ERROR, WHAT, f"{at}: {problem}", "start it, or correct THREELANE_BROKER_URL")
        else:
            yield Finding(Grade.OK, WHAT, f"{at} answers, version {session.version}, and delivers")


def _lanes(session: RabbitSession) -> None:
    """Declare the queues of the lanes as workers do; raises errors of py-amqp if they have other arguments."""
    for queue in map(keys.queue, keys.LANES):
        if session.exists(queue):
            session.declare(queue)


def _round_trip(session: RabbitSession) -> None:
    """Publish and fetch on a queue of this check."""
    queue = f"sms.check.{uuid.uuid4().hex}"  # which the permissions for the lanes cover
    session.declare(queue, {"x-expires": EXPIRES_MS})
    session.publish(queue, [NUDGE])
    found = session.fetch(queue)
    session.delete(queue)
    if found != NUDGE:
        raise AMQPError("a confirmed nudge was not in its queue")
