"""Commands for waiting messages: list, move, cancel."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Column

from threelane.contract.errors import Refused
from threelane.interfaces.command import criteria
from threelane.interfaces.command.caller import answer_json, give_up, open_producer
from threelane.interfaces.command.ids import whole_id, whole_ids
from threelane.interfaces.command.numbers import number
from threelane.interfaces.command.printing import Json, err, no_match, out, print_json, print_limit, wrong_usage
from threelane.interfaces.command.terminal import Table
from threelane.interfaces.command.values import masked, shown_at
from threelane.producer.cancel import Cancelled, CancelResult
from threelane.producer.outage import Unavailable
from threelane.runtime.exits import Exit

schedules = typer.Typer(name="schedule", help="List scheduled messages or reschedule one.", no_args_is_help=True)


def _recipient(to: str) -> str:
    """Return the recipient in --to with a +, so that it is not read again by a setting."""
    return f"+{number(to, '--to')}" if to else ""


def cancel(
    ids: Annotated[list[str] | None, typer.Argument(help="Message ids.")] = None,
    batch: criteria.Batch = "",
    tag: criteria.Tag = "",
    to: criteria.To = "",
    producer: criteria.Producer = "",
    lane: criteria.Lane = 0,
    as_json: Json = False,
) -> None:
    """Cancel messages that have not been sent yet, by id, batch, tag, recipient, producer or lane."""
    counts: Counter[str] = Counter(dict.fromkeys(CancelResult, 0))
    late: list[Cancelled] = []
    by_filter = bool(batch or tag or to or producer or lane)
    with open_producer() as client:
        try:
            if by_filter == bool(ids):
                wrong_usage(f"give ids, or a filter: {criteria.flags(criteria.WAITING)}")
            named = {"batch": batch, "tag": tag, "to": _recipient(to), "producer": producer, "lane": lane}
            answers = client.cancel_all(**named) if by_filter else client.cancel(whole_ids(ids or []))  # type: ignore[arg-type]
            for answer in answers:
                counts[answer.answer] += 1
                if as_json:
                    print_json(answer)
                if answer.answer in (CancelResult.TOO_LATE, CancelResult.UNKNOWN):
                    late.append(answer)
        except ValueError as wrong:
            wrong_usage(str(wrong))
        except Unavailable as away:
            give_up(away, as_json)
    if as_json:
        print_json({"summary": counts})
    else:
        for answer in late[:20]:
            out.print(f"{answer.id}: {answer.why or 'unknown, or no longer remembered'}", markup=False, highlight=False)
        requested = f", {counts[CancelResult.ASKED]} requested at the gateway" if counts[CancelResult.ASKED] else ""
        tried = counts[CancelResult.NOT_RETRIED]
        requested += f", {tried} being sent or in doubt, and not retried" if tried else ""
        out.print(
            f"{counts[CancelResult.CANCELLED]} cancelled{requested}, {len(late)} too late or unknown", highlight=False
        )
    if by_filter and not counts.total():
        no_match("no message that could be cancelled matches")
    if ids and counts[CancelResult.UNKNOWN] == counts.total():
        raise typer.Exit(Exit.NOT_FOUND)
    raise typer.Exit(Exit.REFUSED if late else Exit.OK)


@schedules.command("list", epilog="Example: threelane schedule list --tag promo --before 2031-06-30T14:00:00Z")
def show(
    batch: criteria.Batch = "",
    tag: criteria.Tag = "",
    to: criteria.To = "",
    producer: criteria.Producer = "",
    lane: criteria.Lane = 0,
    after: Annotated[str, typer.Option(help="Only at or after this time, ISO 8601 with a zone.")] = "",
    before: Annotated[str, typer.Option(help="Only up to this time, ISO 8601 with a zone.")] = "",
    most: Annotated[int, typer.Option(min=1, help="Maximum number of messages to show.")] = 50,
    as_json: Json = False,
) -> None:
    """List scheduled messages, earliest first."""
    with open_producer() as client:
        try:
            found = client.scheduled(
                batch=batch,
                tag=tag,
                to=_recipient(to),
                producer=producer,
                lane=lane,
                after=after,
                before=before,
                most=most,
            )
        except ValueError as wrong:
            wrong_usage(str(wrong))
        except Unavailable as away:
            give_up(away, as_json)
    if as_json:
        print_json(found)
        return
    columns = (Column(name, overflow="fold") for name in ("due", "lane", "to", "batch", "tags"))
    table = Table(Column("id", no_wrap=True), *columns)
    for one in found:
        table.add_row(one.id, shown_at(one.due_at), str(one.lane), masked(one.to), escape(one.batch), escape(one.tags))
    out.print(table if found else "no message waits for a time")
    print_limit(len(found), most)


@schedules.command(epilog="Example: threelane schedule move 0f3c... 2031-06-30T14:00:00Z")
def move(
    message_id: Annotated[str, typer.Argument(help="The message id.")],
    deliver_at: Annotated[str, typer.Argument(help="The new time, ISO 8601 with a zone.")],
    as_json: Json = False,
) -> None:
    """Reschedule a waiting message; its validity moves with it unless it was set explicitly."""
    message_id = whole_id(message_id)
    with open_producer() as client:
        try:
            moved = client.move(message_id, deliver_at)
        except Refused as refused:
            if as_json:
                print_json(answer_json(refused))
            else:
                err.print(f"refused {refused}", markup=False, highlight=False)
            raise typer.Exit(Exit.REFUSED) from None
        except Unavailable as away:
            give_up(away, as_json)
    if as_json:
        print_json(answer_json(moved))
    else:
        out.print(f"{moved.id} moved", highlight=False)
