"""Probes: /live and /ready beside /metrics, answered by the process itself, so that they work without Redis."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any
from wsgiref.simple_server import WSGIServer

import msgspec

from threelane.contract.accounts.account import DEFAULT
from threelane.worker.process.identity import IDENTITY
from threelane.worker.process.pulse import CONSUMER, PULSE, Pulse
from threelane.worker.process.readiness import READINESS, Readiness

Start = Callable[..., Any]


class Live(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker reports of itself: ``problems`` end with a restart, ``reasons`` without one.

    ``warnings`` do not keep it from sending.  ``reporting_seconds`` is for how long Redis has taken its heartbeats,
    ``redis`` a digest of the Redis that it works for, and ``account`` the one that it serves.
    """

    worker: str
    pid: int
    problems: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    reporting_seconds: float = 0.0
    warnings: tuple[str, ...] = ()
    redis: str = ""
    account: str = DEFAULT

    @property
    def is_live(self) -> bool:
        """Whether a restart would not help."""
        return not self.problems

    @property
    def is_ready(self) -> bool:
        """Whether it sends."""
        return not self.problems and not self.reasons


def live(
    pulse: Pulse = PULSE, readiness: Readiness = READINESS, missing_lanes: Callable[[], Collection[int]] = tuple
) -> Live:
    """Return the report of this process; ``missing_lanes`` returns those that it serves, and does not consume."""
    problems = [
        f"its {'consumer' if part == CONSUMER else f'event loop {part}'} has not turned for {seconds:.0f} s"
        for part, seconds in pulse.silent().items()
    ]
    if pulse.has(CONSUMER):
        problems += [f"it does not consume lane {lane}, which it serves" for lane in sorted(missing_lanes())]
    reasons = list(readiness.reasons.values())
    if not pulse.has(CONSUMER) and not reasons:
        reasons.append("its consumer starts, ends or waits for the broker")
    own = IDENTITY.announced
    return Live(
        worker=own.name,
        pid=own.pid,
        problems=tuple(problems),
        reasons=tuple(reasons),
        reporting_seconds=pulse.reporting_seconds(),
        warnings=(f"it is not announced: {IDENTITY.problem}",) if IDENTITY.problem else (),
        redis=own.redis,
        account=own.account,
    )


_PROBES: dict[str, Callable[[Live], bool]] = {"/live": lambda one: one.is_live, "/ready": lambda one: one.is_ready}


def serve_probes(server: WSGIServer, report: Callable[[], Live] = live) -> None:
    """Answer /live and /ready on the server of the metrics: 200, or 503 with the problems and reasons."""
    metrics: Any = server.get_app()

    def app(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        passes = _PROBES.get(environ["PATH_INFO"])
        if passes is None:
            return metrics(environ, start)  # type: ignore[no-any-return]
        found = report()
        body = msgspec.json.encode(found)
        status = "200 OK" if passes(found) else "503 Service Unavailable"
        start(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    server.set_app(app)
