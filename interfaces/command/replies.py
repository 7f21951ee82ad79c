"""Commands for replies: which producer owns the replies to a number or keyword, and the inbox for the others."""

from __future__ import annotations

import re
from itertools import islice
from typing import Annotated, Any

import msgspec
import redis
import typer
from rich.markup import escape

from threelane.interfaces.command.printing import Json, err, not_found, out, print_json, print_line, wrong_usage
from threelane.interfaces.command.query import with_redis
from threelane.interfaces.command.terminal import Table
from threelane.interfaces.command.values import masked, shown_at
from threelane.store import inbox, reply_owners
from threelane.store.inbox import Unassigned
from threelane.store.reply_owners import ReplyOwner

app = typer.Typer(name="replies", help="Replies: who gets them, and those that nobody gets.", no_args_is_help=True)
Number = Annotated[str, typer.Argument(help="A number or short code of yours that receives replies; '*': all others.")]
Producer = Annotated[str, typer.Argument(help="The producer's name, as in its messages.")]
Keyword = Annotated[str, typer.Option(help="Only replies whose first word is this one.")]
EventId = Annotated[str, typer.Argument(metavar="ID", help="The id of the event, as the inbox lists it.")]
_EVENT_ID = re.compile(r"[0-9]{1,19}-[0-9]{1,19}")


@app.command(epilog="Example: threelane replies own 72975 clinic --keyword CLINIC")
def own(number: Number, producer: Producer, keyword: Keyword = "", as_json: Json = False) -> None:
    """Let a producer have the replies to a number, or to a keyword on it. Nobody else sees them."""
    owner, before = with_redis(lambda client: reply_owners.own(client, number, keyword, producer))
    if as_json:
        print_json(owner._asdict() | {"before": before})
        return
    earlier = f" (before: {before})" if before not in ("", producer) else ""
    print_line(f"replies to {_described(owner.number, owner.keyword)} belong to {producer}{earlier}")


@app.command(epilog="Example: threelane replies disown 72975 --keyword CLINIC")
def disown(number: Number, keyword: Keyword = "") -> None:
    """Remove the owner of a number or keyword."""
    before = with_redis(lambda client: reply_owners.disown(client, number, keyword))
    if not before:
        not_found(f"{_described(number, keyword)} has no owner: threelane replies list")
    print_line(f"replies to {_described(number, keyword)} no longer belong to {before}")


@app.command("list", epilog="Example: threelane replies list --json")
def list_owners(as_json: Json = False) -> None:
    """List the numbers and keywords that have an owner."""
    found: list[ReplyOwner] = with_redis(lambda client: list(reply_owners.owners(client)))
    if as_json:
        print_json([one._asdict() for one in found])
        return
    table = Table("number", "keyword", "producer")
    for one in found:
        table.add_row("all others" if one.number == reply_owners.ANY else one.number, *map(escape, one[1:]))
    out.print(table if found else "no number has an owner: a reply goes to the producer that last texted the person")


@app.command("inbox", epilog="Example: threelane replies inbox --numbers")
def show_inbox(
    numbers: Annotated[bool, typer.Option("--numbers", help="Show whole phone numbers.")] = False,
    most: Annotated[int, typer.Option(min=1, help="Maximum number of replies to show.")] = 100,
    as_json: Json = False,
) -> None:
    """List replies that belong to no producer, the oldest first."""
    found, waiting = with_redis(lambda client: (list(islice(inbox.unassigned(client), most)), inbox.size(client)))
    rows = [_row(one, numbers) for one in found]
    if waiting > len(found):
        err.print(f"the oldest {len(found):,} of {waiting:,} replies; --most shows more", highlight=False)
    if as_json:
        print_json(rows)
        return
    table = Table("id", "received", "from", "to", "text", "media", "word")
    for one, row in zip(found, rows, strict=True):
        cells = (row["from"], row["to"], row["text"], _media(one), row["word"])
        table.add_row(row["id"], shown_at(one.reply.received_at), *(escape(str(cell)) for cell in cells))
    out.print(table if found else "the inbox is empty")


@app.command(epilog="Example: threelane replies assign 1767225600000-0 clinic")
def assign(event_id: EventId, producer: Producer) -> None:
    """Give a reply of the inbox to a producer, which gets it as an event."""

    def give(client: redis.Redis) -> bool:
        found = inbox.find(client, _event_id(event_id))
        return found is not None and inbox.assign(client, found, producer)

    if not with_redis(give):
        _not_there(event_id)
    print_line(f"{event_id} is published to {producer}")


@app.command(epilog="Example: threelane replies dismiss 1767225600000-0")
def dismiss(
    event_ids: Annotated[list[str] | None, typer.Argument(metavar="ID...", help="Ids of events in the inbox.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All replies in the inbox.")] = False,
) -> None:
    """Delete replies from the inbox."""
    if bool(event_ids) == every:
        wrong_usage("give ids of the inbox, or --all")
    ids = [_event_id(one) for one in event_ids or []]

    def delete(client: redis.Redis) -> list[bool]:
        found = list(inbox.unassigned(client)) if every else [inbox.find(client, one) for one in ids]
        return [one is not None and inbox.dismiss(client, one) for one in found]

    done = with_redis(delete)
    print_line(f"{sum(done):,} replies deleted")
    for event_id, is_deleted in zip(ids, done, strict=False):
        if not is_deleted:
            _not_there(event_id)


def _row(one: Unassigned, numbers: bool) -> dict[str, Any]:
    """Return a reply for people and as JSON; the person's number is masked unless it is to be shown."""
    fields = msgspec.structs.asdict(one.reply)
    sender = fields.pop("sender")
    return {name: fields[name] for name in ("id", "reply_id", "to", "text", "received_at", "network", "word")} | {
        "from": sender if numbers else masked(sender),
        "incomplete": one.reply.incomplete,
        "media": one.reply.media,
        "media_types": one.reply.media_types,
        "media_octets": one.reply.media_octets,
    }


def _media(one: Unassigned) -> str:
    """Return what came with a reply: "image/jpeg, 310 kB"."""
    reply = one.reply
    size = f"{reply.media_octets / 1000:,.0f} kB" if reply.media_octets else ""
    return ", ".join(filter(None, (reply.media_types or "media", size))) if reply.media else ""


def _described(number: str, keyword: str) -> str:
    whom = "all other numbers" if number.strip() == reply_owners.ANY else number
    return f"the keyword {keyword} on {whom}" if keyword else whom


def _event_id(raw: str) -> str:
    if not _EVENT_ID.fullmatch(raw):
        wrong_usage(f"{raw[:40]!r} is not the id of an event, such as 1767225600000-0: threelane replies inbox")
    return raw


def _not_there(event_id: str) -> None:
    not_found(f"{event_id} is not in the inbox: it was assigned, dismissed or removed by age; threelane replies inbox")
