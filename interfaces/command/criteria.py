"""Criteria: options that select messages, derived from the declaration of ``Filter``."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer

from threelane.contract.refusal import Owner
from threelane.interfaces.command.numbers import number
from threelane.interfaces.command.printing import wrong_usage
from threelane.store.find import CRITERIA, Filter, InvalidCriterion
from threelane.store.states import Status

WAITING = ("batch", "tag", "to", "producer", "lane")
"""Criteria for messages that are not sent yet."""
OF_DEAD = ("code", "owner", "producer", "lane", "batch", "tag", "to", "account")
"""Criteria for dead letters."""


def sentence(words: str) -> str:
    """Return words as a sentence, with a capital and a full stop."""
    return f"{words[:1].upper()}{words[1:]}."


def not_empty(context: typer.Context, option: typer.CallbackParam, value: Any) -> Any:
    """Return the value of a criterion; refuses an empty one, which a shell variable without a value leaves.

    Without the criterion, the command would be for more messages than its user meant.
    """
    source = context.get_parameter_source(option.name) if option.name else None
    if value == "" and source and source.name == "COMMANDLINE":
        raise typer.BadParameter("it is empty; give a value, or leave the option out")
    return value


def _option(name: str) -> Any:
    known = CRITERIA[name]
    return typer.Option(help=sentence(known.description or ""), min=known.ge, max=known.le, callback=not_empty)


Batch = Annotated[str, _option("batch")]
Tag = Annotated[str, _option("tag")]
To = Annotated[str, _option("to")]
Producer = Annotated[str, _option("producer")]
Lane = Annotated[int, _option("lane")]
ClientMessageId = Annotated[str, _option("client_message_id")]
State = Annotated[Status | None, _option("status")]
Code = Annotated[str, _option("code")]
Account = Annotated[str, _option("account")]
OwnerOption = Annotated[Owner | None, _option("owner")]


def flags(names: tuple[str, ...]) -> str:
    """Return the options of these criteria for use in a sentence."""
    return ", ".join(f"--{name.replace('_', '-')}" for name in names)


def readable(wanted: Filter) -> Filter:
    """Return a filter with its recipient in international form."""
    return msgspec.structs.replace(wanted, to=number(wanted.to, "--to")) if wanted.to else wanted


def parsed(wanted: Filter) -> Filter:
    """Return a filter in the form of records; ends the command with the invalid option."""
    try:
        return readable(wanted).parsed()
    except InvalidCriterion as wrong:
        wrong_usage(f"--{wrong.name.replace('_', '-')}: {wrong}")
