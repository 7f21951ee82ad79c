"""Logs: one JSON line per event of a message; numbers masked, texts and secrets never."""

from __future__ import annotations

import logging
import sys
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


class JsonLines(logging.Formatter):
    """Formats a record as one JSON line, whoever logged it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"at": at, "level": record.levelname.lower(), "event": record.getMessage()}
        if record.name != _LOG.name:
            line["logger"] = record.name
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _encode(line | getattr(record, "fields", {})).decode()


def configure(level: str, stream: TextIO | None = None) -> None:
    """Send all logs of this process to ``stream`` (standard error) as JSON lines."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for chatty in ("celery", "kombu", "amqp", "aiohttp.access", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    logging.getLogger("celery.app.trace").setLevel(logging.ERROR)  # it warns of every nudge that goes back to its lane
