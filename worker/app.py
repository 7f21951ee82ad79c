"""App: the Celery application, and the start and stop of a worker process.

Started by ``threelane worker`` or ``celery -A threelane.worker.app worker``.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

from threelane.runtime import extras

try:
    import prometheus_client  # noqa: F401 - part of the same extra
    from celery import signals
except ModuleNotFoundError:
    raise ImportError(extras.sentence("worker", __name__)) from None

from threelane.contract.gateways import InvalidGateway
from threelane.producer.nudge import Nudger
from threelane.runtime import accounts_file, logs, variables
from threelane.runtime.ending import ENDING, end_at_once
from threelane.runtime.exits import Exit
from threelane.runtime.settings import load_or_exit
from threelane.store import keys
from threelane.worker.fetch import put_back, rabbit, tasks, transport
from threelane.worker.fetch.lanes import LANES
from threelane.worker.gateway import choose, overrides, tables
from threelane.worker.process import accounts, consumer_pulse, interpreter, metrics, remote_control, starting
from threelane.worker.process.account_label import OfAccount
from threelane.worker.process.broker import application, refuse_options
from threelane.worker.process.controller import describe, note_cut_off, request_end
from threelane.worker.process.identity import IDENTITY
from threelane.worker.process.metrics_endpoint import serve_or_exit, target_of
from threelane.worker.process.probes import live, serve_probes
from threelane.worker.process.reach import reach_or_exit
from threelane.worker.process.settings import WorkerSettings
from threelane.worker.reply import words
from threelane.worker.upkeep import beat
from threelane.worker.upkeep.engine import Engine

RECORD_SECONDS = 15.0  # at the end, after the longest call, for its result to be recorded

refuse_options()
settings = load_or_exit(WorkerSettings)
transport.install(settings)
codes = tables.each_or_exit()
choose.sender_or_exit(settings)
try:
    if settings.policy_file:
        overrides.check(settings.policy_file)
except overrides.WrongPolicy as wrong:
    given_as = accounts_file.name_of("policy_file", settings.account, settings.accounts_file)
    print(f"threelane: {given_as} is invalid\n{wrong}", file=sys.stderr)
    raise SystemExit(2) from None
words.load_or_exit(settings.words_file)
routing = accounts.read_accounts_or_exit().routing
app = application(
    settings,
    settings.space.account,
    worker_pool="threads",
    worker_concurrency=settings.nudges_at_once,
    worker_prefetch_multiplier=1,
    worker_send_task_events=False,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    task_acks_late=True,
    task_track_started=False,
    **remote_control.options(settings.remote_control),
)
remote_control.restrict()
nudger = Nudger(settings, account=settings.space.account)
on_rabbitmq = settings.broker_kind == "RabbitMQ"


def _fail() -> None:
    request_end("the worker ends: three different messages failed, with no success between them; please report it")


engine = Engine(settings, nudger, _fail)
tasks.register(app, engine.attempt, put_back.on_rabbitmq(nudger) if on_rabbitmq else put_back.by_transport)
consumer_pulse.register(app)


@signals.celeryd_init.connect
def _prepare(**_: Any) -> None:
    """Prepare a worker; Celery's tools load this module, too, and need no account."""
    logs.configure(settings.log_level)  # before Celery warns of the user root
    choose.credentials_or_exit(settings)


@signals.setup_logging.connect
def _log(**_: Any) -> None:
    logs.configure(settings.log_level)


@signals.worker_init.connect
def _start(sender: Any, **_: Any) -> None:
    end_at_once()  # the first process of a container would ignore signals while it waits for Redis
    try:
        _begin(sender)
    except InvalidGateway as wrong:
        print(f"threelane: {wrong}", file=sys.stderr)
        raise SystemExit(Exit.USAGE) from None
    except Exception as failed:  # Celery would log it and go on with a half-started engine
        problem, code = describe(failed)
        logs.event("start_failed", level=40, error=type(failed).__name__)
        print(f"threelane: {problem}", file=sys.stderr)
        raise SystemExit(code) from None


def _begin(process: Any) -> None:
    """Start everything but Celery's consumer, outermost first: nothing is taken before the last step succeeded."""
    variables.warn()
    metrics.announce_alarms(*codes)
    IDENTITY.take(settings)
    server = serve_or_exit(settings, OfAccount(settings.account))
    serve_probes(server, partial(live, missing_lanes=LANES.missing))
    IDENTITY.report(metrics=target_of(settings, server))
    queues = app.amqp.queues.consume_from
    LANES.serves = frozenset(lane for lane in keys.LANES if keys.queue(lane, settings.space.account) in queues)
    beat.STARTED_WITH.routing = "" if routing.is_one else routing.version
    reach_or_exit(settings, lambda client: beat.take_name(client, settings))
    reach_or_exit(settings, lambda client: accounts.publish(client, routing, settings.account))
    own = IDENTITY.announced
    process.hostname = remote_control.node_name(process.hostname, own.name)
    logs.event("identity", worker=own.name, account=own.account, slot=own.slot, run_dir=IDENTITY.folder)
    starting.drain_by_signal(_end_in_time)
    if on_rabbitmq:
        rabbit.declare_or_exit(app)
    engine.start()
    interpreter.shorten_pauses()


@signals.worker_shutting_down.connect
def _drain(**_: Any) -> None:
    logs.event("draining")
    _end_in_time()
    engine.drain()


def _end_in_time(drained: Exit = Exit.OK) -> None:
    ENDING.begin(settings.gateway_timeout_seconds + RECORD_SECONDS, LANES.is_serving, drained, engine.has_unrecorded)


@signals.worker_shutdown.connect
def _stop(**_: Any) -> None:
    _end_in_time(drained=Exit.FAULT)  # unless a signal came before
    engine.stop()
    IDENTITY.release()
    if engine.has_unrecorded():
        note_cut_off()
    logs.event("stopped")
