"""Criteria: what a filter declares is what commands, the HTTP API and the script look for, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.http_api import Api
from tests.properties.system import System
from tests.servers import typed
from tests.whole_line import whole_line
from threelane import Status
from threelane.interfaces.command import criteria
from threelane.interfaces.command.criteria import sentence
from threelane.store import find, keys
from threelane.store.find import CRITERIA, Filter, InvalidCriterion
from threelane.store.record import Field
from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind

SELECTING = {  # command -> what it selects by
    "list": {*criteria.WAITING, "client_message_id", "status", "account"},
    "cancel": set(criteria.WAITING),
    "schedule list": set(criteria.WAITING),
    "dead list": set(criteria.OF_DEAD),
    "dead redrive": set(criteria.OF_DEAD),
}
QUERIES = {
    "/v1/schedules": {"batch", "tag", "lane"},  # its producer is that of the key
    "/v1/dead-letters": set(criteria.OF_DEAD) - {"to"},
}
ONE = {  # what the message has that is looked for; the other one has something else in each place
    "batch": "b1",
    "tag": "promo",
    "to": "27831234568",
    "producer": "shop",
    "lane": 2,
    "client_message_id": "login4711",
    "status": "dead",
    "code": "113",
    "owner": "producer",
    "account": "default",
}


def options(command: str) -> dict[str, Any]:
    """Return a command's options by their criterion."""
    found = whole_line()
    for word in command.split():
        found = found.commands[word]
    return {"status" if one.name == "state" else str(one.name): one for one in found.params}


def test_each_criterion_is_another_argument_of_the_script(system: System) -> None:
    """One place further, and a search by code would look at the owner."""
    named = {name: ONE[name] for name in ("batch", "to", "producer", "lane")}
    wanted = system.draft(**named, tags=["x", "promo"], client_message_id=ONE["client_message_id"])
    other = system.draft(batch="b2", tags=["y"], producer="bank", lane=3, client_message_id="other4711")
    system.accept([wanted, other])
    system.sync.hset(keys.record(other.message.id), Field.ACCOUNT, "marketing")
    system.attempt(wanted.message.id, AttemptOutcome(OutcomeKind.REFUSED, code="113"), lane=2)

    assert list(CRITERIA) == list(ONE)
    found = {name: [one.id for one in find.search(system.sync, Filter(**{name: value}))] for name, value in ONE.items()}
    assert {name: [wanted.message.id] for name in ONE} == found
    assert 2 == len(list(find.search(system.sync, Filter())))


@pytest.mark.parametrize("command", SELECTING)
def test_a_command_s_options_are_those_of_the_filter(command: str) -> None:
    """Their help and limits, too."""
    found = {name: one for name, one in options(command).items() if name in CRITERIA}
    assert SELECTING[command] == set(found)
    for name, one in found.items():
        known = CRITERIA[name]
        assert known.description
        assert sentence(known.description) == getattr(one, "help", "")
        if known.ge is not None:
            assert (known.ge, known.le) == (getattr(one, "min", None), getattr(one, "max", None))


def test_a_criterion_that_no_message_can_meet_ends_a_command_with_its_option(base_environment: dict[str, str]) -> None:
    """And with what would be right."""
    completed = typed("list", "--to", "0831234567", environment=base_environment)
    assert 2 == completed.returncode
    assert "--to: " in completed.stderr
    assert "country code" in completed.stderr


@pytest.mark.parametrize("path", QUERIES)
def test_a_request_s_parameters_are_those_of_the_filter_but_for_a_number(api: Api, path: str) -> None:
    """Every proxy logs addresses: numbers go in bodies."""
    described = api.request("GET", "/openapi.json").body["paths"][path]["get"]["parameters"]
    found = {one["name"]: one for one in described if one["in"] == "query" and one["name"] in CRITERIA}
    assert QUERIES[path] == set(found)
    for name, one in found.items():
        known, schema = CRITERIA[name], one["schema"]
        assert known.description == one["description"]
        assert (known.pattern, known.max_length) == (schema.get("pattern"), schema.get("maxLength"))
        assert (known.ge, known.le) == (schema.get("minimum"), schema.get("maximum"))


@pytest.mark.parametrize("name", ["SearchRequest", "RedriveRequest"])
def test_a_body_has_every_criterion(api: Api, name: str) -> None:
    """A search and a redrive select by the same words."""
    described = api.request("GET", "/openapi.json").body["components"]["schemas"][name]["properties"]
    assert {one: known.description for one, known in CRITERIA.items()} == {
        one: described[one]["description"] for one in CRITERIA
    }


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/messages/search", {"to": "0831234567"}, "to"),
        ("/v1/messages/search", {"status": "gone"}, "status"),
        ("/v1/messages/search", {"lane": 4}, "lane"),
        ("/v1/messages/search", {"batch": "a\nb"}, "batch"),
        ("/v1/dead-letters/redrive", {"to": "0831234567"}, "to"),
        ("/v1/dead-letters/redrive", {"status": "sent"}, "status"),
    ],
)
def test_a_criterion_that_no_message_can_meet_is_refused_with_its_name(
    api: Api, path: str, body: dict[str, Any], field: str
) -> None:
    """An empty answer would mean that no message matches."""
    response = api.request("POST", path, body, key=api.key("shop", operator=True))
    assert (422, field) == (response.status, response.body["field"])


def test_a_filter_is_parsed_once() -> None:
    """A number as people write it, a state by its name; the rest stays as it is."""
    written = Filter(to="+27 83 123 4567", status="dead", batch="b1", lane=2)
    assert Filter(to="27831234567", status=Status.DEAD, batch="b1", lane=2) == written.parsed()
    with pytest.raises(InvalidCriterion) as wrong:
        Filter(status="gone").parsed()
    assert "status" == wrong.value.name


def test_a_filter_without_a_criterion_is_refused() -> None:
    """Cancel and redrive refuse it: it would be everything."""
    assert not Filter()
    assert all(Filter(**{name: value}) for name, value in ONE.items())
