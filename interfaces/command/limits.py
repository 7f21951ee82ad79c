"""Commands for limits: list, set, remove, explain."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import msgspec
import typer
from rich.markup import escape

from threelane.contract import duration, prices
from threelane.interfaces.command.numbers import number as number_of
from threelane.interfaces.command.printing import Json, not_found, out, print_json, print_line, wrong_usage
from threelane.interfaces.command.query import now_of, with_redis
from threelane.interfaces.command.terminal import Table
from threelane.interfaces.command.values import shown_at
from threelane.store import limits
from threelane.store.limits import (
    ALARM,
    ALL_LANES,
    DEFER,
    LANE_1,
    NEIGHBOURS,
    OFF,
    PERIODS,
    PERSON,
    REFUSE,
    TEXT,
    Limit,
    Name,
    Use,
)

app = typer.Typer(
    help="Limits: how many messages are accepted for a recipient, a prefix, a country and of a producer.",
    no_args_is_help=True,
)
Scope = Annotated[
    str, typer.Argument(help="recipient, same-text, neighbours, prefix:370, country:LT or producer:NAME.")
]
ForProducer = Annotated[
    str, typer.Option("--producer", help="Only for the messages of this producer: recipient, same-text, neighbours.")
]
_EXAMPLES = """Examples:

threelane limits set recipient hour 30 --lanes 1 --producer bank

threelane limits set prefix:370 day 500

threelane limits set producer:shop minute 1000 --over defer

threelane limits set same-text 30

threelane limits set neighbours 10 --over hold

threelane limits set recipient hour off
"""


class ShownLimit(msgspec.Struct, frozen=True):
    """A limit as ``list`` and ``explain`` show it; ``used`` is null where each recipient has its own count."""

    scope: str
    period: str
    producer: str
    limit: int
    unit: str
    over: str
    lanes: str
    off: bool
    is_default: bool
    used: int | None = None
    free_at: int | None = None  # when there is room again, ms


@app.command("list", epilog="Example: threelane limits list --json")
def list_limits(as_json: Json = False) -> None:
    """List the limits in force, defaults included, and the use of those that recipients share."""
    found = with_redis(lambda client: _all(limits.in_force(client), limits.usage(client, now_of(client))))
    if as_json:
        print_json(found)
        return
    out.print(_table(found))


@app.command("set", epilog=_EXAMPLES)
def set_limit(
    scope: Scope,
    values: Annotated[
        list[str],
        typer.Argument(
            metavar="[PERIOD] NUMBER",
            help="minute, hour or day and the number of messages; only a number for same-text (seconds) and "
            "neighbours (numbers); or off.",
        ),
    ],
    over: Annotated[
        str,
        typer.Option(
            help="What happens to messages over the limit: refuse, or defer to the next period; of neighbours: alarm "
            "or hold."
        ),
    ] = "",
    lanes: Annotated[
        str, typer.Option(help="1: messages of lanes 2 and 3 do not count; only of recipient.")
    ] = ALL_LANES,
    producer: ForProducer = "",
) -> None:
    """Set a limit; it replaces the default, or the one that was set before."""
    period, number = _period_and_number(values)
    try:
        name = limits.parse_name(scope, period, producer)
        if number == OFF:
            limit = Limit(0, off=True)
        else:
            limit = Limit(
                _seconds(number) if name.kind == TEXT else _number(number),
                over or (ALARM if name.kind == NEIGHBOURS else REFUSE),
                lanes,
            )
        limits.check(name, limit)
    except limits.InvalidLimit as wrong:
        wrong_usage(str(wrong))
    with_redis(lambda client: limits.put(client, name, limit))
    print_line(_sentence(name, limit))


@app.command(epilog="Example: threelane limits remove prefix:370 day")
def remove(
    scope: Scope,
    period: Annotated[str, typer.Argument(help="minute, hour or day; none for same-text and neighbours.")] = "",
    producer: ForProducer = "",
) -> None:
    """Remove a limit; a default applies again."""
    try:
        name = limits.parse_name(scope, period, producer)
    except limits.InvalidLimit as wrong:
        wrong_usage(str(wrong))
    if not with_redis(lambda client: limits.remove(client, name)):
        not_found(f"{name} is not set: threelane limits list")
    in_force = with_redis(limits.in_force)
    general = msgspec.structs.replace(name, producer="")
    of_all = in_force.get(str(general))
    if str(name) in in_force:
        print_line(f"{_sentence(name, in_force[str(name)])}, by default")
    elif name.producer and of_all:
        print_line(f"{name.producer} has the limit of all producers again: {_sentence(general, of_all)}")
    else:
        print_line(f"{name} has no limit any more")


@app.command(epilog="Example: threelane limits explain 27831234567 --producer shop")
def explain(
    number: Annotated[str, typer.Argument(help="The recipient; without + or 00 read as THREELANE_NUMBERS says.")],
    producer: Annotated[str, typer.Option(help="The producer whose message it would be.")] = "",
    lane: Annotated[int, typer.Option(min=1, max=3, help="The lane of the message.")] = 1,
    as_json: Json = False,
) -> None:
    """Show each limit that applies to a number, what of it is used, and when it has room."""
    to = number_of(number)
    country = prices.country(to)
    found = with_redis(
        lambda client: [
            _shown(use.name, use.limit, used=use.used, free_at=use.free_at)
            for use in limits.applying(client, to, country, producer, lane, now_of(client))
        ]
    )
    if as_json:
        print_json(found)
        return
    out.print(_table(found) if found else "no limit applies")


def _period_and_number(values: list[str]) -> tuple[str, str]:
    """Return the period, or "", and the number; in either order."""
    if len(values) > 2:
        wrong_usage(f"number: {' '.join(values)!r}: give a period and a number, as in hour 10")
    if len(values) == 2 and values[1] in PERIODS:
        return values[1], values[0]
    return (values[0], values[1]) if len(values) == 2 else ("", values[0])


def _number(raw: str) -> int:
    """Return a number; raises InvalidLimit."""
    if not raw.isascii() or not raw.isdigit() or len(raw) > 12:
        raise limits.InvalidLimit(f"number: {raw!r} is not a whole number, as in 10; or write off")
    return int(raw)


def _seconds(raw: str) -> int:
    """Return the whole seconds of a duration, such as 30 or 10m; raises InvalidLimit."""
    try:
        return int(duration.parse(raw))
    except ValueError as wrong:
        raise limits.InvalidLimit(f"number: {wrong}; or off") from None


def _all(found: dict[str, Limit], used: Iterable[Use]) -> list[ShownLimit]:
    uses = {str(use.name): use for use in used}
    rows = []
    for row, limit in sorted(found.items()):
        use = uses.get(row)
        try:
            name = limits.name_of(row)
        except limits.InvalidLimit:
            continue
        rows.append(_shown(name, limit, used=use.used if use else None))
    return rows


def _shown(name: Name, limit: Limit, *, used: int | None = None, free_at: int | None = None) -> ShownLimit:
    is_default = limits.DEFAULTS.get(str(name)) == limit
    unit = {TEXT: "seconds", NEIGHBOURS: "numbers"}.get(name.kind, "messages")
    return ShownLimit(
        name.scope, name.period, name.producer, limit.count, unit, limit.over, limit.lanes, limit.off, is_default,
        used, free_at,
    )  # fmt: skip


def _table(found: list[ShownLimit]) -> Table:
    table = Table("scope", "period", "producer", "limit", "over it", "lanes", "used", "room again", "set by")
    for one in found:
        limit = "off" if one.off else f"{one.limit:,} {one.unit}"
        lanes = "1" if one.lanes == LANE_1 or one.scope == NEIGHBOURS else "all"
        table.add_row(
            escape(one.scope), one.period, escape(one.producer), limit, "" if one.off else one.over,
            lanes, "" if one.used is None else f"{one.used:,}",
            shown_at(one.free_at) if one.free_at else "", "default" if one.is_default else "operator",
        )  # fmt: skip
    return table


def _sentence(name: Name, limit: Limit) -> str:
    of = f" of {name.producer}" if name.producer else ""
    if limit.off:
        return f"{name.scope}{' per ' + name.period if name.period else ''}: no limit for messages{of}"
    if name.kind == TEXT:
        return f"the same text{of} is refused for {limit.count:,} s"
    if name.kind == NEIGHBOURS:
        hold = " and put their block on hold for an hour" if limit.over == limits.HOLD else ""
        return f"{limit.count:,} neighbouring numbers in lane 1{of} raise an alarm{hold}"
    lanes = " of lane 1" if limit.lanes == LANE_1 else ""
    whom = "each recipient gets" if name.kind == PERSON else f"{name.scope} has"
    more = {REFUSE: "refused", DEFER: "deferred"}[limit.over]
    return f"{whom} at most {limit.count:,} messages{lanes}{of} per {name.period}; more are {more}"
