"""Accounts of this host: the settings of each account of the accounts file, and what all processes know of them.

``load(WorkerSettings)`` has the settings of the account that THREELANE_ACCOUNT names; this module reads the whole file,
as a worker does at its start, and ``threelane check``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import urlsplit

import msgspec
import redis

from threelane.contract import gateways
from threelane.contract.accounts.account import DEFAULT, Account
from threelane.contract.accounts.flaws import flaws
from threelane.contract.accounts.parse_route import parse_route
from threelane.contract.accounts.route import Route
from threelane.contract.accounts.routing import Routing
from threelane.runtime import accounts_file, logs
from threelane.runtime.account_keys import Key, account_keys, other_settings
from threelane.runtime.accounts_file import AccountsFile, InvalidAccounts, OfProcess
from threelane.runtime.exits import Exit
from threelane.runtime.secret_files import is_here
from threelane.runtime.settings import REGISTER, InvalidSettings, Settings, load, load_of
from threelane.store import accounts as stored
from threelane.worker.process.settings import AccountSettings, CallbackSettings, WorkerSettings

Kind = TypeVar("Kind", bound=Settings)


class Accounts(NamedTuple):
    """All accounts: the routing, which every process may know, and the settings of each account.

    ``callbacks`` has the settings of the callback endpoint of the accounts that have a secret path of their own here;
    ``elsewhere`` has the accounts whose secret files are not on this host, with these files: their settings lack them.
    """

    routing: Routing
    settings: Mapping[str, WorkerSettings]
    callbacks: Mapping[str, CallbackSettings]
    elsewhere: Mapping[str, tuple[Path, ...]]


def read_accounts(environment: WorkerSettings) -> Accounts:
    """Return all accounts; raises InvalidAccounts with a sentence for each problem of the file.

    ``environment`` has the settings of the environment's account, ``load(WorkerSettings, account="default")``.
    """
    own = _public(DEFAULT, environment)
    if environment.accounts_file is None:
        return Accounts(Routing(accounts={DEFAULT: own}), {DEFAULT: environment}, {}, {})
    keys = account_keys(REGISTER)
    file = accounts_file.read(environment.accounts_file, keys, other_settings(REGISTER))
    problems: list[str] = []
    missing = {name: tuple(one for one in file.secret_files(name, keys) if not is_here(one)) for name in file.accounts}
    workers = {name: one for name in file.accounts if (one := _load(WorkerSettings, file, name, keys, problems))}
    has_path = [name for name in file.accounts if file.has(name, keys["callback_secret"])]
    endpoints = {name: end for name in has_path if (end := _load(CallbackSettings, file, name, keys, problems))}
    routes = _routes(file, problems)
    if problems:  # each of them could cause some of the problems that are looked for below
        raise InvalidAccounts(problems)
    has_own = _has_credentials(environment) or file.default == DEFAULT
    known = ({DEFAULT: own} if has_own else {}) | {name: _public(name, one) for name, one in workers.items()}
    routing = Routing(accounts=known, routes=routes, default=file.default or DEFAULT)
    every = ({DEFAULT: environment} if has_own else {}) | workers
    problems += [*flaws(routing), *_same_credentials(every, file, keys), *_same_secrets(_with_environment(endpoints))]
    if problems:
        raise InvalidAccounts(problems)
    return Accounts(routing, every, endpoints, {name: paths for name, paths in missing.items() if paths})


def publish(client: redis.Redis, routing: Routing, account: str) -> None:
    """Publish the accounts and routes of this worker's file, for producers; the worker that starts last decides.

    The account of the environment is published as its own workers have it: the environment of others may lack it.
    """
    before = stored.read(client).routing
    if account != DEFAULT and (default := before.accounts.get(DEFAULT)):
        routing = msgspec.structs.replace(routing, accounts={DEFAULT: default, **_without_default(routing)})
    if stored.publish(client, routing):
        logs.event(
            "accounts_published",
            level=30,
            accounts=sorted(routing.accounts),
            removed=sorted({*before.accounts} - {*routing.accounts}),
            routes=[route.name for route in routing.routes],
        )


def _without_default(routing: Routing) -> dict[str, Account]:
    return {name: one for name, one in routing.accounts.items() if name != DEFAULT}


def read_accounts_or_exit() -> Accounts:
    """Return all accounts; ends the process with code 2 and a sentence for each problem on standard error."""
    try:
        return read_accounts(load(WorkerSettings, account=DEFAULT))
    except InvalidSettings as invalid:
        lines = str(invalid)
    except InvalidAccounts as invalid:
        lines = "\n".join(f"  {one}" for one in invalid.problems)
    print(f"threelane: invalid settings\n{lines}", file=sys.stderr)
    raise SystemExit(Exit.USAGE)


def callback_accounts_or_exit(own: CallbackSettings) -> dict[str, CallbackSettings]:
    """Return the settings of each account whose callbacks this host serves: those that have a secret path here.

    ``own`` has the settings of the environment's account.  Ends the process with code 2 and a sentence if there is no
    account, or a problem of the file; an account of the file without a path here is logged.
    """
    found = {DEFAULT: own} if own.callback_secret.get_secret_value() else {}
    if own.accounts_file:
        accounts = read_accounts_or_exit()
        found |= accounts.callbacks
        if missing := [name for name in accounts.settings if name not in found]:
            logs.event("accounts_without_callbacks", level=30, accounts=",".join(missing))
    if not found:
        problem = f"no account of {own.accounts_file} has a callback_secret_file on this host, and it is not set"
        print(f"threelane: THREELANE_CALLBACK_SECRET: {problem}; give one of them", file=sys.stderr)
        raise SystemExit(Exit.USAGE)
    return found


def _load(kind: type[Kind], file: AccountsFile, name: str, keys: Mapping[str, Key], problems: list[str]) -> Kind | None:
    """Return settings of an account; adds to the problems, each of them once."""
    try:
        return load_of(kind, OfProcess(file.values(name, kind, keys, elsewhere=True), name, file))
    except InvalidAccounts as invalid:
        found = invalid.problems
    except InvalidSettings as invalid:
        found = tuple(line.strip() for line in str(invalid).splitlines())
    problems += [one for one in found if one not in problems]
    return None


def _routes(file: AccountsFile, problems: list[str]) -> tuple[Route, ...]:
    routes = []
    for number, table in enumerate(file.routes, start=1):
        parsed = parse_route(table, number)
        if isinstance(parsed, Route):
            routes.append(parsed)
        else:
            problems += parsed
    return tuple(routes)


def _public(name: str, settings: AccountSettings) -> Account:
    return Account(
        name=name,
        gateway=settings.gateway,
        charset=settings.gateway_charset,
        validity_minutes=settings.gateway_validity_minutes,
        prices=settings.prices,
        currency=settings.currency,
    )


def _has_credentials(settings: AccountSettings) -> bool:
    return all(settings.credential(one.name) for one in gateways.named(settings.gateway).credentials)


def _same_credentials(
    every: Mapping[str, WorkerSettings], file: AccountsFile, keys: Mapping[str, Key]
) -> Iterator[str]:
    """Yield a sentence for each account whose host and credentials another one has, too.

    Their rates, balances and reserves would be those of one account, counted twice.
    """
    first: dict[tuple[str, ...], str] = {}
    for name, settings in every.items():
        needed = [one.name for one in gateways.named(settings.gateway).credentials]
        values = [settings.credential(one) or _path(file, name, keys[one]) for one in needed]
        if not all(values):  # those of the environment, on a host without them
            continue
        other = first.setdefault((urlsplit(settings.gateway_address).netloc, *values), name)
        if other != name:
            whose = "the environment" if other == DEFAULT else f"[accounts.{other}]"
            yield f"[accounts.{name}]: its credentials are those of {whose}; remove one of them, or correct the files"


def _path(file: AccountsFile, name: str, key: Key) -> str:
    """Return the path of a secret that is not on this host; "" if the account has none."""
    return "".join(map(str, file.secret_files(name, {key.setting: key}))) if name in file.accounts else ""


def _with_environment(endpoints: Mapping[str, CallbackSettings]) -> dict[str, CallbackSettings]:
    try:
        return {DEFAULT: load(CallbackSettings)} | dict(endpoints)
    except InvalidSettings:  # of a host without the endpoint; what else is wrong with them, they report themselves
        return dict(endpoints)


def _same_secrets(endpoints: Mapping[str, CallbackSettings]) -> Iterator[str]:
    """Yield a sentence for each secret path of callbacks that two accounts have."""
    first: dict[str, str] = {}
    for name, settings in endpoints.items():
        for secret in (settings.callback_secret, settings.callback_secret_previous):
            value = secret.get_secret_value()
            if value and (other := first.setdefault(value, name)) != name:
                whose = "the environment" if other == DEFAULT else f"[accounts.{other}]"
                yield (
                    f"[accounts.{name}] callback_secret_file: it has the secret of {whose}, and callbacks find their "
                    "account by it; write another"
                )
