"""Each field of the register with its least and greatest value and those one beyond, on each API."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec
import pytest

from tests.extremes import values
from tests.extremes.exchange import Intake, Outside, parameter, same_code
from threelane.contract import message as messages
from threelane.contract.fields import BY_SPELLING, FIELDS, FieldSpec
from threelane.contract.gateways import declared
from threelane.contract.message import Draft, Message
from threelane.contract.refusal import Code, Refusal
from threelane.contract.text import Encoding

pytestmark = pytest.mark.slow

PLAIN = {"to": "27831234567", "text": "00480069"}  # also valid as the hexadecimal digits of another encoding
BESIDE: tuple[dict[str, Any], ...] = (  # what a field may need besides, or replaces
    {},
    {"delay": 1200},
    {"text": None},
    {"text": None, "binary": "4a3b"},
    {"text": None, "template": "greeting"},
)
FROM_TEMPLATES = ("template", "values")
"""Fields that need a stored template; they make a text, as the others' texts are."""
NOT_AS_GIVEN = ("at_gateway", "deliver_at", "delay")
"""Fields whose parameter carries a time that we compute: test_times.py has them."""

APIS = sorted(declared())
ALL_APIS = pytest.mark.parametrize("api", APIS, indirect=True)
ALL_FIELDS = pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)


def given(field: FieldSpec, value: Any) -> dict[str, Any]:
    return {**PLAIN, **beside(field.name), field.name: value}


@cache
def beside(name: str) -> dict[str, Any]:
    """Return the first of BESIDE with which a field's example or switch is accepted."""
    field = BY_SPELLING[name]
    tried = [{**one, name: value} for one in BESIDE for value in (field.example, 1)]
    found = next((one for one in tried if is_valid({**PLAIN, **one})), {})
    return {other: value for other, value in found.items() if other != name}


def is_valid(raw: Mapping[str, Any]) -> bool:
    """Return whether a message is valid, whatever the API of its account can carry."""
    return isinstance(messages.parse(raw, int(time.time() * 1000)), Draft)


@cache
def edges(name: str) -> list[Any]:
    """Return the values of a field to try; its parser is the same for all APIs."""
    field = BY_SPELLING[name]
    return values.of(field, lambda value: is_valid(given(field, value)))


def beyond(api: str, base: Message, field: FieldSpec, value: Any) -> tuple[Message, dict[str, Any]] | None:
    """Return how a value that intake refuses would be sent: a message and changes of its request; None: by no means."""
    name = parameter(api, field.name)
    if not name or field.name in NOT_AS_GIVEN or (field.name != "text" and name == parameter(api, "text")):
        return None
    if field.name == "client_message_id":
        return (msgspec.structs.replace(base, id=value), {}) if isinstance(value, str) else None
    if field.name == "binary":
        return msgspec.structs.replace(base, text="", encoding=Encoding.BINARY, binary=str(value)), {}
    if field.name in ("to", "sender", "text"):
        return msgspec.structs.replace(base, **{field.name: str(value)}), {}
    return base, {name: str(value) if field.json_types[0] == "string" else value}


@ALL_APIS
@ALL_FIELDS
def test_intake_and_sandbox_agree_on_the_extremes_of_a_field(
    intake: Intake, outside: Outside, field: FieldSpec
) -> None:
    """What we accept the gateway takes, and what it refuses we refuse before a credit is spent, with its code."""
    base = intake.message(PLAIN)
    accepted: list[tuple[Any, Message]] = []
    refused: list[tuple[Any, Refusal, tuple[Message, dict[str, Any]]]] = []
    for value in edges(field.name):
        read = intake.read(given(field, value))
        if isinstance(read, Draft):
            accepted.append((value, read.message))
            continue
        changed = beyond(intake.api, base, field, value)
        if changed and read.field == field.name and not is_valid(given(field, value)):  # else only this API lacks it
            refused.append((value, read, changed))

    taken = outside.send([message for _, message in accepted])
    theirs = outside.send_changed([changed for *_, changed in refused])

    differing = {
        shown(value): ("accepted", their)
        for (value, _), their in zip(accepted, taken, strict=True)
        if their != "accepted"
    }
    for (value, refusal, _), their in zip(refused, theirs, strict=True):
        ours = same_code(intake.api, field.name, refusal.code)
        missing = same_code(intake.api, field.name, Code.INVALID) if value == "" else ours
        if their not in ("accepted", ours, missing):  # an empty parameter may count as a missing one
            differing[shown(value)] = (ours, their)
    assert {} == differing, f"{len(differing)} of {len(accepted)} accepted and {len(refused)} refused values differ"


@ALL_FIELDS
def test_each_field_has_values_that_are_accepted_and_values_that_are_refused(
    intakes: Mapping[str, Intake], field: FieldSpec
) -> None:
    """A field of which no edge was found would pass every comparison."""
    found = {
        isinstance(intake.read(given(field, value)), Draft)
        for value in edges(field.name)
        for intake in intakes.values()
    }

    assert {False} | ({True} - {field.name in FROM_TEMPLATES}) == found


def shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 60 else f"{text[:20]}... ({len(value)})"
