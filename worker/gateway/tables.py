"""Tables: the policy tables of all declared gateways, by gateway and by family."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from functools import cache
from types import MappingProxyType

from threelane.contract import gateways
from threelane.contract.gateways import InvalidGateway
from threelane.runtime.exits import Exit
from threelane.worker.policy import statuses
from threelane.worker.policy.rule import Rule, Table


def is_table(found: object) -> bool:
    """Return whether this is a policy table."""
    return isinstance(found, Table)


@cache
def by_gateway() -> Mapping[str, Table]:
    """Return each gateway's table; raises InvalidGateway."""
    return MappingProxyType(
        {name: gateways.resolve(one, "codes", one.codes, is_table) for name, one in gateways.declared().items()}
    )


@cache
def by_family() -> Mapping[str, Table]:
    """Return one table per family, which an operator's changes are checked against; raises InvalidGateway."""
    first: dict[str, Table] = {}
    for name, table in by_gateway().items():
        first.setdefault(gateways.named(name).family, table)
    return MappingProxyType(first)


def each() -> tuple[Table, ...]:
    """Return every table once; raises InvalidGateway."""
    return tuple({id(table): table for table in by_gateway().values()}.values())


def each_or_exit() -> tuple[Table, ...]:
    """Return every table once, or exit with code 2 and the reason on standard error; checks the statuses, too."""
    try:
        statuses.declared()
        return each()
    except InvalidGateway as wrong:
        print(f"threelane: {wrong}", file=sys.stderr)
        raise SystemExit(Exit.USAGE) from None


def family_of(table: Table) -> str:
    """Return the family of a table; raises InvalidGateway if no gateway declares it."""
    for name, declared in by_gateway().items():
        if declared is table:
            return gateways.named(name).family
    raise InvalidGateway("a gateway uses a policy table that its folder does not declare")


def rules() -> Iterator[Rule]:
    """Yield every rule of every table; raises InvalidGateway."""
    for table in each():
        yield from (*table.rules.values(), *table.by_hundred.values(), table.otherwise)
