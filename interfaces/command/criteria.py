"""Criteria: the options by which commands select messages, made from the one declaration of a filter."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from threelane.contract.refusal import Owner
from threelane.interfaces.command.caller import wrong_usage
from threelane.store.find import CRITERIA, Filter, WrongCriterion
from threelane.store.states import Status

WAITING = ("batch", "tag", "to", "producer", "lane")
"""What is known of a message before it was sent."""
OF_DEAD = ("code", "owner", "producer", "lane", "batch", "tag", "to")
"""What dead letters are selected by."""


def sentence(words: str) -> str:
    """Return words with a capital and a full stop."""
    return f"{words[:1].upper()}{words[1:]}."


def _option(name: str) -> Any:
    known = CRITERIA[name]
    return typer.Option(help=sentence(known.description or ""), min=known.ge, max=known.le)


Batch = Annotated[str, _option("batch")]
Tag = Annotated[str, _option("tag")]
To = Annotated[str, _option("to")]
Producer = Annotated[str, _option("producer")]
Lane = Annotated[int, _option("lane")]
ClientMessageId = Annotated[str, _option("client_message_id")]
State = Annotated[Status | None, _option("status")]
Code = Annotated[str, _option("code")]
Whose = Annotated[Owner | None, _option("owner")]


def flags(names: tuple[str, ...]) -> str:
    """Return the options of these criteria, as a sentence has them."""
    return ", ".join(f"--{name.replace('_', '-')}" for name in names)


def parsed(wanted: Filter) -> Filter:
    """Return a filter as records have it; ends the command with the option that is wrong."""
    try:
        return wanted.parsed()
    except WrongCriterion as wrong:
        wrong_usage(f"--{wrong.name.replace('_', '-')}: {wrong}")
