"""Serving: the workers of each account; a report without an account is one of the default account's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import redis

from threelane.store import rows
from threelane.store.keys import HERE, Space

ACCOUNT = "account"
"""The field of a worker's report that names its account; an earlier version has none."""


def account_of(report: Mapping[bytes, bytes]) -> str:
    """Return the account of a worker by its report, as keys have it."""
    return rows.text(report.get(ACCOUNT.encode()))


def workers_of(client: redis.Redis, since: int, space: Space = HERE) -> list[str]:
    """Return the names of the workers of an account that reported since a time (ms)."""
    names = rows.workers(client, since)
    found = rows.reports(client, names, [ACCOUNT])
    return [name for name, (account,) in zip(names, found, strict=True) if rows.text(account) == space.account]


def reports_of(
    client: redis.Redis, since: int, fields: Sequence[str], space: Space = HERE
) -> dict[str, list[bytes | None]]:
    """Return these fields of the reports of an account's workers since a time (ms), by worker."""
    names = rows.workers(client, since)
    found = rows.reports(client, names, [ACCOUNT, *fields])
    return {
        name: values
        for name, (account, *values) in zip(names, found, strict=True)
        if rows.text(account) == space.account
    }
