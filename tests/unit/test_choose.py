"""A message goes through the account of the first route that matches it, and a repeated call chooses the same."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threelane.contract.accounts import routing as routings
from threelane.contract.accounts.account import Account
from threelane.contract.accounts.route import CONDITIONS, Example, Route
from threelane.contract.accounts.routing import Chosen, Routing, choose, fit
from threelane.contract.message import Draft, parse
from threelane.contract.refusal import Refusal

MONDAY_NOON = 1_767_614_400_000  # 2026-01-05T12:00Z
HOUR = 3_600_000
ACCOUNTS = {name: Account(name=name, gateway="http") for name in ("a", "b", "c", "default")}
ZA, GB = "27831234567", "447700900123"
MESSAGE = Example(to=ZA, producer="shop", cost_centre="sales", lane=1, tags=("promo", "vip"), sender="ACME")


def routes(*given: Route) -> Routing:
    return Routing(accounts=ACCOUNTS, routes=given)


def chosen(routing: Routing, subject: Example, now: int = MONDAY_NOON, message_id: str = "0" * 32) -> Chosen | None:
    return choose(routing, subject, message_id, now)


@pytest.mark.parametrize(
    ("condition", "values", "other"),
    [
        ("producer", ("shop", "bank"), {"producer": "clinic"}),
        ("cost_centre", ("sales",), {"cost_centre": ""}),
        ("lane", (1, 2), {"lane": 3}),
        ("tag", ("vip",), {"tags": ("promo",)}),
        ("sender", ("ACME",), {"sender": "Acme"}),
        ("country", ("ZA", "NA"), {"to": GB}),
        ("prefix", ("2783", "2782"), {"to": "27841234567"}),
    ],
)
def test_each_condition_alone_decides(condition: str, values: tuple[object, ...], other: dict[str, object]) -> None:
    """Of several values one is enough; a message without one goes on to the next route."""
    assert condition in CONDITIONS
    rule = Route(name="rule", accounts={"a": 1}, **{condition: values})  # type: ignore[arg-type]
    assert Chosen("a", "", "rule") == chosen(routes(rule), MESSAGE)
    assert Chosen("default") == chosen(routes(rule), MESSAGE._replace(**other))
    assert condition == rule.mismatch(MESSAGE._replace(**other), MONDAY_NOON)


def test_a_window_opens_and_closes_a_route() -> None:
    """It starts at its first millisecond and ends before the last."""
    office = Route(name="office", accounts={"a": 1}, window="mon-fri 08:00-20:00 UTC")
    at = {hour: chosen(routes(office), MESSAGE, MONDAY_NOON + int((hour - 12) * HOUR)) for hour in (7.99, 8, 12, 20)}
    assert {7.99: "default", 8: "a", 12: "a", 20: "default"} == {hour: one and one.account for hour, one in at.items()}
    assert Chosen("default") == chosen(routes(office), MESSAGE, MONDAY_NOON - 24 * HOUR)


def test_a_stand_by_is_chosen_with_its_account() -> None:
    """The record needs both."""
    rule = Route(name="codes", accounts={"a": 1}, stand_by="b")
    assert Chosen("a", "b", "codes") == chosen(routes(rule), MESSAGE)


def test_without_a_match_the_default_account_sends() -> None:
    """Of the file, or that of the environment."""
    none = Route(name="none", accounts={"a": 1}, producer=("nobody",))
    assert Chosen("default") == chosen(routes(none), MESSAGE)
    assert Chosen("c") == chosen(Routing(accounts=ACCOUNTS, routes=(none,), default="c"), MESSAGE)
    assert Chosen("default") == chosen(Routing(), MESSAGE)


def test_a_drained_account_takes_nothing_new() -> None:
    """Its stand-by does, or else the next route; if nobody is left, there is no choice."""
    first = Route(name="first", accounts={"a": 1, "b": 2}, stand_by="c")
    second = Route(name="second", accounts={"b": 1})
    both = routes(first, second)
    ids = [f"{number:032x}" for number in range(50)]

    def accounts(*drained: str) -> set[tuple[str, str] | None]:
        found = (choose(both, MESSAGE, one, MONDAY_NOON, drained) for one in ids)
        return {one and (one.account, one.stand_by) for one in found}

    assert {("a", "c"), ("b", "c")} == accounts()
    assert {("b", "c")} == accounts("a")
    assert {("c", "")} == accounts("a", "b")
    assert {("a", ""), ("b", "")} == accounts("c")
    assert {("b", "")} == accounts("a", "c")
    assert {("default", "")} == accounts("a", "b", "c")
    assert {None} == accounts("a", "b", "c", "default")


def test_draining_one_account_moves_no_message_of_the_others() -> None:
    """So that a repeated call after it chooses as before, unless it has to choose anew."""
    shared = routes(Route(name="shared", accounts={"a": 1, "b": 2, "c": 3}))
    for number in range(200):
        before = choose(shared, MESSAGE, f"{number:032x}", MONDAY_NOON)
        after = choose(shared, MESSAGE, f"{number:032x}", MONDAY_NOON, {"b"})
        assert before
        assert after
        assert before == after or before.account == "b"


SUBJECTS = st.builds(
    Example,
    to=st.sampled_from([ZA, GB, "27841234567"]),
    producer=st.sampled_from(["", "shop", "bank"]),
    cost_centre=st.sampled_from(["", "sales"]),
    lane=st.integers(1, 3),
    tags=st.lists(st.sampled_from(["promo", "vip"]), unique=True).map(tuple),
    sender=st.sampled_from(["", "ACME"]),
)


def some(*values: object) -> st.SearchStrategy[tuple[object, ...]]:
    """None of the values, or some of them."""
    return st.lists(st.sampled_from(values), unique=True, max_size=2).map(tuple)


RULES = st.builds(
    Route,
    name=st.uuids().map(lambda one: one.hex),
    accounts=st.dictionaries(st.sampled_from(["a", "b", "c"]), st.integers(1, 9), min_size=1),
    producer=some("shop", "bank"),
    cost_centre=some("sales", "other"),
    lane=some(1, 2, 3),
    tag=some("promo", "vip"),
    sender=some("ACME", "Other"),
    country=some("ZA", "GB"),
    prefix=some("2783", "44"),
    window=st.sampled_from(["", "mon-fri 08:00-20:00 UTC", "sat,sun 08:00-20:00 recipient"]),
)
IDS = st.binary(min_size=16, max_size=16).map(bytes.hex)


def meets(rule: Route, subject: Example) -> bool:
    """Return the same as the product, as one would read it in the manual."""
    have = subject._asdict() | {"tag": set(subject.tags), "country": {ZA: "ZA", GB: "GB"}.get(subject.to, "ZA")}
    exact = ("producer", "cost_centre", "lane", "sender", "country")
    return (
        all(not getattr(rule, one) or have[one] in getattr(rule, one) for one in exact)
        and (not rule.tag or bool(have["tag"] & set(rule.tag)))
        and (not rule.prefix or any(subject.to[: len(one)] == one for one in rule.prefix))
        and "sat" not in rule.window
    )


@given(rules=st.lists(RULES, max_size=6), subject=SUBJECTS, message_id=IDS)
def test_the_first_route_that_matches_decides(rules: list[Route], subject: Example, message_id: str) -> None:
    """Whatever comes after it."""
    found = chosen(routes(*rules), subject, message_id=message_id)
    first = next((rule for rule in rules if meets(rule, subject)), None)
    assert found
    assert (first.name if first else "") == found.rule
    assert found.account in (first.accounts if first else ("default",))


@given(rules=st.lists(RULES, max_size=4), subject=SUBJECTS, message_id=IDS)
def test_a_repeated_call_gets_the_same_account(rules: list[Route], subject: Example, message_id: str) -> None:
    """In another process too, which has the routes from Redis, and with the accounts of a weight in another order."""
    here = routes(*rules)
    elsewhere = routings.decode(routings.encode(here))
    turned = [Route(name=one.name, accounts=dict(reversed(one.accounts.items()))) for one in rules]
    straight = [Route(name=one.name, accounts=one.accounts) for one in rules]
    assert (here.version, here) == (elsewhere.version, elsewhere)
    assert chosen(here, subject, message_id=message_id) == chosen(elsewhere, subject, message_id=message_id)
    assert chosen(routes(*turned), subject, message_id=message_id) == chosen(
        routes(*straight), subject, message_id=message_id
    )
    assert routes(*turned).version == routes(*straight).version


@given(weights=st.dictionaries(st.sampled_from(["a", "b", "c"]), st.integers(1, 9), min_size=1), seed=st.integers(0))
def test_weights_are_kept(weights: dict[str, int], seed: int) -> None:
    """Over 2,000 messages, each account's share differs from its weight by less than six standard deviations."""
    shared, many = routes(Route(name="shared", accounts=weights)), 2_000
    ids = (f"{(seed + number) % 2**128:032x}" for number in range(many))
    counts = Counter(one.account for one in (choose(shared, MESSAGE, each, MONDAY_NOON) for each in ids) if one)
    for name, weight in weights.items():
        share = weight / sum(weights.values())
        assert abs(counts[name] - many * share) <= 6 * (many * share * (1 - share)) ** 0.5


@given(earlier=RULES, later=RULES, subject=SUBJECTS)
def test_a_route_that_includes_another_leaves_it_nothing(earlier: Route, later: Route, subject: Example) -> None:
    """The check for routes that are never reached must refuse none that is."""
    if earlier.includes(later) and not later.mismatch(subject, MONDAY_NOON):
        assert "" == earlier.mismatch(subject, MONDAY_NOON)


def test_a_change_of_any_part_changes_the_version() -> None:
    """Intake compares it to notice that its routes are stale."""
    base = routes(Route(name="r", accounts={"a": 1}, lane=(1,)))
    others = [
        routes(Route(name="r", accounts={"a": 1}, lane=(2,))),
        routes(Route(name="r", accounts={"a": 2}, lane=(1,))),
        Routing(accounts=ACCOUNTS, routes=base.routes, default="a"),
        Routing(accounts=ACCOUNTS | {"a": Account(name="a", gateway="one")}, routes=base.routes),
        Routing(accounts=ACCOUNTS | {"a": Account(name="a", gateway="http", prices="*=2")}, routes=base.routes),
    ]
    assert 6 == len({one.version for one in [base, *others]})


def of(**fields: object) -> Draft:
    draft = parse({"to": ZA, "text": "Hello"} | fields, MONDAY_NOON)
    assert isinstance(draft, Draft), draft
    return draft


def test_a_message_is_refused_if_the_account_lacks_a_feature() -> None:
    """By the name of the account, and the APIs that have it."""
    both = Routing(accounts={"a": Account(name="a", gateway="http"), "w": Account(name="w", gateway="one")})
    whatsapp, flash = of(channel="whatsapp").message, of(type="flash").message
    refused = fit(both, Chosen("a", "w", "r"), whatsapp)
    assert isinstance(refused, Refusal)
    assert ("101", "channel", "the API of the account a (http) has no channel") == (
        refused.code,
        refused.field,
        refused.problem,
    )
    assert Chosen("w", "", "r") == fit(both, Chosen("w", "", "r"), whatsapp)
    assert Chosen("a", "", "r") == fit(both, Chosen("a", "w", "r"), flash)
    assert Chosen("a", "w", "r") == fit(both, Chosen("a", "w", "r"), of().message)


def test_a_message_itself_is_what_routes_compare() -> None:
    """Intake copies nothing for it."""
    message = of(producer="shop", tags=["vip"], lane=2).message
    rule = Route(name="vips", accounts={"a": 1}, producer=("shop",), tag=("vip",), lane=(2,), country=("ZA",))
    assert Chosen("a", "", "vips") == choose(routes(rule), message, message.id, MONDAY_NOON)


def test_a_stand_by_that_would_need_unicode_is_left_out() -> None:
    """The message would have other parts there than those it was accepted, and budgeted, with."""
    accounts = {"a": Account(name="a", gateway="http"), "b": Account(name="b", gateway="http", charset="ucs-2")}
    both = Routing(accounts=accounts)
    assert Chosen("a", "b") == fit(both, Chosen("a", "b"), of().message)
    assert Chosen("a", "") == fit(both, Chosen("a", "b"), of(text="déjà vu").message)
