"""Controller: Celery's worker and consumer, whose every end but by a signal has a sentence and a code other than 0.

Celery logs an error that it cannot recover from with a traceback and stops as if by a signal, and for two causes (too
many open files, a remote shutdown) even with code 0.  A supervisor that restarts on failure would leave it dead.
"""

from __future__ import annotations

import signal
import sys
import warnings
from typing import Any, cast

from celery import signals
from celery.apps import worker as programs
from celery.exceptions import CPendingDeprecationWarning, WorkerTerminate
from celery.worker import state
from celery.worker.consumer import Consumer as CeleryConsumer
from redis.exceptions import RedisError

from threelane.producer.explanation import explain
from threelane.runtime import logs, tls
from threelane.runtime.broker_replies import refusal_of
from threelane.runtime.ending import on_stop
from threelane.runtime.exits import Exit
from threelane.runtime.raised import place_of
from threelane.worker.process import refusals
from threelane.worker.process.identity import IDENTITY
from threelane.worker.process.readiness import BROKER, READINESS


class Unrecoverable(Exception):
    """A worker must end; the text has the cause and the fix, the code is its exit code."""

    def __init__(self, problem: str, code: Exit = Exit.FAULT) -> None:
        """Take the sentence for the operator and the exit code."""
        super().__init__(problem)
        self.code = code


_requested: list[Unrecoverable] = []
_cut_off: list[Exit] = []


def request_end(problem: str) -> None:
    """End this worker with an error as soon as its messages under way are settled; call it from any thread."""
    _requested.append(Unrecoverable(problem))
    state.should_stop = Exit.FAULT  # type: ignore[assignment] # the stubs have its first value


def note_cut_off() -> None:
    """Note that results could not be recorded: a stop by a signal exits with ``Exit.CUT_OFF``."""
    _cut_off.append(Exit.CUT_OFF)


class Worker(programs.Worker):
    """Celery's worker, which never ends with code 0 but by a signal.

    Any number of stop signals is one graceful stop: Celery would cut calls off at a second one, and at SIGHUP start
    itself again, with an incomplete command line.
    """

    def install_platform_tweaks(self, process: Any) -> None:
        """Install the signal handlers, without Celery's for stop signals."""

        def stop(number: int, _: object) -> None:
            name = signal.Signals(number).name
            signals.worker_shutting_down.send(sender=process.hostname, sig=name, how="Warm", exitcode=Exit.OK)
            state.should_stop = Exit.OK  # type: ignore[assignment] # the stubs have its first value

        on_stop(stop)
        programs.install_cry_handler()  # type: ignore[attr-defined]
        programs.install_rdb_handler()  # type: ignore[attr-defined]

    def setup_instance(self, *args: Any, **options: Any) -> None:
        """Set the worker up without gossip and mingling, whichever command starts it; a heartbeat is for Flower."""
        is_watched = bool(self.app.conf.worker_enable_remote_control)
        own = {"without_gossip": True, "without_mingle": True, "without_heartbeat": not is_watched}
        super().setup_instance(*args, **options | own)

    def start(self) -> None:
        """Run until a signal ends the worker; any other end exits with a sentence and a code other than 0."""
        failed: BaseException | None = None
        try:
            cast("Any", self.blueprint).start(self)
        except (Exception, SystemExit) as ended:
            failed = ended
        by_signal = _by_signal() and not _requested
        if _requested:
            failed = _requested[0]
        problem, code = ("", Exit.OK) if by_signal else describe(failed)
        if problem:
            logs.event("unrecoverable", level=50, problem=problem)
            print(f"threelane: {problem}", file=sys.stderr)
        if isinstance(failed, WorkerTerminate):
            self.terminate()
        else:
            self.stop(exitcode=int(code))
        if not by_signal or _cut_off:
            raise SystemExit(code or Exit.CUT_OFF)


class Consumer(CeleryConsumer):
    """Celery's consumer, which waits for the broker and logs each reason once."""

    refusals = refusals.REDIS
    """Those of the Redis that is the broker."""

    class Blueprint(CeleryConsumer.Blueprint):  # type: ignore[misc, valid-type]  # assigned at run time
        """Its steps, without the one that declares 28 queues for delays when the lanes are quorum queues."""

        default_steps = [one for one in CeleryConsumer.Blueprint.default_steps if "delayed_delivery" not in one]  # noqa: RUF012

    def ensure_connected(self, conn: Any) -> Any:
        """Return the connection once it is open; raises Unrecoverable if waiting cannot help."""

        def unreachable(failed: Exception, _: float) -> None:
            if problem := tls.problem(failed):
                raise Unrecoverable(problem.replace("Redis", "the broker"), Exit.USAGE)
            self._wait(failed, _away(failed))

        opened = conn.ensure_connection(unreachable, None, callback=state.maybe_shutdown)
        self.first_connection_attempt = False
        if READINESS.clear(BROKER) and not self.refusals.is_waiting:  # that logs its own end
            logs.event("reached_broker")
        return opened

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Record that the broker is away, and close the broken connection."""
        self._wait(exc, f"the connection to the broker is lost ({type(exc).__name__})")
        warnings.simplefilter("ignore", CPendingDeprecationWarning)  # of a setting that we give explicitly
        super().on_connection_error_after_connected(exc)

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        """Record that the broker is away."""
        self._wait(exc, _away(exc))

    def _wait(self, failed: Exception, otherwise: str) -> None:
        """Be not ready because of the reply behind a failure, or for the other reason; log each reason once."""
        refusal = refusal_of(failed)
        reason = refusal.sentence if refusal else otherwise
        if reply := self.refusals.note(failed) or (failed.__cause__ and self.refusals.note(failed.__cause__)):
            reason = self.refusals.sentence(reply)
        if reply and self.refusals is refusals.REDIS:
            READINESS.clear(BROKER)  # Redis is the broker: its own part has the reason
        elif READINESS.wait(BROKER, reason) and not reply:
            logs.event("waits_for_broker", level=30, problem=reason)
        IDENTITY.report(reasons=READINESS.reasons)


def _away(failed: Exception) -> str:
    return f"the broker does not answer ({type(failed).__name__}): start it, or correct its address"


def describe(failed: BaseException | None) -> tuple[str, Exit]:
    """Return the sentence and the exit code of an end that no signal caused."""
    if isinstance(failed, Unrecoverable):
        return str(failed), failed.code
    if isinstance(failed, SystemExit):
        return _of_an_exit(failed)
    if isinstance(failed, RedisError):
        return f"the worker ends: {explain(failed)}", Exit.UNAVAILABLE
    if failed is None:
        return "the worker ended without a reason: please report it", Exit.FAULT
    return f"the worker ends: internal error, {place_of(failed)}: please report it", Exit.FAULT


def _of_an_exit(ended: SystemExit) -> tuple[str, Exit]:
    """Return what an exit means: our own have printed their sentence, Celery's have none."""
    if isinstance(ended, WorkerTerminate) and ended.__cause__ is not None:
        return "the worker ends: too many open files; raise its limit (LimitNOFILE, ulimit -n)", Exit.UNAVAILABLE
    if ended.code and ended.code in [*Exit]:  # of a part that has printed or logged why
        return "", Exit(int(ended.code))
    return "the worker was ended from within, not by a signal", Exit.FAULT


def _by_signal() -> bool:
    """Return whether a signal handler has requested the end; a part that fails requests another code than 0."""
    stops = cast("Any", state.should_stop)
    return stops is not None and stops is not False and stops == Exit.OK
