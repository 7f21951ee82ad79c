"""Caller: what the commands that send have in common: a producer, fields and answers."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any, NoReturn

import msgspec
import typer

from threelane.contract import duration
from threelane.contract.duration import MINUTE_SECONDS
from threelane.contract.errors import Refused
from threelane.contract.fields import named
from threelane.interfaces.command.printing import unavailable, wrong_usage
from threelane.producer.accept import Accepted
from threelane.producer.client import Producer
from threelane.producer.outage import Unavailable
from threelane.runtime import logs
from threelane.runtime.settings import ProducerSettings, load_or_exit

DURATION_FIELDS = {"delay": 1, "retry_every": 1, "stop_retrying_after": 1, "validity_period": MINUTE_SECONDS}
IN_MINUTES = "deliv_time"  # the gateway's name of a delay
"""The fields of a message that are lengths of time, each with its unit in seconds."""
Lane = Annotated[int | None, typer.Option(help="1 (highest), 2 or 3.")]


def named_values(option: str, pairs: list[str] | None) -> dict[str, str]:
    """Return the values by name of an option name=value, without a second value of the same name."""
    values: dict[str, str] = {}
    for name, _, value in (pair.partition("=") for pair in pairs or []):
        if name in values:
            wrong_usage(f"{option} {name}: given twice; keep one")
        values[name] = value
    return values


def field_options(pairs: list[str] | None) -> dict[str, tuple[str, str]]:
    """Return the name and the value of each ``--field name=value``, by the option as it is shown.

    A duration, such as delay=1h, is in the unit of its field.
    """
    values = named_values("--field", pairs)
    return {f"--field {name}": (name, _in_its_unit(name, value)) for name, value in values.items()}


def each_once(options: Mapping[str, tuple[str, Any]]) -> dict[str, Any]:
    """Return the values of fields by the names under which options give them; ends the command on a second value.

    ``options`` has the name and the value of the field that each argument or option sets; None: it is not given.
    """
    fields: dict[str, Any] = {}
    first: dict[str, str] = {}
    for option, (name, value) in options.items():
        if value is None:
            continue
        field = named(name)
        other = first.setdefault(field.name if field else name, option)
        if other != option:
            wrong_usage(f"{option}: also given by {other}; keep one")
        fields[name] = value
    return fields


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
    if isinstance(answer, Accepted) and answer.account:
        fields["account"] = answer.account
    return more | {"accepted": True} | fields


def refusal_json(refused: Refused) -> dict[str, Any]:
    """Return a refusal in the form of the JSON output; ``id`` is the accepted message that conflicts with it."""
    fields = msgspec.structs.asdict(refused.refusal)
    return fields | {"id": fields.pop("accepted_id")}


def give_up(away: Unavailable, as_json: bool, counts: Counter[str] | None = None) -> NoReturn:
    """End the command: Redis does not answer."""
    unavailable(str(away), as_json, away.unsure, counts)
