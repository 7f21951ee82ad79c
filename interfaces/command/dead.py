"""Commands for dead letters: list, show, redrive."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import msgspec
import redis
import typer
from rich.progress import Progress

from threelane.contract import schedule
from threelane.interfaces.command import criteria
from threelane.interfaces.command.country_table import print_countries
from threelane.interfaces.command.find import Most, print_found, print_story
from threelane.interfaces.command.ids import whole_id, whole_ids
from threelane.interfaces.command.printing import Json, err, no_match, print_json, print_line, wrong_usage
from threelane.interfaces.command.query import now_of, with_redis
from threelane.interfaces.command.values import credits
from threelane.producer.files.countries import Countries
from threelane.producer.nudge import Nudger
from threelane.runtime.exits import Exit
from threelane.runtime.settings import Settings, load_or_exit
from threelane.store import find
from threelane.store.find import Filter
from threelane.store.states import Status

app = typer.Typer(
    help="Dead letters: messages that were not sent, with cause and owner.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
After = Annotated[str, typer.Option(help="Only dead letters from this time on; ISO 8601 with a zone.")]
Before = Annotated[str, typer.Option(help="Only dead letters up to this time; ISO 8601 with a zone.")]
Pace = Annotated[float, typer.Option("--a-second", min=0, help="Messages per second; 0: no limit.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print the number of messages, parts and cost; change nothing.")
]


@app.command("list", epilog="Example: threelane dead list --owner operator --before 2031-06-30T14:00:00Z")
def show(
    code: criteria.Code = "",
    owner: criteria.OwnerOption = None,
    producer: criteria.Producer = "",
    lane: criteria.Lane = 0,
    batch: criteria.Batch = "",
    tag: criteria.Tag = "",
    to: criteria.To = "",
    account: criteria.Account = "",
    after: After = "",
    before: Before = "",
    most: Most = 50,
    as_json: Json = False,
) -> None:
    """List dead letters, oldest first."""
    wanted = criteria.parsed(
        Filter(batch=batch, tag=tag, to=to, producer=producer, lane=lane, code=code, owner=owner or "", account=account)
    )
    first, last = _bound(after, "--after") or 0, _bound(before, "--before")
    print_found(with_redis(lambda client: list(find.dead(client, wanted, first, last, most))), most, as_json=as_json)


@app.command("show", epilog="Example: threelane dead show 0f3c...")
def show_one(message_id: Annotated[str, typer.Argument(help="The message id.")], as_json: Json = False) -> None:
    """Show the history of a dead letter."""
    print_story(message_id, as_json=as_json, only=Status.DEAD)


@app.command("damage", epilog="Example: threelane dead damage 0f3c...")
def show_damage(message_id: Annotated[str, typer.Argument(help="The message id.")], as_json: Json = False) -> None:
    """Show what a damaged record held, with escapes; it may contain the number and the text."""
    from threelane.operations.explain import damaged

    message_id = whole_id(message_id)
    held = with_redis(lambda client: damaged(client, message_id))
    if as_json:
        print_json({"id": message_id, "damage": held.splitlines()})
    elif held:
        for line in held.splitlines():
            print_line(line)
    else:
        err.print("nothing was unreadable in this record, or it is no longer remembered")
    if not held:
        raise typer.Exit(Exit.NOT_FOUND)


@app.command("redrive", epilog="Example: threelane dead redrive --code 301 --a-second 50 --dry-run")
def put_back(
    ids: Annotated[list[str] | None, typer.Argument(help="Message ids, instead of a filter.")] = None,
    code: criteria.Code = "",
    owner: criteria.OwnerOption = None,
    producer: criteria.Producer = "",
    lane: criteria.Lane = 0,
    batch: criteria.Batch = "",
    tag: criteria.Tag = "",
    to: criteria.To = "",
    account: criteria.Account = "",
    after: After = "",
    before: Before = "",
    everything: Annotated[bool, typer.Option("--all", help="All dead letters.")] = False,
    a_second: Pace = 0,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Put dead letters back on their lanes, each once; messages that are in doubt or have ended do not change."""
    wanted = criteria.parsed(
        Filter(batch=batch, tag=tag, to=to, producer=producer, lane=lane, code=code, owner=owner or "", account=account)
    )
    first, last = _bound(after, "--after") or 0, _bound(before, "--before")
    is_filter = bool(wanted or first or last is not None or everything)
    if is_filter == bool(ids):
        wrong_usage(f"give ids, or a filter: {criteria.flags(criteria.OF_DEAD)}, --after, --before, --all")
    if ids:
        if dry_run or a_second:
            wrong_usage("--dry-run and --a-second need a filter, not ids")
        _by_ids(ids, as_json=as_json)
    else:
        _all(wanted, first, last, a_second, dry_run=dry_run, as_json=as_json)


def redrive_code(
    code: Annotated[
        str, typer.Argument(help="The code of the dead letters, such as 301.", callback=criteria.not_empty)
    ],
    a_second: Pace = 0,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Redrive the dead letters with a code; shorthand for dead redrive --code."""
    _all(Filter(code=code), 0, None, a_second, dry_run=dry_run, as_json=as_json)


def _all(wanted: Filter, first: int, last: int | None, a_second: float, *, dry_run: bool, as_json: bool) -> None:
    """Redrive what matches, or count it; ends the command if nothing does."""
    if dry_run:
        matched = _rehearse(wanted, first, last, as_json=as_json)
    else:
        matched = by_filter(wanted, first, last, a_second, as_json=as_json)
    if not matched:
        no_match("no dead letter matches")


def _rehearse(wanted: Filter, first: int, last: int | None, *, as_json: bool) -> int:
    """Print what a redrive would do, and return the number of dead letters that match."""
    from threelane.worker.dead.redrive import plan

    found = with_redis(lambda client: plan(client, wanted, now_of(client), first, last))
    matched = found.messages + found.expired + found.erased
    if as_json:
        print_json(msgspec.structs.asdict(found) | {"dry_run": True})
        return matched
    print_countries(Countries(found.by_country))
    codes = ", ".join(f"{code} ({number:,})" for code, number in found.by_code.items())
    print_line(
        f"{found.messages:,} would be redriven ({found.parts:,} parts, about {credits(found.estimate_millionths)} "
        f"credits){': ' if codes else ''}{codes}; {found.expired:,} are past their validity{_gone(found.erased)}; "
        "nothing was changed"
    )
    return matched


def by_filter(wanted: Filter, first: int, last: int | None, a_second: float, *, as_json: bool) -> int:
    """Redrive the dead letters that match, and return their number, with those that stay dead."""
    from threelane.worker.dead.redrive import redrive_paced

    nudger = Nudger(load_or_exit(Settings))
    counts: Counter[str] = Counter(redriven=0, expired=0, over_budget=0)

    def run(client: redis.Redis) -> None:
        with Progress(console=err, disable=as_json or not err.is_terminal, transient=True) as progress:
            bar = progress.add_task("redriven", total=None)
            lots = redrive_paced(
                client, nudger, wanted, lambda: now_of(client), after=first, before=last, a_second=a_second
            )
            for lot in lots:
                counts.update(lot)
                progress.update(bar, advance=lot.total())

    try:
        with_redis(run)
    finally:
        nudger.close()
    if as_json:
        print_json(counts)
        return counts.total()
    over = f", {counts['over_budget']} over their budget" if counts["over_budget"] else ""
    stay = f"{counts['expired']} past their validity{over}{_gone(counts['erased'])}"
    print_line(f"{counts['redriven']} redriven, {stay}, which stay dead")
    return counts.total()


def _gone(erased: int) -> str:
    return f", {erased:,} erased: their number and text are gone" if erased else ""


def _by_ids(ids: list[str], *, as_json: bool) -> None:
    from threelane.worker.dead.redrive import RedriveOutcome, redrive_ids

    nudger = Nudger(load_or_exit(Settings))
    try:
        whole = whole_ids(ids)
        answers = with_redis(lambda client: redrive_ids(client, nudger, whole, now_of(client)))
    finally:
        nudger.close()
    if as_json:
        print_json(answers)
    else:
        for one in answers:
            why = "" if one.answer is RedriveOutcome.REDRIVEN else f": {_WHY[one.answer]}"
            print_line(f"{one.id} {one.answer}{why}")
    refused = [one for one in answers if one.answer is not RedriveOutcome.REDRIVEN]
    if refused and all(one.answer is RedriveOutcome.UNKNOWN for one in answers):
        raise typer.Exit(Exit.NOT_FOUND)
    raise typer.Exit(Exit.REFUSED if refused else Exit.OK)


_WHY = {
    "expired": "its validity has ended; send it again",
    "over_budget": "its budget is exhausted: threelane money",
    "erased": "its number and text are erased; send it again",
    "damaged": "its record was damaged, and its content is lost; send it again",
    "in_doubt": "it may have been sent; workers query the gateway, and resend it at most once",
    "ended": "it has ended: threelane status",
    "under_way": "it is not a dead letter: it waits, is being sent, or the gateway has it",
    "unknown": "no such message, or no longer remembered",
}


def _bound(raw: str, option: str) -> int | None:
    try:
        return schedule.bound(raw, option)
    except ValueError as wrong:
        wrong_usage(str(wrong))
