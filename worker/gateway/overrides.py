"""Overrides: an operator's file that changes rules of a policy table; validated before use.

A TOML file with a section for each code, which lists what differs from the table::

    [legacy.901]
    most_attempts = 3
    wait = "later"          # soon, later

    [legacy.710]            # a code that the table does not list
    verdict = "stop"
    scope = "message"
    owner = "gateway"
    reason = "not_documented"
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any

from threelane.contract.refusal import Owner
from threelane.worker.gateway import tables
from threelane.worker.policy.rule import LATER, SOON, Rule, Scope, Table, Verdict

_WAITS = {"soon": SOON, "later": LATER}
_WORDS: dict[str, type[StrEnum]] = {"verdict": Verdict, "scope": Scope, "owner": Owner}
_REASON = re.compile(r"[a-z][a-z_]{1,39}")


class WrongPolicy(Exception):
    """The file is invalid; the text has one line per problem."""


def override(table: Table, family: str, file: Path) -> Table:
    """Return the family's table with the file's changes applied; raises WrongPolicy."""
    families = tables.by_family()
    sections = _sections(file)
    known = " and ".join(families)
    problems = [f"[{name}]: unknown family; the families are {known}" for name in sections if name not in families]
    rules = dict(table.rules)
    changes = sections.get(family, {})
    if not isinstance(changes, Mapping):
        problems.append(f"{family}: give a section for each code, as in [{family}.901]")
        changes = {}
    for code, change in changes.items():
        rule = _rule(code, change, rules.get(code), f"[{family}.{code}]", problems)
        if rule:
            rules[code] = rule
    if problems:
        raise WrongPolicy("\n".join(problems))
    return table._replace(rules=MappingProxyType(rules))


def check(file: Path) -> None:
    """Raise WrongPolicy if an operator's changes are invalid for any family's table."""
    for family, table in tables.by_family().items():
        override(table, family, file)


def effective(table: Table, file: Path | None) -> Table:
    """Return a gateway's table with the operator's changes, if any; raises WrongPolicy."""
    return override(table, tables.family_of(table), file) if file else table


def in_force(api: str, file: Path | None) -> Table:
    """Return the table that workers use for the named API; raises WrongPolicy."""
    return effective(tables.by_gateway()[api], file)


def _sections(file: Path) -> dict[str, Any]:
    """Return the content of the file; raises WrongPolicy."""
    text = ""
    try:
        text = file.read_text(encoding="utf-8")
        return tomllib.loads(text)
    except OSError as failed:
        raise WrongPolicy(f"{file} cannot be read ({failed.strerror}); mount it, or correct the path") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as unreadable:
        raise WrongPolicy(f"{file}: {unreadable}") from None
    except ValueError:  # of int(), which takes at most 4,300 digits
        raise WrongPolicy(f"{file}: {_place_of_a_long_number(text)}has a number that is too long") from None
    except RecursionError:
        raise WrongPolicy(f"{file}: lists or tables are nested too deeply") from None


def _place_of_a_long_number(text: str) -> str:
    """Return the section and the field of the first number that cannot be read."""
    section = ""
    for line in text.splitlines():
        if line.lstrip().startswith("["):
            section = line.partition("#")[0].strip()[:40]
        if re.search(r"[0-9_]{4300}", line):
            return f"{section} {line.partition('=')[0].strip()[:40]} ".lstrip()
    return ""


def _shown(value: Any) -> str:
    """Return a value for an error; lists, tables and huge numbers by their kind, since they have no short form."""
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, int) and value.bit_length() > 64:
        return "a number of more than 64 bits"
    return repr(value)[:80]


def _rule(code: str, change: Any, known: Rule | None, where: str, problems: list[str]) -> Rule | None:
    if not re.fullmatch(r"\d{1,3}", code) or not isinstance(change, Mapping):
        problems.append(f"{where}: a code is up to three digits, with its own section")
        return None
    found = len(problems)
    values = {name: _value(name, value, f"{where} {name}", problems) for name, value in change.items()}
    if known is None:
        missing = sorted({"verdict", "scope", "owner", "reason"} - set(values))
        if missing:
            problems.append(f"{where}: the table does not list this code, so give also {', '.join(missing)}")
    elif known.verdict is Verdict.UNSURE and values.get("verdict", Verdict.UNSURE) is not Verdict.UNSURE:
        problems.append(
            f"{where} verdict: with this code the message may have been sent, so the verdict must stay unsure"
        )
    if len(problems) > found:
        return None
    changed = known._replace(**values) if known else Rule(code, **values)
    is_proof = known is not None and known.proves_refusal
    return changed._replace(is_assumed=True) if changed.proves_refusal and not is_proof else changed


def _value(name: str, value: Any, where: str, problems: list[str]) -> Any:
    if name in _WORDS:
        if value in [str(word) for word in _WORDS[name]]:
            return _WORDS[name](value)
        problems.append(f"{where}: {_shown(value)} is not one of {', '.join(_WORDS[name])}")
    elif name == "wait":
        if isinstance(value, str) and value in _WAITS:
            return _WAITS[value]
        problems.append(f"{where}: {_shown(value)} is neither soon nor later")
    elif name == "most_attempts":
        if type(value) is int and 1 <= value <= 1000:
            return value
        problems.append(f"{where}: {_shown(value)} is not a number from 1 to 1000")
    elif name in ("alarm", "look_up_first"):
        if isinstance(value, bool):
            return value
        problems.append(f"{where}: {_shown(value)} is neither true nor false")
    elif name == "reason":
        if isinstance(value, str) and _REASON.fullmatch(value):
            return value
        problems.append(f"{where}: {_shown(value)} is not a valid label: use 2 to 40 lowercase letters and underscores")
    else:
        problems.append(
            f"{where}: unknown; a rule has verdict, scope, owner, reason, wait, most_attempts, alarm, look_up_first"
        )
    return None
