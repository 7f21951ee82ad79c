"""Evidence: any key could read why anybody is suppressed, such as "patient of Dr X called", and whose numbers exist."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.conftest import api, running_api
from tests.integration.console import Visitor, words
from tests.integration.http_api import Api

__all__ = ["api", "running_api"]
PATIENT = {"number": "27831234567"}
WHY = "patient of Dr X called"


@pytest.fixture
def suppressed(api: Api) -> Api:
    """A clinic suppressed a number, with the reason, and an import named its list by a secret."""
    clinic = api.key("clinic", suppression=True, evidence=True)
    assert 200 == api.request("POST", "/v1/suppressions", PATIENT | {"evidence": WHY}, clinic).status
    return api


@pytest.mark.parametrize("rights", [{}, {"suppression": True}, {"operator": True}, {"texts": True}], ids=str)
def test_no_key_reads_evidence_without_the_right(suppressed: Api, rights: dict[str, Any]) -> None:
    """By any request; it learns that the number is suppressed, since when, and by which kind of source."""
    attacker = suppressed.key("shop", **rights)
    tries: list[tuple[str, str, Any]] = [
        ("POST", "/v1/suppressions/check", PATIENT),
        ("GET", "/v1/suppressions", None),
        ("POST", "/v1/suppressions", PATIENT | {"evidence": "mine", "scope": "sender:ACME"}),
        ("POST", "/v1/messages", PATIENT | {"to": PATIENT["number"], "text": "a"}),
        ("POST", "/v1/messages", {"to": PATIENT["number"], "text": "a"}),
        ("GET", "/v1/key", None),
        ("POST", "/v1/messages/search", {"to": PATIENT["number"]}),
    ]
    answers = [suppressed.request(method, path, body, attacker) for method, path, body in tries]

    assert [] == [(one.status, str(one.body)) for one in answers if "Dr X" in str(one.body)]
    checked = answers[0].body
    assert (True, "operator", "all") == (checked["suppressed"], checked["entries"][0]["source"], *_scopes(checked))
    reader = suppressed.key("desk", evidence=True)
    assert WHY in str(suppressed.request("POST", "/v1/suppressions/check", PATIENT, reader).body)


def test_the_console_hides_evidence_without_the_right(suppressed: Api) -> None:
    """An operator sees that a number is suppressed; why, only a key with the right."""
    pages = []
    for rights in ({}, {"evidence": True}):
        visitor = Visitor(suppressed)
        visitor.log_in(suppressed.key("ops", operator=True, **rights))
        visitor.post("/console/suppression", number=PATIENT["number"])
        pages.append(words(visitor.get("/console/suppression")))

    assert [False, True] == [WHY in one for one in pages]
    assert all("Messages to it are blocked" in one for one in pages)


def test_an_operator_key_without_texts_collects_no_numbers(suppressed: Api) -> None:
    """Search, dead letters, schedules, stories and the list show the first digits of other producers' numbers."""
    shop, operator = suppressed.key("shop"), suppressed.key("ops", operator=True)
    numbers = [f"2782000{n:04}" for n in range(20)]
    messages = [{"to": one, "text": "a", "delay": 600, "batch": "b"} for one in numbers]
    sent = suppressed.request("POST", "/v1/messages/bulk", {"messages": messages}, shop).body["verdicts"]
    ids = [one["message"]["id"] for one in sent]
    paths = ["/v1/schedules", "/v1/dead-letters", "/v1/suppressions", *(f"/v1/messages/{one}" for one in ids)]
    paths += [f"/v1/messages/{one}/timeline" for one in ids]
    collected = "".join(str(suppressed.request("GET", one, key=operator).body) for one in paths)
    collected += str(suppressed.request("POST", "/v1/messages/search", {"batch": "b"}, operator).body)

    assert [] == [one for one in (*numbers, PATIENT["number"]) if one in collected]
    assert ids[0] in collected
    assert numbers[0] in str(suppressed.request("GET", "/v1/schedules", key=shop).body)


def _scopes(checked: Any) -> list[str]:
    return [one.get("scope", "all") for one in checked["entries"][:1]]
