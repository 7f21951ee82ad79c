"""Commands for routes: explain."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import typer

from threelane.contract import fields, schedule, senders
from threelane.contract.accounts.route import Example
from threelane.contract.prices import CREDIT
from threelane.contract.refusal import Refusal
from threelane.interfaces.command.numbers import number as number_of
from threelane.interfaces.command.printing import Json, print_json, print_line, wrong_usage
from threelane.interfaces.command.values import credits
from threelane.operations.explain_route import Offer, RouteExplanation
from threelane.operations.explain_route import explain as explain_route
from threelane.worker.process.accounts import read_accounts_or_exit

app = typer.Typer(
    help="Routes: which messages are sent through which account, by THREELANE_ACCOUNTS_FILE.", no_args_is_help=True
)
T = TypeVar("T")


@app.command(epilog="Example: threelane route explain --to 27831234567 --producer shop --lane 1")
def explain(
    to: Annotated[str, typer.Option(help="The recipient; without + or 00 read as THREELANE_NUMBERS says.")],
    producer: Annotated[str, typer.Option(help="The producer.")] = "",
    lane: Annotated[int, typer.Option(min=1, max=3, help="The lane.")] = 3,
    tag: Annotated[list[str] | None, typer.Option(help="A tag; repeatable.")] = None,
    sender: Annotated[str, typer.Option(help="The sender ID.")] = "",
    cost_centre: Annotated[str, typer.Option(help="The cost centre.")] = "",
    at: Annotated[
        str, typer.Option(help="When it is accepted, such as 2031-06-30T14:00:00Z; default: now, by this host's clock.")
    ] = "",
    message_id: Annotated[str, typer.Option("--id", help="The message id, which decides between weights.")] = "",
    as_json: Json = False,
) -> None:
    """Show which account a message gets, by which route, and at which estimated price of a part."""
    example = Example(
        to=number_of(to, "--to"),
        producer=_parsed(fields.label, producer, "--producer"),
        cost_centre=_parsed(fields.label, cost_centre, "--cost-centre"),
        lane=lane,
        tags=tuple(_parsed(fields.label, one, "--tag") for one in tag or ()),
        sender=_parsed(senders.parse, sender, "--sender"),
    )
    now = _right(schedule.instant(at, "--at")) if at else int(time.time() * 1000)
    accounts = read_accounts_or_exit()
    try:
        found = explain_route(accounts.routing, example, now, message_id)
    except OverflowError:
        wrong_usage("--at is out of range: give a time such as 2031-06-30T14:00:00Z")
    if as_json:
        print_json(found)
    else:
        _print(found)


def _print(found: RouteExplanation) -> None:
    for passed in found.passed:
        print_line(f"route {passed.rule} does not match: {passed.condition.replace('_', ' ')}")
    by = f"by the route {found.rule}" if found.rule else "as no route matches"
    for one in found.accounts:
        share = f" for {one.share:.0%} of such messages" if one.share < 1 else ""
        print_line(f"account {one.account}{share}, {by}; {_price(one)}")
    if found.stand_by:
        print_line(f"stand-by {found.stand_by.account}; {_price(found.stand_by)}")


def _price(offer: Offer) -> str:
    return f"API {offer.gateway}, about {credits(offer.price * CREDIT)} {offer.currency} a part"


def _parsed(parse: Callable[[Any, str], Any], value: str, option: str) -> str:
    return _right(parse(value, option)) if value else ""


def _right(parsed: T | Refusal) -> T:
    if isinstance(parsed, Refusal):
        wrong_usage(f"{parsed.field}: {parsed.problem}; {parsed.remedy}")
    return parsed
