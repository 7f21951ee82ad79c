"""Check accounts: whether the accounts file is valid, and which of its accounts this host can serve."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from threelane.contract.accounts.account import DEFAULT
from threelane.operations.finding import Finding, Grade
from threelane.runtime.accounts_file import FILE, InvalidAccounts
from threelane.runtime.settings import InvalidSettings, load
from threelane.worker.process.accounts import Accounts, read_accounts
from threelane.worker.process.settings import WorkerSettings

_STEP = "correct the file: docs/accounts.md"


def read(reported: Collection[str]) -> tuple[Accounts | None, list[Finding]]:
    """Return the accounts, or None and a finding for each problem that is not in ``reported``."""
    try:
        return read_accounts(load(WorkerSettings, account=DEFAULT)), []
    except InvalidSettings as invalid:
        problems = str(invalid).splitlines()
    except InvalidAccounts as invalid:
        problems = [f"  {one}" for one in invalid.problems]
    return None, [Finding(Grade.ERROR, FILE, one.strip(), _STEP) for one in problems if one not in reported]


def findings(accounts: Accounts) -> Iterator[Finding]:
    """Yield a finding for the file, and one for each account in it."""
    if not any(settings.accounts_file for settings in accounts.settings.values()):
        return
    names, routes = (", ".join(found) for found in (accounts.routing.accounts, accounts.routing.rules))
    yield Finding(Grade.OK, FILE, f"valid; accounts: {names}; routes: {routes or 'none'}")
    for name, settings in accounts.settings.items():
        what = f"account {name}"
        if paths := accounts.elsewhere.get(name):
            missing = ", ".join(map(str, paths))
            yield Finding(
                Grade.WARNING,
                what,
                f"this host has no {missing}",
                "mount it where its workers run, or correct the path",
            )
        elif name != DEFAULT:
            rate = f"{settings.parts_per_second:g} parts a second"
            yield Finding(Grade.OK, what, f"API {settings.gateway} at {settings.gateway_address}, {rate}")
