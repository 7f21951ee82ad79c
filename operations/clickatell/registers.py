"""Registers: what our own tables have of Clickatell, by the declarations of the gateways."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from threelane.contract.fields import FIELDS, WORDS, FieldSpec
from threelane.contract.gateways import ABILITIES, FEATURES, NEVER, OURS, Declaration, declared, resolve
from threelane.store.states import Status
from threelane.worker.gateway.tables import is_table
from threelane.worker.policy import statuses
from threelane.worker.policy.rule import Rule, Table

_IN_FIELD = {"data": "binary", "charset": "unicode"}  # a word of the gateway -> the field that it is brought into
_FIELD_OF = {"flash": "type"}  # a feature -> the field by which a caller asks for it, if the names differ


def fields() -> Iterator[str]:
    """Yield the table of the fields: their names, and the parameter of each API."""
    yield _row("field", "Clickatell's name and synonyms", *(one.title for one in declared().values()))
    yield _line(2 + len(declared()))
    for field in FIELDS:
        carried = (_carried(field, one) for one in declared().values())
        yield _row(f"`{field.name}`", ", ".join(_names(field)) or "the same", *carried)
    for field in WORDS:
        carried = (f"as `{_IN_FIELD[field.name]}`" for _ in declared())
        yield _row(f"`{field.name}`", ", ".join(_names(field)) or "the same", *carried)


def _names(field: FieldSpec) -> list[str]:
    """Return the other names of a field: the gateway's, its synonyms, and those of its other forms."""
    names = (field.gateway_name, *field.aliases, *(form.name for form in field.forms))
    return [f"`{name}`" for name in names if name != field.name]


def _carried(field: FieldSpec, gateway: Declaration) -> str:
    """Return how an API carries a field: its parameters, by us, or not at all."""
    features = [field.name, *(feature for feature, name in _FIELD_OF.items() if name == field.name)]
    known = [feature for feature in features if feature in FEATURES]
    names = dict.fromkeys(gateway.parameter(feature) for feature in known)
    return "before the request" if not known else ", ".join(_parameter(name) for name in names)


def _parameter(name: str) -> str:
    return {OURS: "by us", NEVER: "no: refused"}.get(name, f"`{name}`")


def features() -> Iterator[str]:
    """Yield the table of the features and abilities, with the parameter or command of each API."""
    yield _row("feature or ability", *(one.title for one in declared().values()))
    yield _line(1 + len(declared()))
    for name in FEATURES:
        yield _row(name, *(_parameter(one.parameter(name)) for one in declared().values()))
    for name in ABILITIES:
        commands = (one.abilities.get(name, NEVER) for one in declared().values())
        yield _row(name, *("no" if command == NEVER else f"`{command}`" for command in commands))


def families() -> Mapping[str, tuple[str, Table]]:
    """Return the policy table of each family of codes, and the reference to it."""
    found: dict[str, tuple[str, Table]] = {}
    for gateway in declared().values():
        found.setdefault(gateway.family, (gateway.codes, resolve(gateway, "codes", gateway.codes, is_table)))
    return found


def codes(table: Table) -> Iterator[str]:
    """Yield the table of a family's error codes."""
    yield _row("code", "reason", "what follows", "reach", "owner")
    yield _line(5)
    for rule in (*table.rules.values(), *table.by_hundred.values(), table.otherwise):
        yield _row(f"`{rule.code}`", rule.reason.replace("_", " "), _verdict(rule), rule.scope, rule.owner)


def _verdict(rule: Rule) -> str:
    return f"{rule.verdict}, after a look-up" if rule.look_up_first else str(rule.verdict)


def status_tables() -> Mapping[str, Mapping[str, Status | None]]:
    """Return the tables of statuses by their place: that of the legacy APIs, and those that gateways declare."""
    found: dict[str, Mapping[str, Status | None]] = {f"{statuses.__name__}:STATUSES": statuses.STATUSES}
    for gateway in declared().values():
        if gateway.statuses:
            module = gateway.statuses.partition(":")[0]
            for name, value in vars(import_module(module)).items():
                if name.isupper() and _is_statuses(value):
                    found[f"{module}:{name}"] = value
    return found


def _is_statuses(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and bool(value)
        and all(one is None or isinstance(one, Status) for one in value.values())
    )


def status_rows(table: Mapping[str, Status | None]) -> Iterator[str]:
    """Yield the table of the statuses and what each makes of a message."""
    yield _row("status", "the message becomes")
    yield _line(2)
    for name, state in table.items():
        yield _row(f"`{name}`", "no information: it stays as it is" if state is None else str(state))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _line(columns: int) -> str:
    return "|---" * columns + "|"
