"""Top: the fleet on one screen: lanes, holds, money, workers and trouble, as the dashboards show them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
import redis
import typer
from redis.exceptions import RedisError
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from producer import keys
from producer.cli import Json, out, print_json
from producer.client import explain
from producer.connect import connect
from producer.settings import Settings, load_or_exit
from producer.status import CREDIT
from worker.account import capacity, forecast, hold
from worker.account.capacity import Capacity
from worker.account.forecast import Money
from worker.account.hold import Held
from worker.asking import asked, now_of, shown
from worker.health import GONE_MS, SLOW_SECONDS

EVERY_SECONDS = 2.0
MOST = 8  # rows of holds, of workers and of trouble
_RISING = ("dead", "in_doubt", "retried", "unknown", "lapsed", "swept", "late", "refused")


class Lane(msgspec.Struct, frozen=True):
    """One lane: what waits, how long the oldest has, and what has come in and gone out since the beginning."""

    waiting: int
    oldest_seconds: float
    accepted: int
    sent: int
    delivered: int


class Worker(msgspec.Struct, frozen=True):
    """One worker as it reported last."""

    name: str
    silent_seconds: float
    lanes: str
    served: float


class Screen(msgspec.Struct, frozen=True, kw_only=True):
    """All that top tells, at one moment (ms); ``trouble`` counts since the beginning, by kind and code."""

    at: int
    lanes: Mapping[int, Lane]
    shelves: Mapping[str, int]
    holds: Mapping[str, Held]
    money: Money
    capacity: Capacity
    workers: tuple[Worker, ...]
    trouble: Mapping[str, int]


def read(client: redis.Redis) -> Screen:
    """Return it; no read grows with the number of messages."""
    now = now_of(client)
    tally = {name.decode(): int(n) for name, n in client.hgetall(keys.TALLY).items()}  # type: ignore[union-attr]
    shelves = {"scheduled": keys.DUE, "sending": keys.LEASES, "in_doubt": keys.DOUBT, "dead": keys.DEAD}
    return Screen(
        at=now,
        lanes={lane: _lane(client, lane, tally, now) for lane in keys.LANES},
        shelves={name: int(client.zcard(key)) for name, key in (shelves | {"sent": keys.AWAITING}).items()},
        holds=hold.holds(client, now),
        money=forecast.read(client, now),
        capacity=capacity.read(client, now),
        workers=tuple(_workers(client, now)),
        trouble={name: n for name, n in tally.items() if name.partition(":")[0] in _RISING},
    )


def top(
    once: Annotated[bool, typer.Option("--once", help="Print it once and end.")] = False,
    as_json: Json = False,
    every: Annotated[float, typer.Option(min=0.2, help="Seconds between two looks.")] = EVERY_SECONDS,
) -> None:
    """Show lanes, holds, money, workers and trouble on one screen, until Ctrl-C."""
    first = asked(read)
    if as_json:
        told = msgspec.to_builtins(first)
        told["capacity"] = first.capacity._asdict()
        told["money"] |= {"hours_left": first.money.hours_left, "short": first.money.short}
        print_json(told)
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
                    before, shown_now = shown_now, read(client)
                    live.update(view(shown_now, before), refresh=True)
                except (RedisError, OSError) as failed:
                    problem = explain(failed) if isinstance(failed, RedisError) else str(failed)
                    live.update(Text(f"{problem}; trying again", style="bold red"), refresh=True)
    except KeyboardInterrupt:
        return
    finally:
        client.close()


def view(now: Screen, before: Screen | None) -> RenderableType:
    """Return the screen; rates are those since the look before."""
    return Group(_standing(now), _lanes(now, before), _money(now), _fleet(now), _trouble(now, before))


def _lane(client: redis.Redis, lane: int, tally: Mapping[str, int], now: int) -> Lane:
    first: Any = client.zrange(keys.QUEUED[lane], 0, 0, withscores=True)
    return Lane(
        waiting=int(client.zcard(keys.QUEUED[lane])),
        oldest_seconds=max(0.0, (now - first[0][1]) / 1000) if first else 0.0,
        accepted=tally.get(f"accepted:{lane}", 0),
        sent=tally.get(f"to:{lane}:sent", 0),
        delivered=tally.get(f"to:{lane}:delivered", 0),
    )


def _workers(client: redis.Redis, now: int) -> list[Worker]:
    names: Any = client.zrange(keys.WORKERS, now - GONE_MS, "+inf", byscore=True, withscores=True)
    with client.pipeline(transaction=False) as pipe:
        for name, _ in names:
            pipe.hmget(keys.worker(name.decode()), ["lanes", "served"])
        reports = pipe.execute()
    return [
        Worker(name.decode(), (now - at) / 1000, (lanes or b"").decode(), float(served or 0))
        for (name, at), (lanes, served) in zip(names, reports, strict=True)
    ]


def _standing(now: Screen) -> RenderableType:
    when = Text(f"threelane, {shown(now.at)}", style="bold")
    if not now.holds:
        return Group(when, Text("nothing is on hold", style="green"))
    table = Table("on hold", "code", "cause", "since", "until", box=SIMPLE_HEAD, style="bold red")
    for scope, one in sorted(now.holds.items())[:MOST]:
        ends = shown(one.until) if one.until else "threelane resume"
        table.add_row(escape(scope), escape(one.code), escape(one.cause), shown(one.since), ends)
    return Group(when, table)


def _lanes(now: Screen, before: Screen | None) -> Table:
    table = Table("lane", "waiting", "oldest", "in /s", "out /s", "delivered /s", box=SIMPLE_HEAD)
    for column in table.columns[1:]:
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
        table.add_row(str(lane), f"{one.waiting:,}", f"[{colour}]{one.oldest_seconds:,.1f} s[/]", *rates)
    table.add_row("also", ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in now.shelves.items() if n))
    return table


def _money(now: Screen) -> Text:
    money, line = now.money, Text("credits  ")
    if money.balance is None:
        return line.append(money.error or "the balance was not read yet: is a worker running?", style="yellow")
    hours = money.hours_left
    line.append(f"{money.left / CREDIT:,.2f} left, {money.burn / CREDIT:,.2f} an hour")
    line.append(f", {sum(money.committed.values()) / CREDIT:,.2f} committed")
    if hours is not None:
        style = "bold red" if hours < 2 else "yellow" if hours < 24 else "green"
        line.append(f", dry in {hours:,.1f} hours", style=style)
    if money.short:
        line.append(f", short of {money.short / CREDIT:,.2f}", style="bold red")
    if money.waiting_lanes:
        line.append(f", lanes {', '.join(map(str, money.waiting_lanes))} wait for the reserve", style="bold red")
    if money.error:
        line.append(f", last reading failed: {money.error}", style="yellow")
    return line


def _fleet(now: Screen) -> RenderableType:
    fleet, line = now.capacity, Text("fleet    ")
    line.append(f"{fleet.workers} workers", style="green" if fleet.workers else "bold red")
    line.append(f", {fleet.workers_lane_1} of lane 1", style="green" if fleet.workers_lane_1 else "bold red")
    line.append(f", {fleet.worth_having} worth having, drained in {fleet.drain_minutes:,.1f} minutes")
    share = fleet.memory_share
    line.append(f", memory of Redis {share:.0%}", style="bold red" if share > 0.9 else "yellow" if share > 0.8 else "")
    table = Table("worker", "lanes", "reported", "busiest /s", box=SIMPLE_HEAD)
    for one in sorted(now.workers, key=lambda one: -one.silent_seconds)[:MOST]:
        silent = f"{one.silent_seconds:,.0f} s ago"
        table.add_row(
            escape(one.name),
            one.lanes,
            f"[red]{silent}[/]" if one.silent_seconds > 20 else silent,
            f"{one.served:,.1f}",
        )
    return Group(line, table) if now.workers else line


def _trouble(now: Screen, before: Screen | None) -> RenderableType:
    if not now.trouble:
        return Text("no trouble so far", style="green")
    table = Table("trouble", "in all", "of late", box=SIMPLE_HEAD)
    rise = {name: n - (before.trouble.get(name, 0) if before else n) for name, n in now.trouble.items()}
    for name, n in sorted(now.trouble.items(), key=lambda one: (-rise[one[0]], -one[1]))[:MOST]:
        words = escape(name.replace(":", " ").replace("_", " "))
        table.add_row(words, f"{n:,}", f"[red]+{rise[name]:,}[/]" if rise[name] else "")
    return table


def _per_second(count: int, then: int | None, now: Screen, before: Screen | None) -> str:
    if before is None or then is None:
        return ""
    return f"{(count - then) * 1000 / max(1, now.at - before.at):,.1f}"
