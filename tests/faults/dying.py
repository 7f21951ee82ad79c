"""A process that kills itself at a named point: ``python -m tests.faults.dying after_claim worker``.

The product has no hooks for this: what is called at the point is wrapped from outside, and then the command line runs
as ever.  With THREELANE_TEST_FREEZE it stops there instead, as a machine does that is put to sleep, until SIGCONT.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any

from threelane.gateways.http.gateway import HttpGateway
from threelane.gateways.one.gateway import OneGateway
from threelane.gateways.rest.gateway import RestGateway
from threelane.gateways.xml.gateway import XmlGateway

GATEWAYS = (HttpGateway, RestGateway, XmlGateway, OneGateway)


def die(_answer: Any = None) -> None:
    """As the kernel does when memory runs out: nothing is flushed, nothing is reported."""
    if "THREELANE_TEST_FREEZE" in os.environ:
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)  # this thread at once, the others with it
    else:
        os.kill(os.getpid(), signal.SIGKILL)


def before(owner: Any, name: str) -> None:
    """Die when it is called."""
    _wrap(owner, name, early=True, when=bool)


def after(owner: Any, name: str, when: Callable[[Any], bool] = lambda _: True) -> None:
    """Die when it has been done and its answer satisfies ``when``."""
    _wrap(owner, name, early=False, when=when)


def _wrap(owner: Any, name: str, *, early: bool, when: Callable[[Any], bool]) -> None:
    real = getattr(owner, name)

    @wraps(real)
    async def in_the_loop(*given: Any, **named: Any) -> Any:
        if early:
            die()
        answer = await real(*given, **named)
        if not early and when(answer):
            die()
        return answer

    @wraps(real)
    def in_a_thread(*given: Any, **named: Any) -> Any:
        if early:
            die()
        answer = real(*given, **named)
        if not early and when(answer):
            die()
        return answer

    setattr(owner, name, in_the_loop if iscoroutinefunction(real) else in_a_thread)


def before_the_nudge() -> None:
    """Any publisher: a producer after accept, a worker after release or after a look-up."""
    from threelane.producer.nudge import Nudger

    before(Nudger, "publish")


def before_the_claim() -> None:
    from threelane.worker.send.attempt import Attempts

    before(Attempts, "attempt")


def after_the_claim() -> None:
    from threelane.worker.send import attempt

    after(attempt, "claim", when=lambda claims: bool(claims.claimed))


def after_the_request_left() -> None:
    """The sandbox is slow then: its answer is still to come when the body has been written."""
    from aiohttp.client_reqrep import ClientRequest

    from threelane.worker.send.attempt import Attempts

    sends = ContextVar("sends", default=False)  # and does not request the balance, its first request
    send, write = Attempts._call, ClientRequest.write_bytes

    async def sending(*given: Any) -> Any:
        sends.set(True)
        return await send(*given)

    async def written(*given: Any) -> None:
        await write(*given)
        if sends.get():
            die()

    Attempts._call, ClientRequest.write_bytes = sending, written


def after_the_answer() -> None:
    for gateway in GATEWAYS:
        after(gateway, "send")


def after_settle() -> None:
    from threelane.worker.send import settler

    after(settler, "settle")


def after_release() -> None:
    from threelane.worker.fetch import release

    after(release, "release", when=bool)


def in_a_look_up() -> None:
    """The probe is written, the gateway has answered, and nothing of it is."""
    for gateway in GATEWAYS:
        after(gateway, "look_up")


def after_resolve() -> None:
    from threelane.worker.doubt import resolve

    after(resolve, "resolve", when=lambda answer: bool(answer[1]))


POINTS = (
    before_the_nudge,
    before_the_claim,
    after_the_claim,
    after_the_request_left,
    after_the_answer,
    after_settle,
    after_release,
    in_a_look_up,
    after_resolve,
)


if __name__ == "__main__":
    point = sys.argv.pop(1)
    {one.__name__: one for one in POINTS}[point]()

    from threelane.interfaces.command.line import main

    main()
