"""Ability: why an account cannot send a lane, by its holds and the reports of the workers that serve the lane.

A short stop does not count: an account that sends again within seconds is waited for.  Neither does a hold that a
person set, who may want these messages stopped, whichever account would send them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from threelane.store import keys, rows
from threelane.store.diverted import Why
from threelane.worker.account.hold import BY_HAND, Held, credentials_scope
from threelane.worker.gateway import breaking
from threelane.worker.policy.rule import Scope

ABSENT_MS = 30_000
"""How long a lane has no worker, or none that is ready, before that counts: a deployment replaces its workers."""
SHORT_MS = 5_000
"""A hold that is over before this is waited for, as that of a rate limit."""
_ALL = ",".join(map(str, keys.LANES))
_OF_PERSONS = (BY_HAND, rows.CODE)
REPORTED = (rows.ACCOUNT, "beat", "gateway", "fingerprint", "fault", "no_login", "serves", "lanes")
"""The fields of a worker's report from which a Reporting is made."""


class Reporting(NamedTuple):
    """What a worker reports: its breaker, its credentials, why it alone sends nothing, why its login is not accepted.

    Without a broker it sends all the same.  ``serves`` are its lanes; in reports of earlier versions those that it
    fetches, as the broker lets it, are all that is known.
    """

    gateway: str
    fingerprint: str
    fault: str = ""
    no_login: str = ""
    serves: str = ""
    lanes: str = ""


def by_account(reports: Mapping[str, Sequence[bytes | None]]) -> dict[str, list[Reporting]]:
    """Return workers' reports, each the values of REPORTED, by account as keys have it.

    One that cannot be read, so without the time of its report, counts for no account.
    """
    found: dict[str, list[Reporting]] = {}
    for name, (account, beat, *rest) in reports.items():
        if (beat or b"").isdigit():
            found.setdefault(rows.text(account), []).append(Reporting(*map(rows.text, rest)))
        elif any((account, beat, *rest)):
            rows.report(keys.worker(name), "beat")
    return found


def serving(workers: Iterable[Reporting], lane: int) -> list[Reporting]:
    """Return the workers that serve a lane; one whose lanes are unknown may."""
    return [one for one in workers if str(lane) in (one.serves or one.lanes or _ALL).split(",")]


def is_absent(workers: Collection[Reporting]) -> bool:
    """Return whether no worker has logged in, which may pass within seconds."""
    return all(one.no_login for one in workers)


def why_unable(held: Mapping[str, Held], workers: Collection[Reporting], absent_ms: int, now: int) -> Why | None:
    """Return why an account cannot send through these workers, None if it can or may soon; pure.

    ``absent_ms``: how long none of them has been ready.
    """
    account = held.get(Scope.ACCOUNT)
    if account and account.code in _OF_PERSONS:
        return None
    if account and not (account.until and account.until - now <= SHORT_MS):
        return Why.HOLD
    if not workers:
        return Why.NO_WORKER if absent_ms >= ABSENT_MS else None
    reasons = {_why(one, held, absent_ms) for one in workers}
    if None in reasons:
        return None
    return Why.UNREACHABLE if Why.UNREACHABLE in reasons else Why.REFUSED_LOGIN


def stops(held: Mapping[str, Held]) -> dict[str, Held]:
    """Return the holds that a person set: what they stop is not sent through another account either."""
    return {scope: one for scope, one in held.items() if one.code in _OF_PERSONS}


def _why(worker: Reporting, held: Mapping[str, Held], absent_ms: int) -> Why | None:
    if credentials_scope(worker.fingerprint) in held:
        return Why.REFUSED_LOGIN
    if worker.fault or breaking.scope_of(worker.gateway) in held:
        return Why.UNREACHABLE
    return Why.UNREACHABLE if worker.no_login and absent_ms >= ABSENT_MS else None
