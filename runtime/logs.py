"""Logs: one JSON line per event; numbers are masked, texts and secrets never logged."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec

from threelane.runtime.visible import visible_json

_LOG = logging.getLogger("threelane")
_encode = msgspec.json.Encoder(order="deterministic", enc_hook=str).encode


def event(name: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """Write one event: ``event("accepted", id=..., lane=3)``; fields are words of a closed set, ids, counts and
    times.

    An application that embeds a producer decides with the logging module whether and where it appears.
    """
    if _LOG.isEnabledFor(level):
        _LOG.log(level, name, extra={"fields": fields})


def events(name: str, each: Iterable[dict[str, Any]], *, level: int = logging.INFO) -> None:
    """Write one event for each of several messages; with ``JsonLines`` at little more than the cost of one.

    An application that embeds a producer gets one record per message, as by ``event``.
    """
    if not _LOG.isEnabledFor(level):
        return
    if _is_json_only():
        if lines := list(each):
            _LOG.log(level, name, extra={"lines": lines})
    else:
        for fields in each:
            event(name, level=level, **fields)


class JsonLines(logging.Formatter):
    """Formats a record of any logger as one JSON line, or as one line for each of several messages."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, or the lines."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"at": at, "level": record.levelname.lower(), "event": record.getMessage()}
        if record.name != _LOG.name:
            line["logger"] = record.name
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        each = getattr(record, "lines", None) or [getattr(record, "fields", {})]
        return "\n".join([visible_json(_encode(line | fields).decode()) for fields in each])


def _is_json_only() -> bool:
    """Return whether all logs go through ``JsonLines``."""
    handlers = logging.getLogger().handlers
    return not _LOG.handlers and bool(handlers) and all(isinstance(one.formatter, JsonLines) for one in handlers)


def configure(level: str, stream: TextIO | None = None) -> None:
    """Send all logs of this process to ``stream`` (standard error) as JSON lines."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    handler.setLevel(level.upper())  # also for loggers with their own level
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(capture=True)  # of libraries
    for chatty in ("celery", "kombu", "amqp", "aiohttp.access", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    logging.getLogger("celery.app.trace").setLevel(logging.ERROR)  # it warns of every nudge that is requeued
