"""Flaws: what is wrong with accounts and routes that are each valid: a sentence with the table, problem and remedy."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from threelane.contract.accounts.account import DEFAULT, nearest
from threelane.contract.accounts.parse_route import NEEDED_AS
from threelane.contract.accounts.route import Route
from threelane.contract.accounts.routing import Routing
from threelane.contract.gateways import NEVER, declared

_AS_NEEDED = {feature: f"{word} (feature {feature})" for word, feature in NEEDED_AS.items()}


def flaws(routing: Routing) -> Iterator[str]:
    """Yield a sentence for each flaw of a routing; ``accounts`` has the environment's, if there is one."""
    if routing.default not in routing.accounts:
        yield _no_default(routing)
    yield from _repeated_names(routing.routes)
    for route in routing.routes:
        unknown = [*_unknown_accounts(route, routing)]
        yield from unknown
        if not unknown:
            yield from _lacking(route, routing)
        if route.stand_by in route.accounts:
            yield (
                f"{_where(route)}: {route.stand_by} stands by for itself; name another account as stand_by, or leave "
                "it out"
            )
    yield from _cycles(routing.routes)
    yield from _unreachable(routing.routes)


def _where(route: Route) -> str:
    return f"[[routes]] {route.name}"


def _no_default(routing: Routing) -> str:
    names = [name for name in routing.accounts if name != DEFAULT]
    if routing.default == DEFAULT:
        return (
            "default: the environment has no account, so a message that no route matches would have none; give "
            f'default = "{names[0] if names else "marketing"}", or set the credentials of the environment\'s account'
        )
    return f"default: there is no account {routing.default}; {nearest(routing.default, [*routing.accounts])}"


def _repeated_names(routes: tuple[Route, ...]) -> Iterator[str]:
    seen: set[str] = set()
    for route in routes:
        if route.name in seen:
            yield f"{_where(route)}: two routes have this name; give the second one another"
        seen.add(route.name)


def _unknown_accounts(route: Route, routing: Routing) -> Iterator[str]:
    for name in (*route.accounts, *filter(None, [route.stand_by])):
        if name == DEFAULT and name not in routing.accounts:
            yield (
                f"{_where(route)}: the environment has no account, and {DEFAULT} is its name; set its credentials, or "
                "name an account of this file"
            )
        elif name not in routing.accounts:
            yield (
                f"{_where(route)}: there is no account {name[:40]}; {nearest(name, [*routing.accounts])}"
                if routing.accounts
                else f"{_where(route)}: there is no account {name[:40]}; add a table [accounts.{name[:40]}]"
            )


def _lacking(route: Route, routing: Routing) -> Iterator[str]:
    for name in (*route.accounts, *filter(None, [route.stand_by])):
        gateway = routing.accounts[name].gateway
        for feature in route.needs:
            if declared()[gateway].parameter(feature) == NEVER:
                carriers = " or ".join(one for one, other in declared().items() if other.parameter(feature) != NEVER)
                wanted = _AS_NEEDED.get(feature, feature)
                yield (
                    f"{_where(route)}: it needs {wanted}, which the API {gateway} of the account {name} lacks; leave "
                    f"it out of needs, or name an account of the API {carriers}"
                )


def _cycles(routes: tuple[Route, ...]) -> Iterator[str]:
    """Yield a sentence for each route that closes a cycle of stand-bys, in which messages could go round."""
    stands_by: dict[str, set[str]] = {}
    for route in routes:
        for account in route.accounts:
            if not route.stand_by or route.stand_by == account:
                continue
            if path := _path(stands_by, route.stand_by, account):
                yield (
                    f"{_where(route)}: its stand-by closes a cycle, {' -> '.join([account, *path])}; remove stand_by "
                    "here, or in one of the routes before it"
                )
                continue
            stands_by.setdefault(account, set()).add(route.stand_by)


def _path(edges: dict[str, set[str]], start: str, end: str) -> list[str]:
    """Return the accounts on a way from one to another; empty if there is none."""
    ways, seen = [[start]], {start}
    for way in ways:
        if way[-1] == end:
            return way
        for following in sorted(edges.get(way[-1], set()) - seen):
            seen.add(following)
            ways.append([*way, following])
    return []


def _unreachable(routes: tuple[Route, ...]) -> Iterator[str]:
    found: set[str] = set()
    for earlier, later in combinations(routes, 2):
        if later.name not in found and earlier.includes(later):
            found.add(later.name)
            yield (
                f"{_where(later)}: it is never reached, since {earlier.name} before it matches the same messages; put "
                f"it before {earlier.name}, or remove it"
            )
