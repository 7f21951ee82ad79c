"""Commands that find messages and show the history of one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Column

from threelane.contract.accounts.account import shown as account_shown
from threelane.interfaces.command import criteria
from threelane.interfaces.command.ids import LEAST, beginnings, shortened, whole_id
from threelane.interfaces.command.numbers import reading
from threelane.interfaces.command.printing import Json, not_found, out, print_json, print_limit, print_line, wrong_usage
from threelane.interfaces.command.query import now_of, with_redis
from threelane.interfaces.command.terminal import Table
from threelane.interfaces.command.values import credits, masked, shown_at, shown_exactly
from threelane.runtime.settings import load_or_exit
from threelane.store import find
from threelane.store.find import Filter, FoundMessage
from threelane.store.states import SUCCESSFUL, Status

if TYPE_CHECKING:
    from threelane.operations.explain import Story

Most = Annotated[int, typer.Option(min=1, help="Maximum number of messages to show.")]


def show(
    batch: criteria.Batch = "",
    tag: criteria.Tag = "",
    to: criteria.To = "",
    producer: criteria.Producer = "",
    lane: criteria.Lane = 0,
    client_message_id: criteria.ClientMessageId = "",
    state: criteria.State = None,
    account: criteria.Account = "",
    most: Most = 50,
    as_json: Json = False,
) -> None:
    """List messages, in any state, that match all of the given options."""
    wanted = criteria.parsed(
        Filter(
            batch=batch,
            tag=tag,
            to=to,
            producer=producer,
            lane=lane,
            client_message_id=client_message_id,
            status=state or "",
            account=account,
        )
    )
    print_found(with_redis(lambda client: list(find.search(client, wanted, most))), most, as_json=as_json)


def search(
    term: Annotated[str, typer.Argument(help="An id, a recipient, a client message id, a batch or a tag.")],
    most: Most = 50,
    as_json: Json = False,
) -> None:
    """Find messages by id, recipient, client message id, batch or tag, tried in this order."""
    found = with_redis(lambda client: list(find.term(client, term, most, reading())))
    if not found and len(term) >= LEAST and (start := shortened(term)):
        ids = sorted(beginnings([start])[start])
        found = with_redis(lambda client: [one for some in find.matching(client, ids, Filter()) for one in some])
    if not found:
        not_found(f"{term}: no remembered message has it as id, recipient, client message id, batch or tag")
    print_found(found, most, as_json=as_json)


def print_found(found: list[FoundMessage], most: int, *, as_json: bool) -> None:
    """Print messages, in a table or as one JSON value."""
    if as_json:
        print_json(found)
        return
    is_one = not any(one.account for one in found)
    rows = [
        {
            "id": one.id,
            "state": str(one.status),
            "lane": str(one.lane),
            "to": masked(one.to),
            "accepted": shown_at(one.accepted_at),
            "due": shown_at(one.due_at) if one.status is Status.SCHEDULED else "",
            "why": escape(f"{one.code} {one.reason}".strip()) if one.status not in SUCCESSFUL else "",
            "owner": one.owner,
            "batch": escape(one.batch),
            "account": "" if is_one else account_shown(one.account or ""),
        }
        for one in found
    ]
    names = (
        [name for name in rows[0] if any(row[name] for row in rows)] if rows else []
    )  # a narrow terminal has no room for empty columns
    narrow = ("id", "state", "to")
    table = Table(*(Column(name, no_wrap=name in narrow, overflow="fold") for name in names))
    for row in rows:
        table.add_row(*(row[name] for name in names))
    out.print(table if rows else "no message matches")
    print_limit(len(found), most)


def explain(
    message_id: Annotated[str, typer.Argument(help="The message id.")],
    as_json: Json = False,
) -> None:
    """Show the history of a message: timeline, policy rule, waits, look-ups, charge, receipts, events."""
    print_story(message_id, as_json=as_json)


def print_story(message_id: str, *, as_json: bool, only: Status | None = None) -> None:
    """Print a history; ends the command when there is none, or when the message is not in the state ``only``."""
    from threelane.operations.explain import explain as history_of
    from threelane.runtime.accounts_file import name_of
    from threelane.worker.gateway.overrides import WrongPolicy
    from threelane.worker.process.settings import WorkerSettings

    settings, message_id = load_or_exit(WorkerSettings), whole_id(message_id)
    try:
        story = with_redis(lambda client: history_of(client, message_id, now_of(client), settings))
    except WrongPolicy as wrong:
        given_as = name_of("policy_file", settings.account, settings.accounts_file)
        wrong_usage(f"{given_as} is invalid\n{wrong}")
    if story is None:
        not_found(f"{message_id}: unknown, or no longer remembered")
    if only and story.message.status is not only:
        not_found(f"{message_id} is {story.message.status}, not {only}: threelane explain {message_id}")
    if as_json:
        print_json(story)
        return
    one = story.message
    failure = f"{one.code} {one.reason} {one.text}".rstrip()
    print_line(f"{one.id} is {one.status}" + (f": {failure}" if one.is_failure else ""))
    about = {
        "to": masked(one.to),
        "from": story.sender,
        "client id": story.client_message_id,
        "producer": story.producer,
        "cost centre": story.cost_centre,
        "account": one.account,
        "batch": one.batch,
        "tags": ", ".join(story.tags),
        "valid until": shown_at(one.expires_at),
        "trace": story.trace,
        "bypassed": one.bypassed,
    }
    out.print(_pairs((name, value) for name, value in about.items() if value))
    steps = Table("when", "what", "detail")
    for step in story.steps:
        steps.add_row(shown_exactly(step.at), step.what, escape(step.detail))
    out.print(steps)
    out.print(_pairs(_details(story)))
    for event in story.events:
        state = "" if event.webhook == "none" else f", webhook: {event.webhook} {event.reason}".rstrip()
        print_line(f"event {event.type} {event.status} at {shown_at(event.at)}{state}")
    out.print("not recorded: " + "; ".join(story.not_kept), style="dim", markup=False, highlight=False)


def _details(story: Story) -> Iterable[tuple[str, str]]:
    """Yield the rest of a history, each as a name and a sentence."""
    if pending := story.pending:
        yield (
            "waits for",
            f"{pending.cause}: {pending.detail}" + (f", {shown_at(pending.until)}" if pending.until else ""),
        )
    if story.waiting_since:
        cause = f" ({story.waiting_cause.replace('_', ' ')})" if story.waiting_cause else ""
        yield "waits since", f"{shown_at(story.waiting_since)}{cause}"
    if story.waits:
        yield "waited", ", ".join(f"{wait.cause.replace('_', ' ')} {wait.seconds:g} s" for wait in story.waits)
    counts = {
        "attempts": story.message.attempts,
        "look-ups": story.look_ups,
        "look-ups for a receipt": story.status_look_ups,
        "attempts lost with their worker": story.lapses,
    }
    yield "counts", ", ".join(f"{name}: {number}" for name, number in counts.items() if number) or "no attempt so far"
    one = story.message
    if one.code and not one.is_failure:
        yield "earlier attempt", f"failed: {one.code} {one.reason} {one.text}".rstrip()
    if rule := story.rule:
        most = "until its validity ends" if rule.most_attempts is None else f"up to {rule.most_attempts} attempts"
        listed = "" if rule.listed else " (the table does not list this code)"
        text = rule.meaning or f"{rule.verdict}, {most}; affects the {rule.scope}; owner: {rule.owner}{listed}"
        yield f"rule of {rule.code}", f"{rule.reason}: {text}".removeprefix(": ")
    money = story.money
    charged = "not reported" if money.charged is None else credits(money.charged)
    yield "credits", f"estimated {credits(money.estimate)}, charged {charged}"
    for limit in money.budgets:
        yield (
            f"budget {limit.scope}",
            f"{credits(limit.spent)} of {credits(limit.limit)} per {limit.period}, over it: {limit.over}",
        )


def _pairs(rows: Iterable[tuple[str, str]]) -> Table:
    table = Table(show_header=False, box=None)
    for name, value in rows:
        table.add_row(escape(name), escape(value))
    return table
