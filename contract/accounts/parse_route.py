"""Parse route: one table [[routes]] of an accounts file as a route, or a sentence for each problem."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from threelane.contract import countries, fields, numbering, senders, window
from threelane.contract.accounts.account import nearest
from threelane.contract.accounts.route import CONDITIONS, Route
from threelane.contract.gateways import ABILITIES, FEATURES
from threelane.contract.refusal import Refusal

MOST_WEIGHT = 1000
NAME_FORM = "lower-case letters, digits and hyphens between them, at most 40"
NEEDED_AS = {"whatsapp": "channel"}
"""Words for ``needs`` -> the feature that carries it."""
KEYS = ("name", "account", "accounts", "stand_by", "window", "needs", *CONDITIONS)
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
_DIGITS = re.compile(rf"[1-9][0-9]{{0,{numbering.MOST_DIGITS - 1}}}")


def parse_route(table: Any, number: int) -> Route | list[str]:
    """Return the route of a table, the first of which has the number 1; or its problems."""
    if not isinstance(table, Mapping):
        return [f"[[routes]] {number}: this is {kind(table)}; begin each route with a line [[routes]]"]
    name, where = table.get("name"), f"[[routes]] {number}"
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        problem = "it has no name" if name is None else f"{shown(name)} is not a name"
        return [f'{where}: {problem}; give one, as in name = "codes": {NAME_FORM}']
    where = f"[[routes]] {name}"
    problems = [f"{where}: {key[:40]} is not a key of a route; {_hint(key)}" for key in sorted(set(table) - {*KEYS})]
    values: dict[str, Any] = {"name": name}
    for key, parse in _PARSERS.items():
        if key in table:
            try:
                values[key] = parse(table[key])
            except ValueError as wrong:
                problems.append(f"{where} {key}: {wrong}")
    try:
        values["accounts"] = _accounts(table)
    except ValueError as wrong:
        problems.append(f"{where}: {wrong}")
    return problems or Route(**values)


def _hint(key: str) -> str:
    if key == "default":
        return "write it at the top of the file, above the first [[routes]]"
    return nearest(key.lower(), [*KEYS])


def kind(value: Any) -> str:
    """Return what a value is in TOML, for an error."""
    names = {bool: "true or false", int: "a number", float: "a number", str: "a text", list: "a list"}
    return names.get(type(value), "a table" if isinstance(value, Mapping) else "a date or time")


def shown(value: Any) -> str:
    """Return a value for an error: a short text or number, else what it is."""
    is_short = isinstance(value, str) or (isinstance(value, int | float) and abs(value) < 1e12)
    return repr(value)[:60] if is_short else kind(value)


def _accounts(table: Mapping[str, Any]) -> dict[str, int]:
    """Return the accounts of a route with their weights; raises ValueError."""
    account, weights = table.get("account"), table.get("accounts")
    if account is not None and weights is not None:
        raise ValueError("it has both account and accounts; keep one")
    if weights is None:
        if isinstance(account, list | Mapping):
            raise ValueError(f"account is {kind(account)}; give one name, or accounts = {{a = 3, b = 1}}")
        if not isinstance(account, str) or not account:
            raise ValueError('it has no account; give one, as in account = "marketing"')
        return {account: 1}
    if not isinstance(weights, Mapping) or not weights:
        raise ValueError(f"accounts is {kind(weights)} without a weight; write accounts = {{a = 3, b = 1}}")
    for name, weight in weights.items():
        if type(weight) is not int or not 1 <= weight <= MOST_WEIGHT:
            raise ValueError(
                f"the weight of {name[:24]} is {shown(weight)}; give a number from 1 to {MOST_WEIGHT}, or leave it out"
            )
    return dict(weights)


def _name(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f'{shown(value)} is not the name of an account; give one, as in "marketing"')
    return value


def _window(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"this is {kind(value)}; write a text, as in {_WINDOW!r}")
    return str(window.parse(value))


_WINDOW = "mon-fri 08:00-20:00 Africa/Johannesburg"


def _needs(value: Any) -> tuple[str, ...]:
    known = [*FEATURES, *ABILITIES, *NEEDED_AS]
    found = []
    for one in _several(value):
        if one not in known:
            raise ValueError(f"{shown(one)} is not a feature; {_feature(one, known)}")
        found.append(NEEDED_AS.get(one, one))
    return tuple(dict.fromkeys(found))


def _feature(word: Any, known: list[str]) -> str:
    hint = nearest(word, known) if isinstance(word, str) else ""
    return hint if hint.startswith("did") else "threelane features lists them"


def _lane(value: Any) -> int:
    if type(value) is not int or not 1 <= value <= 3:
        raise ValueError(f"{shown(value)} is not a lane; give 1, 2 or 3")
    return value


def _prefix(value: Any) -> str:
    digits = value.removeprefix("+") if isinstance(value, str) else ""
    if not _DIGITS.fullmatch(digits):
        raise ValueError(
            f'{shown(value)} is not the beginning of an international number; write digits in quotes, as in "2783"'
        )
    return digits


def _country(value: Any) -> Iterator[str]:
    if not isinstance(value, str):
        raise ValueError(f"{shown(value)} is not a country; write {countries.FORM}")
    yield from countries.parse_countries(value) or _any_country()


def _any_country() -> Iterator[str]:
    raise ValueError("any is what a route without country has; leave it out")


def _text(parse: Callable[[Any, str], Any], field: str) -> Callable[[Any], str]:
    def parsed(value: Any) -> str:
        found = parse(value, field) if isinstance(value, str | int) and not isinstance(value, bool) else ""
        if isinstance(found, Refusal):
            raise ValueError(f"{found.problem}; {found.remedy}")
        if not found:
            raise ValueError(f"{shown(value)} is not a name; give a text, or a list of texts")
        return str(found)

    return parsed


def _several(value: Any) -> list[Any]:
    """Return the values of a list, or the one value; raises ValueError for an empty list, which nothing matches."""
    if value == []:
        raise ValueError("the list is empty, so that nothing would match; give a value, or leave it out")
    return value if isinstance(value, list) else [value]


def _each(parse: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, ...]]:
    return lambda value: tuple(dict.fromkeys(parse(one) for one in _several(value)))


_PARSERS: dict[str, Callable[[Any], Any]] = {
    "stand_by": _name,
    "window": _window,
    "needs": _needs,
    "producer": _each(_text(fields.label, "producer")),
    "cost_centre": _each(_text(fields.label, "cost_centre")),
    "lane": _each(_lane),
    "tag": _each(_text(fields.label, "tag")),
    "sender": _each(_text(senders.parse, "sender")),
    "country": lambda value: tuple(dict.fromkeys(code for one in _several(value) for code in _country(one))),
    "prefix": _each(_prefix),
}
