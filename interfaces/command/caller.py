"""Caller: what the commands that send have in common: a producer, fields and answers."""

from __future__ import annotations

import os
from collections import Counter
from typing import Annotated, Any, NoReturn

import msgspec
import typer

from threelane.contract import duration
from threelane.contract.duration import MINUTE_SECONDS
from threelane.contract.errors import Refused
from threelane.contract.fields import named
from threelane.interfaces.command.printing import unavailable
from threelane.producer.accept import Accepted
from threelane.producer.client import Producer
from threelane.producer.outage import Unavailable
from threelane.runtime import logs
from threelane.runtime.settings import ProducerSettings, load_or_exit

DURATION_FIELDS = {"delay": 1, "retry_every": 1, "stop_retrying_after": 1, "validity_period": MINUTE_SECONDS}
IN_MINUTES = "deliv_time"  # the gateway's name of a delay
"""The fields of a message that are lengths of time, each with its unit in seconds."""
Lane = Annotated[int | None, typer.Option(help="1 (highest), 2 or 3.")]


def named_values(pairs: list[str] | None) -> dict[str, str]:
    """Return the pairs of ``--field name=value``; a duration, such as delay=1h, in the unit of its field."""
    return {name: _in_its_unit(name, value) for name, _, value in (pair.partition("=") for pair in pairs or [])}


def _in_its_unit(name: str, value: str) -> str:
    field = named(name)
    unit = MINUTE_SECONDS if name.lower() == IN_MINUTES else DURATION_FIELDS.get(field.name) if field else None
    if unit is None:
        return value
    try:
        return f"{duration.parse(value, unit) / unit:.15g}"
    except ValueError:
        return value  # the field's own refusal explains it


def open_producer() -> Producer:
    settings = load_or_exit(ProducerSettings)
    logs.configure(os.environ.get("THREELANE_LOG_LEVEL", "ERROR"))
    return Producer(settings)


def answer_json(answer: Any, **more: Any) -> dict[str, Any]:
    """Return an answer in the form of the JSON output."""
    if isinstance(answer, Refused):
        return more | {"accepted": False} | refusal_json(answer)
    fields: dict[str, Any] = msgspec.to_builtins(answer.explained() if isinstance(answer, Accepted) else answer)
    return more | {"accepted": True} | fields


def refusal_json(refused: Refused) -> dict[str, Any]:
    """Return a refusal in the form of the JSON output; ``id`` is the accepted message that conflicts with it."""
    fields = msgspec.structs.asdict(refused.refusal)
    return fields | {"id": fields.pop("accepted_id")}


def give_up(away: Unavailable, as_json: bool, counts: Counter[str] | None = None) -> NoReturn:
    """End the command: Redis does not answer."""
    unavailable(str(away), as_json, away.unsure, counts)
