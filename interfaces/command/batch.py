"""Commands for batches: list, show, pause, resume, cancel, report."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Annotated, NoReturn

import redis
import typer
from rich.markup import escape

from threelane.contract.fields import known_batch_name
from threelane.interfaces.command.caller import give_up, open_producer
from threelane.interfaces.command.printing import Json, not_found, out, print_json, print_limit, print_line, wrong_usage
from threelane.interfaces.command.query import now_of, with_redis
from threelane.interfaces.command.terminal import Table
from threelane.interfaces.command.values import age, credits, shown_at
from threelane.operations import batch_changes, batch_report
from threelane.producer.cancel import CancelResult
from threelane.producer.outage import Unavailable
from threelane.producer.pause import PauseResult
from threelane.runtime.exits import Exit
from threelane.runtime.settings import ProducerSettings, load_or_exit
from threelane.store import audit, batches, pauses, progress
from threelane.store.batches import Batch
from threelane.store.progress import Progress

app = typer.Typer(help="Batches: all messages of a job, by its name.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="The name of the batch.")]
OfProducer = Annotated[
    str | None, typer.Option("--producer", help="Its producer, if batches of several have the same name.")
]


@app.command("list", epilog="Example: threelane batch list --producer shop")
def show_all(
    producer: Annotated[str | None, typer.Option(help="Only those of this producer.")] = None,
    most: Annotated[int, typer.Option(min=1, help="Maximum number of batches to show.")] = 50,
    as_json: Json = False,
) -> None:
    """List batches, the latest first."""

    def read(client: redis.Redis) -> tuple[list[Batch], dict[str, int], int]:
        stopped = {batches.digest(one.producer, one.name): one.since for one in pauses.read_all(client)}
        return [*islice(batches.listed(client, producer), most)], stopped, now_of(client)

    found, stopped, now = with_redis(read)
    if as_json:
        print_json(found)
        return
    table = Table("name", "producer", "state", "accepted", "started", "last accepted", "rows kept until")
    for one in found:
        until = shown_at(one.ends) if one.ends else "forgotten"
        started, last = shown_at(one.started), age(one.last_accepted, now)
        state = f"paused {age(stopped[one.digest], now)}" if one.digest in stopped else ""
        table.add_row(escape(one.name), escape(one.producer), state, f"{one.accepted:,}", started, last, until)
    out.print(table if found else "no batch is known")
    print_limit(len(found), most)


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


@app.command(epilog="Example: threelane batch pause newsletter-7")
def pause(name: Name, producer: OfProducer = None, as_json: Json = False) -> None:
    """Send nothing of a batch until it is resumed; its messages keep their validity, and may expire."""

    def begin(client: redis.Redis) -> tuple[Batch, PauseResult]:
        one = _known(client, name, producer)
        return one, batch_changes.pause(client, one, now_of(client), audit.user())

    one, done = with_redis(begin)
    if as_json:
        print_json(done)
        return
    since = f"{shown_at(done.since)} by {done.by}" if done.since else "an unknown time"
    print_line(
        f"paused since {since}; {done.messages:,} messages put aside now: {pauses.commands(one.producer, one.name)[0]}"
    )


@app.command(epilog="Example: threelane batch resume newsletter-7")
def resume(name: Name, producer: OfProducer = None, as_json: Json = False) -> None:
    """Send the rest of a paused batch: lane 1 first, in the order in which its messages wait."""

    def end(client: redis.Redis) -> tuple[PauseResult, bool]:
        one = _known(client, name, producer)
        was_paused = batch_changes.is_paused(client, one)
        with open_producer() as own:
            return batch_changes.resume(client, own.nudger, one, now_of(client), audit.user()), was_paused

    done, was_paused = with_redis(end)
    if as_json:
        print_json(done)
    elif was_paused or done.messages:
        print_line(f"resumed; {done.messages:,} messages go back to their lanes, or wait for their time")
    else:
        print_line("the batch is not paused")
    if not was_paused and not done.messages:
        raise typer.Exit(Exit.NO_MATCH)


@app.command(epilog="Example: threelane batch cancel newsletter-7")
def cancel(name: Name, producer: OfProducer = None, as_json: Json = False) -> None:
    """Cancel all messages of a batch that have not been sent; those being sent are not retried."""

    def begin(client: redis.Redis) -> Batch:
        found = _known(client, name, producer)
        batch_changes.note_cancel(client, found, audit.user())
        return found

    one = with_redis(begin)
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
        sys.stdout.write(batch_report.head())
        found = progress.messages(client, one.producer, one.name)
        while page := [*islice(found, batches.SLICE)]:
            sys.stdout.write(batch_report.rows(page, full=full))

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
    own = known_batch_name(name)
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
    if found.pause:
        stopped = found.pause
        since = f"{shown_at(stopped.since)} ({age(stopped.since, now)}) by {stopped.by}" if stopped.since else "unknown"
        yield "paused since", f"{since}; {pauses.commands(one.producer, one.name)[0]}"
    for label, number in (
        ("waiting", found.waiting),
        ("waiting for the end of the pause", found.paused),
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
    if found.waiting or found.paused or found.sending:
        hours = found.hours_left
        yield "time left", "unknown: no worker reports its rate" if hours is None else f"about {_hours(hours)}"
    yield "rows kept until", shown_at(one.ends) if one.ends else "forgotten"


def _hours(hours: float) -> str:
    return f"{hours:,.1f} h" if hours >= 1 else f"{max(1, round(hours * 60))} min"
