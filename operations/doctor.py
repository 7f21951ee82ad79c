"""Doctor: problems of the running system, each with its owner and the command that fixes it."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import redis
from redis.exceptions import NoPermissionError, ResponseError

from threelane.contract.accounts.account import option
from threelane.contract.countries import describe
from threelane.contract.holidays import EVERYWHERE
from threelane.contract.prices import CREDIT
from threelane.contract.refusal import Owner
from threelane.contract.window import LOOK_AHEAD_DAYS
from threelane.operations import age, damage, doctor_accounts, each_account, forecast, health, opening
from threelane.operations.age import LaneAge
from threelane.operations.each_account import Accounts
from threelane.operations.finding import Finding, Grade
from threelane.operations.outage import outage
from threelane.store import access, countries, inbox, keys, limits, logins, missing, pauses, rows, suppression, windows
from threelane.store import status as statuses
from threelane.store.keys import Space
from threelane.store.replies import text_of
from threelane.store.sizes import sizes
from threelane.store.states import Status
from threelane.store.tally import Count
from threelane.store.waiting import Cause
from threelane.store.wrong_type import is_wrong_type
from threelane.worker.account import hold
from threelane.worker.account.hold import Held
from threelane.worker.dead import redrive
from threelane.worker.gateway.breaking import SCOPE
from threelane.worker.gateway.overrides import in_force
from threelane.worker.policy.ours import DAMAGED_RECORD, INTERNAL_ERROR
from threelane.worker.policy.rule import Scope, Table
from threelane.worker.process.identity import SILENT_MS

OK, WARNING, ERROR = Grade
OVERDUE_MS = 30_000  # what is due is released within a second
QUIET_MS = 900_000  # no callback for this long while messages wait for receipts is a warning
MOST_SHOWN = 5  # keys in one finding
LONG_PAUSE_HOURS = 24
HOUR_MS = 3600 * 1000
EXPIRING_MS = HOUR_MS  # paused messages that expire within this time are a warning
DRY_HOURS = (24, 2)  # a warning, an error
MANY_LOGINS = 30  # refused within an hour
_REASON_STEP = "remove the reason; unless that is a setting of the worker, it goes on without a restart"
_RUN_STEP = "remove the reasons that are listed for each worker; to start another one would not help"
_NUDGES = {  # kind of missing nudges -> severity, what happened, what to check
    Count.UNPUBLISHED: (
        WARNING,
        "were accepted, but the broker did not take their nudge; workers find them a second or two later",
        "threelane check, with the settings of the process whose log has nudge_failed: can it reach the broker?",
    ),
    Count.FOUND: (
        WARNING,
        "were sent without a nudge, each a second or two late",
        "is the broker up, and is THREELANE_BROKER_URL the same for producers and workers?",
    ),
    Count.SWEPT: (
        WARNING,
        "had lost their nudge, and no worker claimed them by a look",
        "threelane top: are workers of this lane running, is the rate used up? then check the broker",
    ),
    Count.SWEPT_AGAIN: (
        ERROR,
        "were swept twice: neither a nudge nor a look reached them",
        "the log event swept_again has their ids; restart the workers of this lane",
    ),
}
_LOOK = "threelane top: are workers running, is the rate (PARTS_PER_SECOND) used up?"
_STEPS: dict[str, str] = {  # what the oldest message of a lane waits for -> what to do
    Cause.HOLD: "threelane holds",
    Cause.RETRY: "threelane list --state scheduled, then threelane explain ID: the code of its last attempt",
    Cause.IN_DOUBT: "threelane list --state in_doubt: workers query the gateway",
    Cause.NEWER: "upgrade the workers: docs/deploy.md",
    Status.SENDING: "is the gateway slow? threelane check --live",
}
_REFUSED = f"{Scope.CREDENTIALS}:"
_LOGIN_STEP = "correct THREELANE_CLICKATELL_... of these workers, and restart them"
_LOGIN_STEPS = {  # cause of a refused login -> what else to do
    "ip_lockdown": "allow their IP address in Clickatell's console; they continue on their own",
    "wrong_address": "correct THREELANE_GATEWAY_URL of these workers, and restart them",
}
_REMEDIES = {  # owner of dead letters -> what to do
    Owner.OPERATOR: "fix the cause (docs/operations.md), then threelane dead redrive --code {code}",
    Owner.PRODUCER: "inform the producer: threelane dead list --owner producer --code {code}",
    Owner.RECIPIENT: "nothing: the recipient does not want it or cannot be reached",
    Owner.GATEWAY: "when the gateway has recovered: threelane dead redrive --code {code}",
}

_POISON_STEP = (
    "report the log events internal_error, with the exception and its place; after the fix: "
    "threelane dead redrive --code {code}"
)

MOST_NAMED = 5  # damaged records
_DAMAGE_STEP = (
    "threelane dead damage {id} shows what it held: find out what wrote to Redis, send the message again, then "
    "threelane cancel {id}"
)


def diagnose(client: redis.Redis, now: int, table: Table) -> Iterator[Finding]:
    """Yield findings about the state in Redis; ``check`` covers the settings.  ``table`` gives the owner of a code."""
    each = each_account.read(client)
    of_account: dict[str, Callable[[Space], Iterator[Finding]]] = {
        "workers": lambda space: _workers(client, now, sum(_depths(client, space).values()), space),
        "lanes": lambda space: _lanes(client, now, _depths(client, space), space),
        "holds": lambda space: _holds(client, now, table_of(each, space, table), space),
        "credit": lambda space: _credit(client, now, space),
        "overdue work": lambda space: _overdue(client, now, space),
        "nudges": lambda space: _nudges(client, now, space),
        "callback endpoint": lambda space: _callbacks(client, now, space),
    }

    def of_each(what: str) -> Iterator[Finding]:
        for space in each.places:
            for one in _examined(what, lambda space=space: of_account[what](space)):  # type: ignore[misc]
                yield one._replace(what=each.label(space, one.what))

    sections: dict[str, Callable[[], Iterator[Finding]]] = {
        "accounts": lambda: doctor_accounts.find(client, each, now),
        "workers": lambda: of_each("workers"),
        "lanes": lambda: of_each("lanes"),
        "holds": lambda: of_each("holds"),
        "pauses": lambda: _pauses(client, now),
        "holidays": lambda: _holidays(client, now),
        "limits": lambda: _limits(client, now),
        "credit": lambda: of_each("credit"),
        "overdue work": lambda: of_each("overdue work"),
        "nudges": lambda: of_each("nudges"),
        "dropped nudges": lambda: _dropped(client, now),
        "callback endpoint": lambda: of_each("callback endpoint"),
        "replies": lambda: _inbox(client, now),
        "suppression list": lambda: _misspelt(client),
        "dead letters": lambda: _dead(client, now),
        "damaged records": lambda: _damaged(client),
        "damaged rows": lambda: _damaged_rows(client),
        "console": lambda: _logins(client),
        "API keys": lambda: _wide_keys(client, now),
        "new countries": lambda: _new_countries(client, now),
    }
    for what, section in sections.items():
        yield from _examined(what, section)


def table_of(each: Accounts, space: Space, own: Table) -> Table:
    """Return the policy table of an account; of one of the file, that of its API."""
    known = each.gateways.get(space.account)
    return in_force(known, None) if known else own


def start_worker(space: Space) -> str:
    """Return how a worker of an account is started."""
    return f"start one: threelane worker{option(space.account)}"


def _examined(what: str, section: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Yield the findings of a section, or one that it could not be examined, so that the others are."""
    try:
        yield from section()
    except NoPermissionError as denied:
        step = "run doctor as the Redis user operator: deploy/redis-users.acl"
        yield Finding(ERROR, what, f"not examined: Redis denied permission: {text_of(denied)}", step)
    except ResponseError as failed:
        if not is_wrong_type(failed):
            raise
        yield Finding(ERROR, what, "not examined: a key that it reads is of another type", "threelane damaged list")


def _depths(client: redis.Redis, space: Space) -> dict[int, int]:
    return {lane: int(client.zcard(keys.names(space).QUEUED[lane])) for lane in keys.LANES}


def _workers(client: redis.Redis, now: int, waiting: int, space: Space) -> Iterator[Finding]:
    """Check each worker that reported recently; workers that were stopped long ago are not a problem."""
    problems = {name: _worker(client, name, now) for name in rows.workers_of(client, now - health.GONE_MS, space)}
    yield from (problem for problem in problems.values() if problem)
    healthy = sum(problem is None for problem in problems.values())
    if healthy:
        yield Finding(OK, "workers", f"{healthy} healthy")
    else:
        run = any(problem and problem.step == _REASON_STEP for problem in problems.values())
        detail, step = f"none is healthy; {waiting:,} messages wait", _RUN_STEP if run else start_worker(space)
        yield Finding(ERROR if waiting else WARNING, "workers", detail, step)
    earlier = [name for name, problem in problems.items() if problem is None and _is_earlier(client, name)]
    if earlier:
        names = ", ".join(earlier)
        detail = f"{names}: an earlier version, in which two workers of a host report under one name"
        yield Finding(WARNING, "workers", detail, "upgrade them: docs/deploy.md; until then set THREELANE_WORKER_NAME")


def _worker(client: redis.Redis, name: str, now: int) -> Finding | None:
    """Return the finding of one worker that does not send; a restart is proposed only where it helps."""
    problem, reason = health.reported(client, name, now)
    if problem:
        step = f"threelane health --worker {name}; restart it, or ignore it if it was stopped"
        return Finding(WARNING, "worker", problem, step)
    return Finding(WARNING, "worker", reason, _REASON_STEP) if reason else None


def _is_earlier(client: redis.Redis, name: str) -> bool:
    """Return whether a worker is of a version without identities."""
    return b"incarnation" not in rows.report_of(client, name)


def _lanes(client: redis.Redis, now: int, waiting: dict[int, int], space: Space) -> Iterator[Finding]:
    """Check that a worker fetches each lane, and how long its oldest message waits."""
    alive = rows.reports_of(client, now - SILENT_MS, ["lanes"], space)
    consumed: set[str] = set()
    for (lanes,) in alive.values():
        consumed.update(rows.text(lanes).split(","))
    held = hold.holds(client, now, space)
    breaker = outage(client, held, now, space)
    for lane, one in age.read(client, now, held, space).items():
        what, depth = f"lane {lane}", waiting[lane]
        if alive and str(lane) not in consumed:
            step = f"{start_worker(space)} --lanes {lane}"
            yield Finding(ERROR if depth else WARNING, what, f"no worker fetches it; {depth:,} wait", step)
        yield _lane_finding(what, one, health.SLOW_SECONDS[lane], is_held=bool(breaker or age.stopping(held, lane)))


def _lane_finding(what: str, one: LaneAge, slow: tuple[int, int], *, is_held: bool) -> Finding:
    """Return the finding of a lane; one that is on hold as a whole is an error among the holds."""
    if not one.cause:
        return Finding(OK, what, f"nothing is due; {words}" if (words := age.words(one.causes)) else "empty")
    backlog = age.sentence(one)
    late, too_late = slow
    if one.oldest_seconds <= late:
        return Finding(OK, what, backlog)
    if is_held:
        return Finding(WARNING, what, f"{backlog}; the lane is on hold", "threelane holds")
    return Finding(ERROR if one.oldest_seconds > too_late else WARNING, what, backlog, _STEPS.get(one.cause, _LOOK))


def _holds(client: redis.Redis, now: int, table: Table, space: Space) -> Iterator[Finding]:
    held = hold.holds(client, now, space)
    yield from _credentials(client, held, now, space)
    for scope, one in sorted(held.items()):
        if scope.startswith(_REFUSED):
            continue
        wide = scope == "account" or scope.startswith(("lane:", f"{SCOPE}:"))
        owner = table.rules[one.code].owner if one.code in table.rules else Owner.OPERATOR
        owner = Owner.GATEWAY if one.next_probe else owner
        step = "it ends automatically" if one.until else hold.way_back(one)
        evidence = f"; {words}" if (words := hold.evidence_of(one)) else ""
        if not one.until and step.endswith("threelane resume"):
            step += "" if scope == "account" else f" {scope!r}"
            step += option(space.account)
        yield Finding(ERROR if wide else WARNING, "hold", f"{scope}: {one.code} {one.cause}{evidence}", step, owner)
    if not held:
        yield Finding(OK, "holds", "nothing is on hold")


def _pauses(client: redis.Redis, now: int) -> Iterator[Finding]:
    """Report batches that are paused for long, and paused messages that expire soon."""
    found = pauses.listed(client)
    for one in found:
        pause = one.pause
        hours = (now - pause.since) / HOUR_MS
        of = f" of {pause.producer}" if pause.producer else ""
        detail = f"{pause.name}{of} is paused for {hours:,.1f} h by {pause.by}; {one.total:,} messages wait"
        step = ", or ".join(pauses.commands(pause.producer, pause.name))
        if one.total:
            yield Finding(WARNING if hours >= LONG_PAUSE_HOURS else OK, "paused batch", detail, step)
    if number := pauses.expiring(client, now + EXPIRING_MS):
        step = "threelane list --state paused names them and their batch; threelane batch resume sends them"
        yield Finding(WARNING, "paused batch", f"{number:,} paused messages expire within an hour", step)


def _holidays(client: redis.Redis, now: int) -> Iterator[Finding]:
    """Yield the windows that are closed for holidays, since their messages wait and may expire."""
    for one in opening.closed(windows.read(client), now):
        where = "for all recipients" if one.country == EVERYWHERE else f"in {one.country}"
        days = ", ".join(str(holiday.day) for holiday in one.holidays[:MOST_SHOWN])
        what = f"{one.scope} is closed {where} for a holiday ({days})"
        if one.opens is None:
            step = "threelane windows holidays list: are all of these holidays?"
            detail = f"{what} and does not open within {LOOK_AHEAD_DAYS} days: its messages expire"
            yield Finding(WARNING, "window", detail, step)
        else:
            until = datetime.fromtimestamp(one.opens / 1000, UTC)
            yield Finding(OK, "window", f"{what} until {until:%Y-%m-%d %H:%M} UTC")


def _limits(client: redis.Redis, now: int) -> Iterator[Finding]:
    """Report runs of neighbouring numbers in the last hour, and limits that are reached now."""
    for run in limits.runs(client, now):
        of = f", the latest of the producer {run.producer}" if run.producer else ""
        held = "; they are put on hold" if run.held else ""
        detail = f"lane 1 was sent to {run.numbers:,} neighbouring numbers of {run.block}...{of}{held}"
        step = f"who requests these codes? threelane hold prefix:{run.block} stops them"
        step = f"threelane resume prefix:{run.block}, if it is no abuse" if run.held else step
        yield Finding(WARNING, "neighbouring numbers", detail, step)
    for use in limits.usage(client, now):
        if use.free_at:
            step = f"threelane limits set {use.name.scope} {use.name.period} NUMBER raises it"
            detail = f"{use.name.scope}: all {use.limit.count:,} messages of this {use.name.period} are used up"
            yield Finding(WARNING, "limit", detail, step)


def _credentials(client: redis.Redis, held: Mapping[str, Held], now: int, space: Space) -> Iterator[Finding]:
    """Name the workers whose credentials the gateway refuses; an error if no worker of the account has others."""
    refused = {scope.removeprefix(_REFUSED): one for scope, one in held.items() if scope.startswith(_REFUSED)}
    if not refused:
        return
    found = rows.reports_of(client, now - SILENT_MS, ["fingerprint", "not_ready"], space)
    names, reports = [*found], [[rows.text(value) for value in one] for one in found.values()]
    is_sending = any(not not_ready and fingerprint not in refused for fingerprint, not_ready in reports)
    for fingerprint, one in sorted(refused.items()):
        whose = [name for name, (of, _) in zip(names, reports, strict=True) if of == fingerprint]
        workers = ", ".join(whose) or f"workers with the fingerprint {fingerprint}"
        effect = "other workers send" if is_sending else "no worker sends"
        what = f"Clickatell refuses those of {workers}: {one.code} {one.cause}; {effect}"
        yield Finding(WARNING if is_sending else ERROR, "credentials", what, _LOGIN_STEPS.get(one.cause, _LOGIN_STEP))


def _credit(client: redis.Redis, now: int, space: Space) -> Iterator[Finding]:
    money, before = forecast.read(client, now, space), OK
    if money.error:
        yield Finding(WARNING, "credit", f"the balance cannot be read: {money.error}", "threelane check --live")
    if money.balance is None:
        if not money.error:
            yield Finding(WARNING, "credit", "the balance has not been read yet", "workers read it: threelane worker")
        return
    if money.waiting_lanes:
        lanes = ", ".join(map(str, money.waiting_lanes))
        yield Finding(
            ERROR, "credit", f"lanes {lanes} wait: the remaining credits are reserved for higher lanes", "top up"
        )
    hours = money.hours_left
    if hours is not None and hours < DRY_HOURS[0]:
        before = ERROR if hours < DRY_HOURS[1] else WARNING
        yield Finding(
            before,
            "credit",
            f"runs out in {hours:.1f} hours at the present rate",
            f"top up; threelane money{option(space.account)}",
        )
    if money.short:
        yield Finding(
            WARNING,
            "credit",
            f"{money.short / CREDIT:,.2f} short for the waiting messages",
            f"top up; threelane money{option(space.account)}",
        )
    if before is OK and not money.short and not money.waiting_lanes:
        yield Finding(OK, "credit", f"about {money.left / CREDIT:,.2f} left")


def _overdue(client: redis.Redis, now: int, space: Space) -> Iterator[Finding]:
    """Check for overdue work: releases, leases, look-ups."""
    for status, what, overdue in (
        (Status.SCHEDULED, "due set", "messages are due and not on their lanes"),
        (Status.SENDING, "leases", "attempts have outlived their lease"),
        (Status.IN_DOUBT, "in doubt", "look-ups of messages in doubt are overdue"),
    ):
        indexes = keys.indexes_of(status, space=space)
        late = sum(int(client.zcount(index, "-inf", now - OVERDUE_MS)) for index in indexes)
        if late:
            yield Finding(ERROR, what, f"{late:,} {overdue}", f"workers do this; {start_worker(space)}")
    doubts = sizes(client, Status.IN_DOUBT, space=space)[Status.IN_DOUBT]
    if doubts:
        doubt = f"{doubts:,} messages may have been sent; workers query the gateway, and resend one at most once"
        yield Finding(
            WARNING, "in doubt", doubt, f"wait; threelane list --state in_doubt{option(space.account)}", Owner.GATEWAY
        )


def _nudges(client: redis.Redis, now: int, space: Space) -> Iterator[Finding]:
    """Check for messages without a nudge in the last minutes."""
    entries: Any = client.hgetall(keys.names(space).NUDGES)
    found = missing.recent(entries, now)
    for one in found:
        grade, what, step = _NUDGES[one.kind]
        ago = f"the last {(now - one.last_at) / 1000:,.0f} s ago"
        yield Finding(grade, "nudges", f"lane {one.lane}: {one.messages:,} messages {what}; {ago}", step)
    if not found:
        yield Finding(OK, "nudges", "none is missing")


def _dropped(client: redis.Redis, now: int) -> Iterator[Finding]:
    """Report entries of the queues that workers dropped in the last minutes, because they are no nudges."""
    names = rows.workers(client, now - health.GONE_MS)
    for name, (found,) in zip(names, rows.reports(client, names, ["dropped"]), strict=True):
        last, _, counts = rows.text(found).partition(" ")
        if counts and last.isdigit() and now - int(last) < missing.RECENT_MS:
            detail = f"{name} dropped entries of the queues that are no nudges: {counts.replace('=', ' ')}; "
            detail += f"the last {(now - int(last)) / 1000:,.0f} s ago"
            step = "the log event nudge_dropped has its beginning: find out what else writes to the broker"
            yield Finding(WARNING, "nudges", detail, step)


def _damaged(client: redis.Redis) -> Iterator[Finding]:
    """Name the latest records that could not be read, with what was wrong."""
    found: Any = client.zrange(keys.DAMAGED, 0, -1, desc=True)
    ids = rows.ids(found[:MOST_NAMED])
    for message_id, one in zip(ids, statuses.read(client, ids), strict=True):
        if one and one.code == DAMAGED_RECORD.code and not one.erased_at:
            number = f"; {len(found):,} in all" if len(found) > MOST_NAMED else ""
            detail = f"{message_id} is {one.status}: {one.text}{number}"
            yield Finding(WARNING, "damaged record", detail, _DAMAGE_STEP.format(id=message_id))


def _damaged_rows(client: redis.Redis) -> Iterator[Finding]:
    """Name unreadable rows of stored tables, with what they mean and the command that removes them."""
    found = Counter[str]()
    for one in damage.find(client):
        found[one.key] += 1
        if found[one.key] <= MOST_NAMED:
            name = f"{one.key} {one.row}" if one.row else f"{one.key}, the whole key"
            yield Finding(WARNING, "damaged row", f"{name}: {one.effect}", one.command)
    for key, number in found.items():
        if number > MOST_NAMED:
            detail = f"{key}: {number:,} rows in all"
            yield Finding(WARNING, "damaged row", detail, "threelane damaged list")


def _callbacks(client: redis.Redis, now: int, space: Space) -> Iterator[Finding]:
    """Check when the last receipt came, if messages wait for receipts."""
    found: Any = client.get(keys.names(space).HEARD)
    awaited = sizes(client, Status.SENT, space=space)[Status.SENT]
    last = int(found or 0)
    ago = f"last receipt {(now - last) / 1000:,.0f} s ago" if last else "no receipt has arrived yet"
    if awaited and now - last > QUIET_MS:
        step = "is threelane callbacks running, and is https://<host>/<secret>/status set at Clickatell?"
        yield Finding(WARNING, "callback endpoint", f"{ago}; {awaited:,} messages wait for a receipt", step)
    else:
        yield Finding(OK, "callback endpoint", ago)


def _inbox(client: redis.Redis, now: int) -> Iterator[Finding]:
    """Report replies that belong to no producer, and those that were removed unread within the last 7 days."""
    step = "threelane replies inbox; assign or dismiss each, and give their numbers an owner: threelane replies own"
    if waiting := inbox.size(client):
        is_full = "; the inbox is full: each new one removes the oldest" if waiting >= inbox.MOST else ""
        yield Finding(WARNING, "replies", f"{waiting:,} belong to no producer, so nobody has read them{is_full}", step)
    if removed := inbox.removed_unread(client, now):
        ago = f"{(now - removed.last_at) / HOUR_MS:,.0f} h ago"
        detail = f"{removed.replies:,} left the inbox before anybody read them, the last one {ago}"
        yield Finding(WARNING, "lost replies", detail, f"they cannot be restored; {step}")


def _misspelt(client: redis.Redis) -> Iterator[Finding]:
    """Report suppressed numbers under a former spelling, as the last hourly round counted them."""
    if number := suppression.misspelt_count(client):
        detail = f"{number:,} numbers are listed under a former spelling; they are suppressed, but searched more slowly"
        step = "when all workers are upgraded: threelane suppress migrate --dry-run, then threelane suppress migrate"
        yield Finding(WARNING, "suppression list", detail, step)


def _logins(client: redis.Redis) -> Iterator[Finding]:
    """Report many refused logins at the console."""
    refused = logins.refused_recently(client)
    if refused >= MANY_LOGINS:
        detail = f"{refused:,} logins at the console were refused within an hour"
        yield Finding(WARNING, "console", detail, "who tries? see the proxy's log; or set THREELANE_CONSOLE=off")


def _dead(client: redis.Redis, now: int) -> Iterator[Finding]:
    """Report dead letters by owner, the most frequent code first; those that made our code fail by themselves."""
    groups = redrive.dead_groups(client, now)  # the largest first
    poison = [group for group in groups if group.code == INTERNAL_ERROR.code]
    by_owner = [group for group in groups if group.code != INTERNAL_ERROR.code]
    owners: Counter[str] = Counter()
    for group in by_owner:
        owners[group.owner] += group.messages
    for owner, number in owners.most_common():
        of_owner = [group for group in by_owner if group.owner == owner]
        codes = ", ".join(f"{group.code} {group.reason} ({group.messages:,})" for group in of_owner[:5])
        step = _REMEDIES.get(Owner(owner), "") if owner in set(Owner) else "threelane dead list"
        yield Finding(WARNING, "dead letters", f"{number:,}: {codes}", step.format(code=of_owner[0].code), owner)
    for group in poison:
        detail = f"{group.messages:,} made the code of Threelane or of an added gateway fail ({group.code})"
        yield Finding(WARNING, "dead letters", detail, _POISON_STEP.format(code=group.code))
    if not groups:
        yield Finding(OK, "dead letters", "none")


def _wide_keys(client: redis.Redis, now: int) -> Iterator[Finding]:
    """Report API keys without a limit of senders, rate or time: whoever holds one can use all of the account."""
    wide = [one for one in access.list_keys(client) if one.is_wide and not 0 < one.expires <= now]
    if wide:
        shown = [f"{one.id} of {one.producer} ({', '.join(one.unlimited)})" for one in wide[:MOST_SHOWN]]
        more = f" and {len(wide) - MOST_SHOWN:,} more" if len(wide) > MOST_SHOWN else ""
        step = "create limited ones (threelane producers key make), and revoke these"
        detail = f"{len(wide):,} without a limit of senders, rate or time: {', '.join(shown)}{more}"
        yield Finding(WARNING, "API keys", detail, step)


def _new_countries(client: redis.Redis, now: int) -> Iterator[Finding]:
    """Report countries that got their first message within a day, and that nobody expected."""
    for name, one in countries.new(client, now).items():
        ago = f"{(now - one.first) / 60_000:,.0f} minutes ago"
        detail = f"{describe(name)} got its first message {ago}, from {one.producer or 'no named producer'}"
        limit = f"threelane producers set {shlex.quote(one.producer or 'NAME')} --countries ..."
        yield Finding(WARNING, "new country", detail, f"expected: threelane countries allow {name}; if not: {limit}")
