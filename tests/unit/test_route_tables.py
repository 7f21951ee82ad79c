"""A table [[routes]] is a route, or one sentence for each problem, with the table, the problem and the remedy."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threelane.contract.accounts.account import Account, parse_name
from threelane.contract.accounts.flaws import flaws
from threelane.contract.accounts.parse_route import KEYS, parse_route
from threelane.contract.accounts.route import CONDITIONS, Route
from threelane.contract.accounts.routing import Routing

ACCOUNTS = {
    name: Account(name=name, gateway="one" if name == "portal" else "http") for name in ("a", "b", "c", "portal")
}


def parsed(text: str) -> Route | list[str]:
    return parse_route(tomllib.loads(text), 2)


def refused(text: str) -> str:
    """Return the only problem of a route, which is valid but for the given lines."""
    found = parsed(f'name = "codes"\naccount = "a"\n{text}' if "account" not in text else f'name = "codes"\n{text}')
    assert isinstance(found, list), found
    (problem,) = found
    return problem


def test_each_condition_takes_a_value_or_a_list() -> None:
    """Values are read as the fields of a message are: a sender with +, a country in small letters."""
    whole = """
    name = "codes"
    accounts = {a = 3, b = 1}
    stand_by = "c"
    producer = "shop"
    cost_centre = ["sales", "support"]
    lane = 1
    tag = ["login", "reset"]
    sender = "+27 83 123 4567"
    country = ["za", "NA"]
    prefix = ["+2783", "2782"]
    window = "MON - FRI 8:00 - 20:00 africa/johannesburg"
    needs = ["whatsapp", "binary", "look up by our id"]
    """
    assert Route(
        name="codes",
        accounts={"a": 3, "b": 1},
        stand_by="c",
        producer=("shop",),
        cost_centre=("sales", "support"),
        lane=(1,),
        tag=("login", "reset"),
        sender=("27831234567",),
        country=("ZA", "NA"),
        prefix=("2783", "2782"),
        window="mon-fri 08:00-20:00 Africa/Johannesburg",
        needs=("channel", "binary", "look up by our id"),
    ) == parsed(whole)
    assert set(KEYS) == {"account"} | set(tomllib.loads(whole))
    assert set(CONDITIONS) < set(KEYS)


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("prodcuer = 'shop'", ": prodcuer is not a key of a route; did you mean producer?"),
        ("lane = 4", " lane: 4 is not a lane; give 1, 2 or 3"),
        ("lane = true", " lane: True is not a lane; give 1, 2 or 3"),
        ("lane = []", " lane: the list is empty, so that nothing would match; give a value, or leave it out"),
        ("prefix = 27", " prefix: 27 is not the beginning of an international number; write digits in "
                        'quotes, as in "2783"'),
        ("prefix = '0831'", " prefix: '0831' is not the beginning of an international number; write "
                            'digits in quotes, as in "2783"'),
        ("country = 'UK'", " country: 'UK' is not a country: did you mean GB (Britain (UK))? Write the "
                           "two letters"),
        ("country = 'any'", " country: any is what a route without country has; leave it out"),
        ("country = 27", " country: 27 is not a country; write two letters of ISO 3166 each, or other for "
                         "numbers without a country, as in ZA,NA"),
        ("producer = ''", " producer: '' is not a valid name; up to 64 letters, digits, spaces and "
                          ". _ : / -"),
        ("tag = {a = 1}", " tag: a table is not a name; give a text, or a list of texts"),
        ("sender = 'A'", " sender: the sender 'A' is a single letter; give a number of up to 16 digits, "
                         "or a name of 2 to 11 characters that is registered with the gateway"),
        ("window = 8", " window: this is a number; write a text, as in 'mon-fri 08:00-20:00 "
                       "Africa/Johannesburg'"),
        ("window = 'daily 08:00-08:00 UTC'", " window: '08:00-08:00' closes when it opens: for a whole day "
                                             "write 00:00-24:00"),
        ("window = ''", " window: the window is empty: write days, hours and a zone, as in mon-fri "
                        "08:00-20:00; sat 09:00-13:00 Africa/Johannesburg"),
        ("needs = 'binray'", " needs: 'binray' is not a feature; did you mean binary?"),
        ("needs = 'colour'", " needs: 'colour' is not a feature; threelane features lists them"),
        ("stand_by = 3", " stand_by: 3 is not the name of an account; give one, as in \"marketing\""),
        ("account = ''", ': it has no account; give one, as in account = "marketing"'),
        ("account = 'a'\naccounts = {b = 1}", ": it has both account and accounts; keep one"),
        ("accounts = {}", ": accounts is a table without a weight; write accounts = {a = 3, b = 1}"),
        ("accounts = ['a']", ": accounts is a list without a weight; write accounts = {a = 3, b = 1}"),
        ("accounts = {a = 1, b = 0}", ": the weight of b is 0; give a number from 1 to 1000, or leave it "
                                      "out"),
        ("accounts = {a = -2}", ": the weight of a is -2; give a number from 1 to 1000, or leave it out"),
        ("accounts = {a = 0.5}", ": the weight of a is 0.5; give a number from 1 to 1000, or leave it out"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_one_sentence(lines: str, problem: str) -> None:
    """With the table, the problem and the remedy."""
    assert f"[[routes]] codes{problem}" == refused(lines)


def test_a_route_without_a_name_or_an_account_is_refused() -> None:
    """A name, since reports and records need one; the number says which route has none."""
    form = 'give one, as in name = "codes": lower-case letters, digits and hyphens between them, at most 40'
    assert [f"[[routes]] 2: it has no name; {form}"] == parsed("account = 'a'")
    assert [f"[[routes]] 2: 'Codes!' is not a name; {form}"] == parsed("name = 'Codes!'")
    assert ['[[routes]] codes: it has no account; give one, as in account = "marketing"'] == parsed("name = 'codes'")
    assert ["[[routes]] 1: this is a text; begin each route with a line [[routes]]"] == parse_route("codes", 1)


def test_all_problems_of_a_route_are_reported_at_once() -> None:
    """Not one a run."""
    found = parsed("name = 'codes'\nlane = 4\nprefix = 'x'\ncolour = 1")
    assert isinstance(found, list)
    assert 4 == len(found)


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(table=st.dictionaries(st.sampled_from(KEYS), VALUES), name=st.none() | st.just("codes"))
def test_no_value_of_toml_is_an_internal_error(table: dict[str, Any], name: str | None) -> None:
    """Whatever an operator writes, a route or sentences come back."""
    found = parse_route(table | ({"name": name} if name else {}), 1)
    assert isinstance(found, Route) or all(one.startswith("[[routes]] ") for one in found)


def route(name: str, *accounts: str, **more: Any) -> Route:
    return Route(name=name, accounts=dict.fromkeys(accounts, 1), **more)


def found(*routes: Route, default: str = "a", accounts: dict[str, Account] = ACCOUNTS) -> list[str]:
    return list(flaws(Routing(accounts=accounts, routes=routes, default=default)))


def test_valid_routes_have_no_flaw() -> None:
    """So that each sentence below is of its flaw."""
    one = route("one", "a", "b", stand_by="c", lane=(1,), needs=("binary",))
    assert [] == found(one, route("two", "c", lane=(2,)), route("three", "portal", needs=("channel",)))


def test_a_route_to_no_account_is_refused() -> None:
    """Also by a weight, and a stand-by."""
    assert ["[[routes]] r: there is no account d; choose one of a, b, c, portal"] == found(route("r", "d"))
    assert ["[[routes]] r: there is no account portl; did you mean portal?"] == found(route("r", "a", "portl"))
    assert ["[[routes]] r: there is no account d; choose one of a, b, c, portal"] == found(
        route("r", "a", stand_by="d")
    )
    assert [
        "[[routes]] r: the environment has no account, and default is its name; set its credentials, or name an "
        "account of this file"
    ] == found(route("r", "default"))
    assert "[[routes]] r: there is no account d; add a table [accounts.d]" in found(route("r", "d"), accounts={})


def test_a_stand_by_for_itself_is_refused() -> None:
    """Also where it is one of several."""
    remedy = "name another account as stand_by, or leave it out"
    assert [f"[[routes]] r: a stands by for itself; {remedy}"] == found(route("r", "a", stand_by="a"))
    assert [f"[[routes]] r: b stands by for itself; {remedy}"] == found(route("r", "a", "b", stand_by="b"))


def test_a_cycle_of_stand_bys_is_refused() -> None:
    """A message that was surely not sent would go round and round."""
    first, second = route("r1", "a", stand_by="b", lane=(1,)), route("r2", "b", stand_by="c", lane=(2,))
    assert [
        "[[routes]] r3: its stand-by closes a cycle, c -> a -> b -> c; remove stand_by here, or in one of the routes "
        "before it"
    ] == found(first, second, route("r3", "c", stand_by="a", lane=(3,)))
    assert [
        "[[routes]] r2: its stand-by closes a cycle, b -> a -> b; remove stand_by here, or in one of the routes "
        "before it"
    ] == found(first, route("r2", "portal", "b", stand_by="a", lane=(2,)))
    assert [] == found(first, second, route("r3", "a", stand_by="c", lane=(3,)))


def test_an_api_that_lacks_what_a_route_promises_is_refused() -> None:
    """That of the account, and that of its stand-by."""
    wanted = "whatsapp (feature channel)"
    lacks = "of the account {} lacks; leave it out of needs, or name an account of the API {}"
    assert [f"[[routes]] r: it needs {wanted}, which the API http {lacks.format('b', 'one')}"] == found(
        route("r", "portal", "b", needs=("channel",))
    )
    assert [
        f"[[routes]] r: it needs look up by our id, which the API one {lacks.format('portal', 'http or rest or xml')}"
    ] == found(route("r", "a", stand_by="portal", needs=("look up by our id",)))


def test_two_routes_of_one_name_are_refused() -> None:
    """A report by the name would be of both."""
    assert ["[[routes]] r: two routes have this name; give the second one another"] == found(
        route("r", "a", lane=(1,)), route("r", "b", lane=(2,))
    )


def test_a_route_that_is_never_reached_is_refused() -> None:
    """Its author expects it to do something."""
    says = (
        "[[routes]] late: it is never reached, since all before it matches the same messages; put it before all, or "
        "remove it"
    )
    assert [says] == found(route("all", "a"), route("late", "b", lane=(1,)))
    assert [says] == found(route("all", "a", prefix=("27", "44")), route("late", "b", prefix=("2783",), lane=(1,)))
    assert [] == found(route("all", "a", prefix=("2783",)), route("late", "b", prefix=("27",)))
    assert [] == found(route("all", "a", window="daily 08:00-20:00 UTC"), route("late", "b"))


def test_no_account_for_the_rest_is_refused() -> None:
    """A message that no route matches must have one."""
    assert [
        "default: the environment has no account, so a message that no route matches would have none; give default = "
        '"a", or set the credentials of the environment\'s account'
    ] == found(default="default")
    assert ["default: there is no account portl; did you mean portal?"] == found(default="portl")


@pytest.mark.parametrize("name", ["a", "marketing", "za-2", "0" * 24])
def test_a_name_of_an_account_fits_into_keys_and_queues(name: str) -> None:
    """It is part of both, and a label of metrics."""
    assert name == parse_name(name)


@pytest.mark.parametrize("name", ["", "A", "a_b", "-a", "a-", "a" * 25, "a@b", "a.b", "default", "ä"])
def test_another_name_is_refused(name: str) -> None:
    """``default`` is the account of the environment."""
    with pytest.raises(ValueError, match=r"is not a name; use|choose another name"):
        parse_name(name)
