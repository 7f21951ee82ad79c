"""Of account: the option --account of commands that concern one account at the gateway, or show each."""

from __future__ import annotations

import os
from typing import Annotated, NamedTuple

import redis
import typer

from threelane.contract.accounts.account import DEFAULT, shown
from threelane.interfaces.command.criteria import not_empty
from threelane.interfaces.command.printing import err
from threelane.runtime.accounts_file import ACCOUNT
from threelane.store import accounts
from threelane.store.keys import Space
from threelane.store.spaces import place_of

Account = Annotated[
    str,
    typer.Option(
        "--account",
        help="The account, by its name in the accounts file; default: THREELANE_ACCOUNT.",
        callback=not_empty,
    ),
]


class Meant(NamedTuple):
    """The account that a command is for, and the others of the installation."""

    space: Space
    others: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its name."""
        return shown(self.space.account)

    def json(self) -> dict[str, str]:
        """Return what the JSON output adds: the account, if there are several."""
        return {"account": self.name} if self.others else {}

    def label(self, what: str) -> str:
        """Return what the command concerns, with the account if there are several."""
        return f"{what} of the account {self.name}" if self.others else what


def meant(client: redis.Redis, account: str) -> Meant:
    """Return the account of a command; raises ValueError for one that there is not.

    Without the option and with several accounts, a line on standard error says which one is meant.
    """
    names = accounts.names(client)
    name = account or os.environ.get(ACCOUNT) or DEFAULT
    space = place_of(name, names)
    others = tuple(one for one in names if one != name)
    if others and not account:
        err.print(f"this is of the account {name}; --account: {', '.join(others)}", markup=False, highlight=False)
    return Meant(space, others)


def meant_by(client: redis.Redis, scope: str, account: str) -> tuple[Meant, str]:
    """Return the account and the scope of a hold, which ``threelane holds`` shows as in bulk/lane:3.

    Raises ValueError if the option --account names another account than the scope.
    """
    from threelane.worker.account.hold import split

    named, rest = split(scope, accounts.names(client))
    if named and account not in ("", named):
        raise ValueError(f"{scope[:60]} is of the account {named}, and --account is {account}; keep one")
    return meant(client, named or account), rest


def wanted(client: redis.Redis, account: str) -> list[Space]:
    """Return the accounts that a command shows: the given one, or all; raises ValueError for one that there is not."""
    names = accounts.names(client)
    return [place_of(one, names) for one in ([account] if account else names)]
