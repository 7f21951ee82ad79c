"""Logs: one JSON line per event of a message; numbers masked, texts and secrets never."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec

_LOG = logging.getLogger("threelane")
_encode = msgspec.json.Encoder(order="deterministic", enc_hook=str).encode


def event(name: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """Write one event: ``event("accepted", id=..., lane=3)``; fields are closed words, ids, counts and times.

    The application that embeds a producer decides with the logging module whether and where it appears.
    """
    if _LOG.isEnabledFor(level):
        _LOG.log(level, name, extra={"fields": fields})


def events(name: str, each: Iterable[dict[str, Any]], *, level: int = logging.INFO) -> None:
    """Write the same event of several messages, given by their fields; in our own log at little more than one's cost.

    An application that embeds a producer is given a record of each, as by ``event``.
    """
    if not _LOG.isEnabledFor(level):
        return
    if _ours():
        if lines := list(each):
            _LOG.log(level, name, extra={"lines": lines})
    else:
        for fields in each:
            event(name, level=level, **fields)


class JsonLines(logging.Formatter):
    """Formats a record as one JSON line, whoever logged it, or as a line for each of several messages."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, or the lines."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"at": at, "level": record.levelname.lower(), "event": record.getMessage()}
        if record.name != _LOG.name:
            line["logger"] = record.name
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        each = getattr(record, "lines", None) or [getattr(record, "fields", {})]
        return "\n".join([_encode(line | fields).decode() for fields in each])


def _ours() -> bool:
    """Tell whether all that is logged goes through our own formatter."""
    handlers = logging.getLogger().handlers
    return not _LOG.handlers and bool(handlers) and all(isinstance(one.formatter, JsonLines) for one in handlers)


def configure(level: str, stream: TextIO | None = None) -> None:
    """Send all logs of this process to ``stream`` (standard error) as JSON lines."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    handler.setLevel(level.upper())  # also what a logger with a level of its own lets pass
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for chatty in ("celery", "kombu", "amqp", "aiohttp.access", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    logging.getLogger("celery.app.trace").setLevel(logging.ERROR)  # it warns of every nudge that goes back to its lane
