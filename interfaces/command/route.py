"""Commands for routes: explain."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Annotated, Any, TypeVar

import typer
from redis.exceptions import RedisError

from threelane.contract import fields, schedule, senders
from threelane.contract.accounts.route import Example
from threelane.contract.prices import CREDIT
from threelane.contract.refusal import Refusal
from threelane.interfaces.command.numbers import number as number_of
from threelane.interfaces.command.printing import Json, err, print_json, print_line, wrong_usage
from threelane.interfaces.command.values import credits
from threelane.operations.explain_route import DRAINED, Offer, RouteExplanation
from threelane.operations.explain_route import explain as explain_route
from threelane.producer.explanation import explain as describe
from threelane.runtime.settings import Settings, load_or_exit
from threelane.store import accounts as stored
from threelane.store.connect import connect
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
        found = explain_route(accounts.routing, example, now, message_id, _drained())
    except OverflowError:
        wrong_usage("--at is out of range: give a time such as 2031-06-30T14:00:00Z")
    if as_json:
        print_json(found)
    else:
        _print(found)


def _print(found: RouteExplanation) -> None:
    for passed in found.passed:
        does_not = "is skipped" if passed.condition == DRAINED else "does not match"
        print_line(f"route {passed.rule} {does_not}: {passed.condition.replace('_', ' ')}")
    by = f"by the route {found.rule}" if found.rule else "as no route matches"
    for one in found.accounts:
        share = f" for {one.share:.0%} of such messages" if one.share < 1 else ""
        print_line(f"account {one.account}{share}, {by}; {_price(one)}")
    if found.stand_by:
        print_line(f"stand-by {found.stand_by.account}; {_price(found.stand_by)}")
    if not found.accounts:
        print_line("no account takes such a message now; it would be refused with 114")
    if found.drained:
        print_line(f"drained: {', '.join(found.drained)}; threelane account use, to use one again")


def _drained() -> Collection[str] | None:
    """Return the drained accounts; None, with a line on standard error, if Redis does not answer."""
    client = connect(load_or_exit(Settings))
    try:
        return [*stored.read(client).drained]
    except (RedisError, OSError) as failed:
        problem = describe(failed) if isinstance(failed, RedisError) else str(failed)
        err.print(f"whether accounts are drained is unknown: {problem}", markup=False, highlight=False, soft_wrap=True)
        return None
    finally:
        client.close()


def _price(offer: Offer) -> str:
    return f"API {offer.gateway}, about {credits(offer.price * CREDIT)} {offer.currency} a part"


def _parsed(parse: Callable[[Any, str], Any], value: str, option: str) -> str:
    return _right(parse(value, option)) if value else ""


def _right(parsed: T | Refusal) -> T:
    if isinstance(parsed, Refusal):
        wrong_usage(f"{parsed.field}: {parsed.problem}; {parsed.remedy}")
    return parsed
