"""Paused: the batches of a file that are paused, so that their messages wait until they are resumed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from threelane.interfaces.command.printing import print_line, wrong_usage
from threelane.interfaces.command.values import shown_at
from threelane.producer.client import Producer
from threelane.producer.files.plan import Plan
from threelane.store import pauses
from threelane.store.pauses import Pause


def find_paused(producer: Producer, plan: Plan) -> list[Pause]:
    """Return the pauses of a plan's batches, as they are now."""
    places = sorted(plan.places)
    return [one for one in producer.query(lambda client: pauses.of(client, places)) if one]


def print_paused(paused: Sequence[Pause]) -> None:
    """Print each pause, and the command that ends it."""
    for one in paused:
        print_line(f"{_since(one)}: its messages are accepted, and wait until {_resume(one)}")


def in_json(paused: Sequence[Pause]) -> dict[str, Any]:
    """Return what a line of JSON has more if a batch is paused."""
    names = ("producer", "name", "since", "by")
    shown = [{name: getattr(one, name) for name in names} | {"resume": _resume(one)} for one in paused]
    return {"paused": shown} if shown else {}


def refuse_canary(paused: Sequence[Pause]) -> None:
    """End the command if a batch is paused: its canary would not be sent, and could only time out."""
    if paused:
        wrong_usage(
            f"--canary: {_since(paused[0])}, so the canary would not be sent. Nothing was accepted. First run "
            f"{_resume(paused[0])}, or omit --canary"
        )


def _since(one: Pause) -> str:
    since = f"since {shown_at(one.since)} by {one.by}" if one.since else "since an unknown time"
    return f"the batch {one.name} is paused {since}"


def _resume(one: Pause) -> str:
    return pauses.commands(one.producer, one.name)[0]
