"""Doctor of accounts: drained ones, those that left the accounts file, and workers that were started with another file.

Nothing while the installation has one account.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import redis

from threelane.contract.accounts.account import DEFAULT, shown
from threelane.operations.each_account import Accounts
from threelane.operations.finding import Finding, Grade
from threelane.store import rows
from threelane.worker.process.identity import SILENT_MS

_GONE = ("no longer in the accounts file", "not used by the accounts file, which has another default")
_BACK = (
    "put it back into the accounts file and start a worker of it",
    "set the credentials of the environment's account for a worker",
)
"""By whether it is the default account."""
MOST_NAMED = 5


def find(client: redis.Redis, each: Accounts, now: int) -> Iterator[Finding]:
    """Yield what concerns the accounts as such; what is wrong in one of them is among its lanes, holds and credits."""
    for space in each.places:
        name, waiting = shown(space.account), each.waiting[space]
        if name not in each.known:
            detail = f"{name} is {_GONE[name == DEFAULT]}, and {waiting:,} messages wait in it"
            step = f"{_BACK[name == DEFAULT]}, or cancel them: threelane list --account {name} has their batches"
            yield Finding(Grade.ERROR, "account", detail, step)
        if one := each.drained.get(name):
            since = datetime.fromtimestamp(one.since / 1000, UTC)
            detail = f"{name} is drained since {since:%Y-%m-%d %H:%M} UTC by {one.by}: it takes nothing new"
            left = f"; {waiting:,} messages wait in it, and are still sent" if waiting else "; nothing waits in it"
            yield Finding(Grade.OK, "account", detail + left, f"threelane account use {name}, to use it again")
    if each.known <= each.drained.keys():
        detail = "every account is drained, so each new message is refused with 114"
        yield Finding(Grade.ERROR, "account", detail, f"threelane account use {min(each.known)}, or another one")
    yield from _disagreeing(client, each, now)


def _disagreeing(client: redis.Redis, each: Accounts, now: int) -> Iterator[Finding]:
    """Name the workers whose accounts and routes are not those in force: the worker that started last published its."""
    names = rows.workers(client, now - SILENT_MS)
    found = zip(names, rows.reports(client, names, ["routing"]), strict=True)
    others = sorted(name for name, (version,) in found if version is not None and rows.text(version) != each.version)
    if others:
        more = f" and {len(others) - MOST_NAMED} more" if others[MOST_NAMED:] else ""
        names_shown = f"{', '.join(others[:MOST_NAMED])}{more}"
        detail = f"{names_shown} started with other accounts or routes than those in force, which another worker has"
        step = "give all workers the same accounts file, and restart those that have an old one"
        yield Finding(Grade.WARNING, "accounts file", detail, step)
