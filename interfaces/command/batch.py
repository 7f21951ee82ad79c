"""Commands for batches: list, show, cancel, report."""

from __future__ import annotations

import csv
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, NoReturn

import redis
import typer
from rich.markup import escape

from threelane.contract.fields import batch_name
from threelane.contract.prices import CREDIT
from threelane.contract.refusal import Refusal
from threelane.interfaces.command.caller import (
    Json,
    give_up,
    not_found,
    open_producer,
    out,
    print_json,
    print_line,
    wrong_usage,
)
from threelane.interfaces.command.query import now_of, with_redis
from threelane.interfaces.command.terminal import Table
from threelane.interfaces.command.values import age, credits, masked, shown_at
from threelane.producer.cancel import CancelResult
from threelane.producer.outage import Unavailable
from threelane.runtime.exits import Exit
from threelane.runtime.settings import ProducerSettings, load_or_exit
from threelane.runtime.spreadsheet import text_cell
from threelane.store import batches, progress
from threelane.store.batches import Batch
from threelane.store.outcome import BatchMessage
from threelane.store.progress import Progress

app = typer.Typer(help="Batches: all messages of a job, by its name.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="The name of the batch.")]
OfProducer = Annotated[
    str | None, typer.Option("--producer", help="Its producer, if batches of several have the same name.")
]
COLUMNS = (
    "id", "to", "state", "code", "reason", "parts", "credits", "charged", "accepted", "sent", "ended", "lane",
)  # fmt: skip
"""The columns of a report."""


@app.command("list", epilog="Example: threelane batch list --producer shop")
def show_all(
    producer: Annotated[str | None, typer.Option(help="Only those of this producer.")] = None,
    most: Annotated[int, typer.Option(min=1, help="Maximum number of batches to show.")] = 50,
    as_json: Json = False,
) -> None:
    """List batches, the latest first."""
    found, now = with_redis(lambda client: ([*islice(batches.listed(client, producer), most)], now_of(client)))
    if as_json:
        print_json(found)
        return
    table = Table("name", "producer", "accepted", "started", "last accepted", "rows kept until")
    for one in found:
        until = shown_at(one.ends) if one.ends else "forgotten"
        started, last = shown_at(one.started), age(one.last_accepted, now)
        table.add_row(escape(one.name), escape(one.producer), f"{one.accepted:,}", started, last, until)
    out.print(table if found else "no batch is known")
    if len(found) == most:
        print_line(f"there may be more than {most}; raise --most to see them")


@app.command(epilog="Example: threelane batch show newsletter-7")
def show(name: Name, producer: OfProducer = None, as_json: Json = False) -> None:
    """Show how far a batch is: its messages by state, failures by cause, cost, and the hours left."""

    def read(client: redis.Redis) -> tuple[Progress | None, int]:
        one, now = _known(client, name, producer), now_of(client)
        return progress.read(client, one.producer, one.name, now), now

    found, now = with_redis(read)
    if found is None:  # it was forgotten meanwhile
        _unknown(name)
    if as_json:
        print_json(found)
        return
    table = Table(show_header=False, box=None)
    for label, value in _lines(found, now):
        table.add_row(label, escape(value))
    out.print(table)
    if found.failed:
        causes = Table("failed because", "messages")
        for cause, number in found.failed.items():
            causes.add_row(escape(cause.replace("_", " ")), f"{number:,}")
        out.print(causes)


@app.command(epilog="Example: threelane batch cancel newsletter-7")
def cancel(name: Name, producer: OfProducer = None, as_json: Json = False) -> None:
    """Cancel all messages of a batch that have not been sent; those being sent are not retried."""
    one = with_redis(lambda client: _known(client, name, producer))
    counts: Counter[str] = Counter(dict.fromkeys(CancelResult, 0))
    with open_producer() as client:
        try:
            for answer in client.cancel_batch(one.name, producer=one.producer):
                counts[answer.answer] += 1
                if as_json:
                    print_json(answer)
        except Unavailable as away:
            give_up(away, as_json)
    changed = sum(counts[result] for result in (CancelResult.CANCELLED, CancelResult.ASKED, CancelResult.NOT_RETRIED))
    if as_json:
        print_json({"summary": counts})
    else:
        print_line(", ".join(f"{counts[result]:,} {words}" for result, words in _RESULTS if counts[result]) or _NOTHING)
    if not changed:
        raise typer.Exit(Exit.NO_MATCH)


@app.command(epilog="Example: threelane batch report newsletter-7 > newsletter-7.csv")
def report(
    name: Name,
    producer: OfProducer = None,
    full: Annotated[bool, typer.Option("--full", help="Write whole numbers, for a file that only you read.")] = False,
) -> None:
    """Write a CSV with a row for each message of a batch: state, cause, cost and times."""

    def write(client: redis.Redis) -> None:
        one = _known(client, name, producer)
        if not one.ends:
            not_found(f"{name}: its rows are forgotten; it had {one.accepted:,} messages: threelane batch show")
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(_cells(one, full) for one in progress.messages(client, one.producer, one.name))

    with_redis(write)


_NOTHING = "nothing to cancel: each message of the batch has ended, or the gateway has it"
_RESULTS = (
    (CancelResult.CANCELLED, "cancelled"),
    (CancelResult.ASKED, "requested at the gateway"),
    (CancelResult.NOT_RETRIED, "being sent or in doubt, and not retried"),
    (CancelResult.TOO_LATE, "too late: the gateway has them"),
    (CancelResult.UNKNOWN, "no longer remembered"),
)


def _known(client: redis.Redis, name: str, producer: str | None) -> Batch:
    """Return the batch with this name: of the given producer, of this process's, or the only one."""
    own = batch_name(name, "name")
    if isinstance(own, Refusal):
        wrong_usage(f"{own.problem}; {own.remedy}")
    whose = load_or_exit(ProducerSettings).producer if producer is None else producer
    if one := batches.find(client, whose, own):
        return one
    others = [] if producer is not None else [one for one in batches.listed(client) if one.name == own]
    if len(others) > 1:
        names = ", ".join(one.producer or "(none)" for one in others)
        wrong_usage(f"batches of several producers have this name: {names}; give one with --producer")
    return others[0] if others else _unknown(name)


def _unknown(name: str) -> NoReturn:
    not_found(f"{name}: no message was accepted into a batch of this name in 400 days: threelane batch list")


def _lines(found: Progress, now: int) -> Iterator[tuple[str, str]]:
    """Yield the lines about a batch, each a label and a value."""
    one = found.batch
    yield "batch", one.name
    if one.producer:
        yield "producer", one.producer
    yield "started", f"{shown_at(one.started)} ({age(one.started, now)})"
    yield "last accepted", f"{shown_at(one.last_accepted)} ({age(one.last_accepted, now)})"
    yield "accepted", f"{found.accepted:,}"
    for label, number in (
        ("waiting", found.waiting),
        ("being sent", found.sending),
        ("in doubt", found.in_doubt),
        ("sent, without a receipt so far", found.sent),
        ("delivered", found.delivered),
        ("failed", sum(found.failed.values())),
        ("cancelled", found.cancelled),
        ("not on the allow-list", found.emulated),
        ("outcome forgotten", found.forgotten),
    ):
        if number or label in ("waiting", "delivered", "failed"):
            yield label, f"{number:,}"
    yield "cost so far", f"{credits(found.cost_so_far)} credits"
    yield "cost to come", f"{credits(found.cost_to_come)} credits"
    if found.waiting or found.sending:
        hours = found.hours_left
        yield "time left", "unknown: no worker reports its rate" if hours is None else f"about {_hours(hours)}"
    yield "rows kept until", shown_at(one.ends) if one.ends else "forgotten"


def _hours(hours: float) -> str:
    return f"{hours:,.1f} h" if hours >= 1 else f"{max(1, round(hours * 60))} min"


def _cells(one: BatchMessage, full: bool) -> list[str]:
    """Return the cells of a message; an amount is the gateway's charge, or else the estimate."""
    charged = one.charge_millionths is not None
    amount = one.charge_millionths if one.charge_millionths is not None else one.estimate_millionths
    return [
        one.id,
        one.to if full or not one.to else masked(one.to),
        str(one.status or "forgotten"),
        text_cell(one.code),
        text_cell(one.reason),
        str(one.parts),
        f"{amount / CREDIT:g}",
        "yes" if charged else "no",
        *(_time(at) for at in (one.accepted_at, one.sent_at, one.ended_at)),
        str(one.lane or ""),
    ]


def _time(at: int) -> str:
    """Return a time as programs read it, in UTC; "" for none."""
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z") if at else ""
