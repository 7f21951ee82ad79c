"""Accounts file: the TOML file of THREELANE_ACCOUNTS_FILE, and the settings that an account of it has.

Secrets stand in files of their own, which the file names; a path that is not absolute counts from its folder.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from threelane.contract import gateways
from threelane.contract.accounts.account import DEFAULT, MOST_ACCOUNTS, nearest, parse_name
from threelane.contract.accounts.parse_route import kind as kind_of
from threelane.contract.accounts.parse_route import shown
from threelane.runtime import secret_files
from threelane.runtime.account_keys import AccountKey, Key, account_keys, other_settings

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_settings import BaseSettings

FILE, ACCOUNT = "THREELANE_ACCOUNTS_FILE", "THREELANE_ACCOUNT"
MOST_OCTETS = 1024 * 1024
MOST_ROUTES = 500
TABLES = ("accounts", "routes", "default")
_TWICE = re.compile(r"Cannot declare \('accounts', '([^']+)'\) twice (.*)")
_VARIABLE = re.compile(r"THREELANE_([A-Z_]+)")
_REMEDIES = {
    "string_type": "; write it in quotes",
    "tuple_type": "; write a list, as in [100, 50]",
    "float_type": "; write a number without quotes",
    "float_parsing": "; write a number without quotes",
    "int_type": "; write a whole number without quotes",
    "int_parsing": "; write a whole number without quotes",
    "bool_type": "; write true or false without quotes",
    "bool_parsing": "; write true or false without quotes",
}


class InvalidAccounts(Exception):
    """The file is invalid; ``problems`` has a sentence for each problem."""

    def __init__(self, problems: Iterable[str]) -> None:
        """Keep the sentences."""
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class AccountsFile(NamedTuple):
    """The tables of a file; the keys of each account are known, their values not yet checked.

    ``default`` is "" if the file does not name the account of messages that no route matches.
    """

    path: Path
    accounts: Mapping[str, Mapping[str, Any]]
    routes: tuple[Any, ...]
    default: str

    def secret_files(self, name: str, keys: Mapping[str, Key]) -> list[Path]:
        """Return the secret files of an account, whether or not this host has them."""
        table = self.accounts[name]
        return [self._at(table[key.name]) for key in keys.values() if key.is_secret and key.name in table]

    def has(self, name: str, key: Key) -> bool:
        """Return whether an account has a secret, and this host its file."""
        return key.name in self.accounts[name] and secret_files.is_here(self._at(self.accounts[name][key.name]))

    def values(
        self, name: str, kind: type[BaseSettings], keys: Mapping[str, Key], *, elsewhere: bool = False
    ) -> dict[str, Any]:
        """Return what an account gives a settings class; raises InvalidAccounts for a secret that cannot be read.

        ``elsewhere``: secrets whose files this host does not have are left empty.
        """
        table, problems = self.accounts[name], []
        found: dict[str, Any] = {"account": name} if "account" in kind.model_fields else {}
        for key in keys.values():
            if key.setting not in kind.model_fields:
                continue
            if key.name not in table:
                if key.source is AccountKey.DEFAULT:
                    found[key.setting] = key.default
            elif key.is_secret:
                path = self._at(table[key.name])
                if elsewhere and not secret_files.is_here(path):
                    found[key.setting] = key.default
                    continue
                try:
                    found[key.setting] = _secret(path)
                except secret_files.InvalidSecretFile as wrong:
                    problems.append(f"[accounts.{name}] {key.name}: {wrong}")
            else:
                found[key.setting] = self._at(table[key.name]) if key.is_path else table[key.name]
        if problems:
            raise InvalidAccounts(problems)
        return found

    def lines(self, name: str, invalid: ValidationError) -> Iterator[str]:
        """Yield a sentence for each invalid value of an account, by the names that it has in the file."""
        table = self.accounts[name]
        for error in invalid.errors(include_input=False):
            setting = str(error["loc"][0]) if error["loc"] else ""
            problem = error["msg"].removeprefix("Value error, ")
            problem = _VARIABLE.sub(lambda found: _as_written(found, table), problem)
            remedy = _REMEDIES.get(error["type"], "")
            if setting and not {setting, f"{setting}_file"} & {*table}:  # of the environment
                yield f"THREELANE_{setting.upper()}: {problem}"
            else:
                yield f"[accounts.{name}] {setting}".rstrip() + f": {problem}{remedy}"

    def _at(self, path: str) -> Path:
        return self.path.parent / path


class OfProcess(NamedTuple):
    """The account of a process: what the file gives to its settings; no file for the environment's account."""

    values: dict[str, Any]
    name: str = DEFAULT
    file: AccountsFile | None = None


def of_process(
    kind: type[BaseSettings],
    environment: Mapping[str, str],
    given: Mapping[str, Any],
    kinds: Iterable[type[BaseSettings]],
) -> OfProcess:
    """Return what the account of THREELANE_ACCOUNT gives to a settings class; raises InvalidAccounts."""
    name = str(given.get("account", environment.get(ACCOUNT))) if "account" in kind.model_fields else DEFAULT
    if name in ("", DEFAULT, "None"):
        return OfProcess({})
    path = given.get("accounts_file") or environment.get(FILE)
    if not path:
        raise InvalidAccounts([f"{ACCOUNT}: {name[:40]} is an account of a file; set {FILE}, or unset {ACCOUNT}"])
    keys = account_keys(kinds)
    file = read(Path(path), keys, other_settings(kinds))
    if name not in file.accounts:
        hint = nearest(name, [*file.accounts, DEFAULT])
        raise InvalidAccounts([f"{ACCOUNT}: {path} has no account {name[:40]}; {hint}"])
    return OfProcess(file.values(name, kind, keys), name, file)


def name_of(setting: str, account: str, path: Path | None) -> str:
    """Return the name by which an operator gave a setting that is no secret: the key of its account, or the variable.

    ``account`` and ``path`` are those of settings that are loaded, so the file is valid.
    """
    table = _tables(path)["accounts"][account] if path and account != DEFAULT else {}
    return f"[accounts.{account}] {setting}" if setting in table else f"THREELANE_{setting.upper()}"


def read(path: Path, keys: Mapping[str, Key], others: Collection[str]) -> AccountsFile:
    """Return a file whose tables and keys are known; raises InvalidAccounts with a sentence for each that is not.

    ``others`` are the settings that are the same for all accounts.
    """
    tables = _tables(path)
    problems = [f"{name[:40]}: not a table of this file; {nearest(name, [*TABLES])}" for name in {*tables} - {*TABLES}]
    accounts, routes, default = tables.get("accounts", {}), tables.get("routes", []), tables.get("default", "")
    if not isinstance(accounts, Mapping):
        problems.append(
            f"accounts: this is {kind_of(accounts)}; write a table for each account, as [accounts.marketing]"
        )
        accounts = {}
    if not isinstance(routes, list):
        problems.append(f"routes: this is {kind_of(routes)}; begin each route with a line [[routes]]")
        routes = []
    if not isinstance(default, str) or ("default" in tables and not default):
        problems.append(f'default: {shown(default)} is not the name of an account; give one, as in "marketing"')
        default = ""
    for what, found, most in (("accounts", accounts, MOST_ACCOUNTS), ("routes", routes, MOST_ROUTES)):
        if len(found) > most:
            problems.append(f"{what}: {len(found):,} of them; at most {most} are possible")
            raise InvalidAccounts(problems)
    for name, table in accounts.items():
        problems += _wrong_keys(name, table, keys, others)
    if not (tables or problems):  # as a write that failed leaves it
        problems.append(f"{FILE}: {path} is empty; write accounts and routes into it, or unset this variable")
    if problems:
        raise InvalidAccounts(problems)
    return AccountsFile(path, accounts, tuple(routes), default)


def _tables(path: Path) -> dict[str, Any]:
    try:
        if secret_files.is_writable_by_all(path):
            raise InvalidAccounts([f"{FILE}: every user can write {path}, and send messages elsewhere; chmod o-w"])
        with path.open("rb") as file:
            content = file.read(MOST_OCTETS + 1)
        if len(content) > MOST_OCTETS:
            raise InvalidAccounts([f"{FILE}: {path} has more than {MOST_OCTETS:,} octets; it is another file"])
        return tomllib.loads(content.decode("utf-8-sig"))  # editors on Windows write a byte order mark
    except OSError as failed:
        problem = f"{path} cannot be read ({failed.strerror}); mount it, or correct the path"
    except tomllib.TOMLDecodeError as wrong:
        if twice := _TWICE.fullmatch(str(wrong)):
            problem = f"{path} has two accounts of the name {twice[1]} {twice[2]}; give the second one another name"
        else:
            problem = f"{path} is not TOML ({wrong}); correct that line"
    except UnicodeDecodeError:
        problem = f"{path} is not UTF-8 text; save it as UTF-8"
    except (ValueError, RecursionError):  # of int(), which takes at most 4,300 digits
        problem = f"{path} has a number that is too long, or tables that are nested too deeply; remove it"
    raise InvalidAccounts([f"{FILE}: {problem}"])


def _wrong_keys(name: str, table: Any, keys: Mapping[str, Key], others: Collection[str]) -> Iterator[str]:
    where = f"[accounts.{name[:40]}]"
    try:
        parse_name(name)
    except ValueError as wrong:
        yield f"{where}: {wrong}"
        return
    if not isinstance(table, Mapping):
        yield f"{where}: this is {kind_of(table)}; write a table with the keys of the account"
        return
    api = table.get("gateway")
    if not isinstance(api, str) or api not in gateways.declared():
        problem = "gateway is missing" if api is None else f"{shown(api)} is not an API"
        yield f"{where} gateway: {problem}; give one of {', '.join(gateways.declared())}"
        return
    by_name = {key.name: key for key in keys.values()}
    for written, value in table.items():
        if written in others:
            yield (
                f"{where} {written}: it is the same for all accounts; set THREELANE_{written.upper()}, and leave it "
                "out here"
            )
        elif problem := _wrong_key(written, value, api, keys, by_name):
            yield f"{where} {written[:40]}: {problem}"
    for one in gateways.named(api).credentials:
        if one.name not in table and keys[one.name].name not in table:
            yield f"{where}: the API {api} needs {keys[one.name].name}; add it"
        elif table.get(keys[one.name].name) == "" and not keys[one.name].is_secret:
            yield f"{where} {keys[one.name].name}: it is empty, and the API {api} needs it; give it"
    for key in keys.values():
        if key.needs and table.get(key.name) and not table.get(keys[key.needs].name):
            yield f"{where} {key.name}: it needs {keys[key.needs].name}; give both, or neither"


def _wrong_key(written: str, value: Any, api: str, keys: Mapping[str, Key], by_name: Mapping[str, Key]) -> str:
    key = by_name.get(written)
    if key is None and written in keys:
        return f"this file holds no secrets; write it into a file of its own, and that file's path as {written}_file"
    if key is None:
        if written in TABLES:
            return "not a key of an account; write it at the top of the file, above the first [accounts...]"
        meant = written.lower().removeprefix("threelane_")
        return f"not a key of an account; {f'write {meant}' if meant in by_name else nearest(meant, [*by_name])}"
    needed = [one.name for one in gateways.named(api).credentials]
    if key.setting not in needed and any(key.setting == one.name for one, _ in gateways.credentials()):
        return f"the API {api} does not use it; leave it out: it needs {' and '.join(keys[one].name for one in needed)}"
    if (key.is_secret or key.is_path) and not (isinstance(value, str) and value and value.isprintable()):
        return f"{shown(value)} is not the path of a file; write one in quotes"
    if isinstance(value, bool) and not key.is_switch:
        return f"this is {kind_of(value)}; give a value: {key.description}"
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value} is not a number that it can have; give another"
    return ""


def _as_written(variable: re.Match[str], table: Mapping[str, Any]) -> str:
    """Return the key of a table that stands for a variable, or the variable."""
    setting = variable[1].lower()
    return next((name for name in (setting, f"{setting}_file") if name in table), variable[0])


def _secret(path: Path) -> str:
    """Return the secret in a file; raises InvalidSecretFile."""
    if secret_files.is_open_to_others(path):
        raise secret_files.InvalidSecretFile(f"every user of this machine can read {path}; chmod o-r, or 0440")
    return secret_files.read_secret(path)
