"""Top: lanes, holds, credits, workers and problems of the fleet on one screen, as on the dashboards."""

from __future__ import annotations

import time
from typing import Annotated, Any

import msgspec
import redis
import typer
from redis.exceptions import RedisError
from rich.console import Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.text import Text

from threelane.interfaces.command.of_account import Account, wanted
from threelane.interfaces.command.printing import Json, out, print_json
from threelane.interfaces.command.query import now_of, with_redis
from threelane.interfaces.command.terminal import Table
from threelane.interfaces.command.values import duration_in, shown_at
from threelane.operations.age import words
from threelane.operations.health import SLOW_SECONDS
from threelane.operations.screen import BAD, GOOD, WARN, Screen, credit_words, per_second, read
from threelane.producer.explanation import explain
from threelane.runtime.settings import Settings, load_or_exit
from threelane.store.connect import connect
from threelane.worker.account.hold import evidence_of, way_back

EVERY_SECONDS = 2.0
MOST = 8  # rows of holds, of workers and of problems
_STYLE = {"": "", GOOD: "green", WARN: "yellow", BAD: "bold red"}


def top(
    once: Annotated[bool, typer.Option("--once", help="Print it once and exit.")] = False,
    as_json: Json = False,
    every: Annotated[
        float,
        typer.Option(metavar="DURATION", parser=duration_in(1, least=0.2), help="Time between refreshes, as in 5s."),
    ] = EVERY_SECONDS,
    account: Account = "",
) -> None:
    """Show lanes, holds, credits, workers and problems on one screen, until Ctrl-C.

    Without --account, those of all accounts together.
    """
    first = with_redis(lambda client: look(client, account))
    if as_json:
        print_json(_fields(first))
        return
    if once:
        out.print(view(first, None))
        return
    client = connect(load_or_exit(Settings))
    shown_now, before = first, None
    try:
        with Live(view(first, None), console=out, screen=True, auto_refresh=False) as live:
            while True:
                time.sleep(every)
                try:
                    before, shown_now = shown_now, look(client, account)
                    live.update(view(shown_now, before), refresh=True)
                except (RedisError, OSError) as failed:
                    problem = explain(failed) if isinstance(failed, RedisError) else str(failed)
                    live.update(Text(f"{problem}; trying again", style="bold red"), refresh=True)
    except KeyboardInterrupt:
        return
    finally:
        client.close()


def look(client: redis.Redis, account: str = "") -> Screen:
    """Return the current state, of all accounts or of one; raises ValueError for one that there is not."""
    return read(client, now_of(client), wanted(client, account)[0] if account else None)


def _fields(one: Screen) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(one)
    fields["capacity"] = one.capacity._asdict()
    fields["money"] |= {"hours_left": one.money.hours_left, "short": one.money.short}
    if one.each:
        fields["accounts"] = {name: _fields(each) for name, each in one.each.items()}
    return fields


def view(now: Screen, before: Screen | None) -> RenderableType:
    """Return the screen; rates are averages since the previous reading."""
    return Group(_standing(now), _lanes(now, before), _accounts(now), _fleet(now), _trouble(now, before))


def _standing(now: Screen) -> RenderableType:
    when = Text(f"threelane, {shown_at(now.at)}", style="bold")
    paused = _paused(now)
    if not now.holds:
        return Group(when, *paused, Text("nothing is on hold", style="green"))
    table = Table("on hold", "code", "cause", "evidence", "since", "until", style="bold red")
    for scope, one in sorted(now.holds.items())[:MOST]:
        ends = shown_at(one.until) if one.until else way_back(one) if one.next_probe else "threelane resume"
        table.add_row(escape(scope), escape(one.code), escape(one.cause), evidence_of(one), shown_at(one.since), ends)
    return Group(when, *paused, table)


def _paused(now: Screen) -> list[RenderableType]:
    """Return the table of paused batches, if there are any."""
    if not now.paused:
        return []
    table = Table("paused batch", "producer", "messages", "since", "by", style="yellow")
    for one in now.paused[:MOST]:
        pause = one.pause
        table.add_row(
            escape(pause.name), escape(pause.producer), f"{one.total:,}", shown_at(pause.since), escape(pause.by)
        )
    return [table]


def _lanes(now: Screen, before: Screen | None) -> RenderableType:
    table = Table("lane", "waiting", "oldest", "in /s", "out /s", "delivered /s", "waiting for")
    for column in table.columns[1:-1]:
        column.justify = "right"
    for lane, one in now.lanes.items():
        was = before.lanes[lane] if before else None
        yellow, red = SLOW_SECONDS[lane]
        colour = "red" if one.oldest_seconds > red else "yellow" if one.oldest_seconds > yellow else "green"
        rates = (
            _per_second(one.accepted, was.accepted if was else None, now, before),
            _per_second(one.sent, was.sent if was else None, now, before),
            _per_second(one.delivered, was.delivered if was else None, now, before),
        )
        table.add_row(
            str(lane), f"{one.waiting:,}", f"[{colour}]{one.oldest_seconds:,.1f} s[/]", *rates, words(one.causes)
        )
    also = ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in now.indexes.items() if n)
    return Group(table, Text(f"also     {also}")) if also else table


def _accounts(now: Screen) -> RenderableType:
    """Return the credits, or with several accounts what waits in each, its workers and its credits."""
    if not now.each:
        return _money(now)
    table = Table("account", "waiting", "oldest", "holds", "workers", "credits")
    for name, one in now.each.items():
        waiting = sum(lane.waiting for lane in one.lanes.values())
        oldest = max(lane.oldest_seconds for lane in one.lanes.values())
        workers, holds = one.capacity.workers, len(one.holds)
        table.add_row(
            name,
            f"{waiting:,}",
            f"{oldest:,.1f} s",
            f"[bold red]{holds}[/]" if holds else "",
            f"{workers}" if workers or not waiting else "[bold red]0[/]",
            _money(one, ""),
        )
    return table


def _money(now: Screen, start: str = "credits  ") -> Text:
    line = Text(start)
    for number, (phrase, kind) in enumerate(credit_words(now.money)):
        line.append(", " if number else "").append(phrase, style=_STYLE[kind])
    return line


def _fleet(now: Screen) -> RenderableType:
    fleet, line = now.capacity, Text("fleet    ")
    line.append(f"{fleet.workers} workers", style="green" if fleet.workers else "bold red")
    line.append(f", {fleet.workers_lane_1} of lane 1", style="green" if fleet.workers_lane_1 else "bold red")
    line.append(f", {fleet.worth_having} justified, backlog drains in {fleet.drain_minutes:,.1f} minutes")
    share = fleet.memory_share
    line.append(f", Redis memory {share:.0%}", style="bold red" if share > 0.9 else "yellow" if share > 0.8 else "")
    table = Table("worker", "lanes", "reported", "busiest /s")
    for one in sorted(now.workers, key=lambda one: (not one.fault, -one.silent_seconds))[:MOST]:
        silent = f"{one.silent_seconds:,.0f} s ago"
        name = f"{escape(one.name)} [red]{escape(one.fault)}[/]" if one.fault else escape(one.name)
        table.add_row(
            name,
            one.lanes,
            f"[red]{silent}[/]" if one.silent_seconds > 20 else silent,
            f"{one.served:,.1f}",
        )
    return Group(line, table) if now.workers else line


def _trouble(now: Screen, before: Screen | None) -> RenderableType:
    stopped = sum(bool(one.fault) for one in now.workers)
    if not now.trouble and stopped:
        return Text(f"{stopped} of {len(now.workers)} workers send nothing: threelane doctor", style="bold red")
    if not now.trouble:
        return Text("no problems so far", style="green")
    table = Table("problem", "total", "recent")
    rise = {name: n - (before.trouble.get(name, 0) if before else n) for name, n in now.trouble.items()}
    for name, n in sorted(now.trouble.items(), key=lambda one: (-rise[one[0]], -one[1]))[:MOST]:
        words = escape(name.replace(":", " ").replace("_", " "))
        table.add_row(words, f"{n:,}", f"[red]+{rise[name]:,}[/]" if rise[name] else "")
    return table


def _per_second(count: int, then: int | None, now: Screen, before: Screen | None) -> str:
    if before is None or then is None:
        return ""
    return f"{per_second(count, then, now.at - before.at):,.1f}"
