"""Remote control: Celery's commands and Flower may look at a worker, and never change it.

Off by default: whoever reaches the broker could otherwise stop every worker.  With ``inspect`` a worker responds to the
commands of a short list, and publishes a heartbeat for Flower.  Commands that it does not know it refuses by a reply.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import click
from celery.worker.control import Panel
from click.core import ParameterSource

READING = ("active", "active_queues", "conf", "ping", "registered", "reserved", "revoked", "scheduled", "stats")
"""The commands that only read, and whose replies have no secret: ids, names, counts."""
OFF: Literal["off"] = "off"
REFUSED = "Threelane workers respond to reading commands only: " + ", ".join(READING)
Command = Callable[..., Any]


class ReadingCommands(dict[str, Command]):
    """The commands of a worker; it refuses any other one, where Celery would log a traceback."""

    def __missing__(self, _: str) -> Command:
        """Return the command that refuses."""
        return _refuse


def restrict() -> None:
    """Register the reading commands alone, for this process as a worker or as a client."""
    Panel.data = ReadingCommands({name: Panel.data[name] for name in READING})
    Panel.data["conf"] = _conf
    Panel.meta = {name: Panel.meta[name] for name in READING}


def options(remote_control: str) -> dict[str, Any]:
    """Return Celery's settings for a value of THREELANE_REMOTE_CONTROL."""
    return {
        "worker_enable_remote_control": remote_control != OFF,
        "control_queue_exclusive": False,  # after a lost connection RabbitMQ would refuse the worker its own queue
        "control_queue_durable": True,  # other queues that are not exclusive end with RabbitMQ 4; this one expires
    }


def node_name(given: str, worker_name: str) -> str:
    """Return a worker's name in Celery's tools: that of ``-n`` if it was typed, else the one under which it reports."""
    context = click.get_current_context(silent=True)
    is_typed = context and context.get_parameter_source("hostname") is ParameterSource.COMMANDLINE
    return given if is_typed else f"celery@{worker_name}"


def _conf(_state: Any, **_: Any) -> dict[str, Any]:
    """Return no setting: Celery's include the address of the broker, and none of Threelane's."""
    return {}


def _refuse(_state: Any, **_: Any) -> dict[str, str]:
    """Refuse a command."""
    return {"error": REFUSED}
