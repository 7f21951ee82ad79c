"""Every two fields together, each at its extremes, on each API: what a pair of valid values makes of a request."""

from __future__ import annotations

import json
from itertools import count, product
from typing import Any

import pytest

from tests.extremes.exchange import Intake, Outside, parameter
from tests.extremes.test_fields import APIS, PLAIN, beside, edges, given, shown
from threelane.contract import message as messages
from threelane.contract.fields import FIELDS, FieldSpec
from threelane.contract.gateways import declared
from threelane.contract.message import Draft, Message
from threelane.sandbox.running import Running

pytestmark = pytest.mark.slow

FEW = 4  # values of a field in pairs: the ends of what is accepted, and the rest evenly
_ALONE: dict[tuple[str, str], list[Any]] = {}
ON_A_WIRE = [field for field in FIELDS if any(parameter(api, field.name) for api in declared())]


def accepted(field: FieldSpec) -> list[Any]:
    """Return a few of the extremes of a field that its parser accepts, each meaning another message."""
    meanings: dict[str, Any] = {}
    for value in edges(field.name):
        draft = messages.parse(given(field, value) | {"client_message_id": "same"}, 1_800_000_000_000)
        if isinstance(draft, Draft):
            meanings.setdefault(repr(draft.message), value)
    found = sorted(meanings.values(), key=lambda value: (isinstance(value, str), len(str(value)), str(value)))
    if field.name == "type" or len(found) <= FEW:
        return found
    return [found[round(index * (len(found) - 1) / (FEW - 1))] for index in range(FEW)]


def alone(intake: Intake, outside: Outside, field: FieldSpec) -> list[Any]:
    """Return the values of a field that are taken alone."""
    if (intake.api, field.name) not in _ALONE:
        reads = [(value, intake.read(given(field, value))) for value in accepted(field)]
        drafts = [(value, read.message) for value, read in reads if isinstance(read, Draft)]
        verdicts = outside.send([message for _, message in drafts])
        taken = [value for (value, _), one in zip(drafts, verdicts, strict=True) if one == "accepted"]
        _ALONE[intake.api, field.name] = taken
    return _ALONE[intake.api, field.name]


def together(one: FieldSpec, value: Any, other: FieldSpec, second: Any) -> dict[str, Any]:
    return {**PLAIN, **beside(one.name), **beside(other.name), one.name: value, other.name: second}


@pytest.mark.parametrize("api", APIS, indirect=True)
@pytest.mark.parametrize("field", ON_A_WIRE, ids=lambda field: field.name)
def test_two_valid_fields_together_are_taken_if_intake_accepts_them(
    intake: Intake, outside: Outside, sandbox: Running, field: FieldSpec
) -> None:
    """And in the parts that were counted; a value that is not taken alone is left to test_fields.py."""
    found: dict[str, Message] = {}
    values, numbers = alone(intake, outside, field), count()
    for other in ON_A_WIRE[ON_A_WIRE.index(field) + 1 :]:
        for value, second in product(values, alone(intake, outside, other)):
            own = {"producer": f"pair-{next(numbers)}"}  # of which the id is made, with a client message id
            read = intake.read(together(field, value, other, second) | own)
            if isinstance(read, Draft):
                found[f"{shown(value)}, {other.name} {shown(second)}"] = read.message

    verdicts = outside.send(list(found.values()))

    assert {} == {name: one for name, one in zip(found, verdicts, strict=True) if one != "accepted"}
    lines = sandbox.request("GET", "/sandbox/ledger.jsonl")[1].splitlines()
    counted = {entry["client_id"]: entry["parts"] for entry in map(json.loads, lines)}
    assert {} == {
        name: (one.parts, counted[one.id], one.encoding) for name, one in found.items() if one.parts != counted[one.id]
    }
