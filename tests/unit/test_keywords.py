"""The typed keywords of ``send`` are the fields of the table, and what they promise is accepted."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Set
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest

from threelane import AsyncHttpProducer, HttpProducer, MessageFields, MessageMapping, Producer
from threelane.contract.fields import BY_SPELLING, FIELDS
from threelane.contract.refusal import Refusal

NAMES = {field.name for field in FIELDS}
HINTS = get_type_hints(MessageMapping)

EXAMPLES: dict[Any, tuple[Any, ...]] = {
    bool: (True, False),
    int: (),  # which of these a field takes is for the table, and so is the example
    float: (),
    str: (),
    bytes: (b"\x01\x02",),
    datetime: (datetime(2031, 6, 30, 14, tzinfo=UTC),),
    timedelta: (timedelta(minutes=5),),
    list: (["promo", "june"],),
    tuple: (("promo", "june"),),
    Set: ({"promo", "june"},),
    Mapping: ({"name": "Ana", "order": 4711, "sum": 12.5},),
    type(None): (),
}


def values(hint: Any) -> list[Any]:
    """Return values that a field's type allows."""
    kinds = get_args(hint) or (hint,)
    choices = [get_args(kind) if get_origin(kind) is Literal else EXAMPLES[get_origin(kind) or kind] for kind in kinds]
    return [value for values in choices for value in values]


def test_every_field_is_a_keyword_and_every_keyword_a_field() -> None:
    """By our names alone; the gateway's own are for rows."""
    assert NAMES == set(HINTS)
    assert NAMES - {"to", "text"} == set(get_type_hints(MessageFields))


def test_only_the_recipient_is_required() -> None:
    """A text is not, beside binary data."""
    assert frozenset({"to"}) == MessageMapping.__required_keys__


@pytest.mark.parametrize("kind", [Producer, HttpProducer, AsyncHttpProducer])
@pytest.mark.parametrize("method", ["send", "try_send"])
def test_every_producer_has_the_same_keywords(kind: type, method: str) -> None:
    """A service may change its way in and keep its calls."""
    parameters = inspect.signature(getattr(kind, method)).parameters

    assert ["self", "to", "text", "fields"] == list(parameters)
    assert "Unpack[MessageFields]" == parameters["fields"].annotation


@pytest.mark.parametrize("name", sorted(HINTS))
def test_what_the_type_of_a_field_allows_its_parser_takes(name: str) -> None:
    """What a type checker accepts is not refused for its type when it runs."""
    field = BY_SPELLING[name]
    given = [*values(HINTS[name]), field.example]
    assert [] == [value for value in given if isinstance(field.parse(value, name), Refusal)]
