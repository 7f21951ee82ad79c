"""What is counted in a JSON document before it is decoded."""

from __future__ import annotations

import json

import pytest

from threelane.interfaces.api import structure

MANY = structure.FEW * 2


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (b'{"messages":[' + b"0," * MANY + b"0]}", True),
        (b'{"messages":[' + b'{"a":[0,0,0]},' * MANY + b"0]}", True),
        (b'{"messages":["' + b"," * MANY + b'"]}', False),
        (b'{"messages":["' + rb"\"," * MANY + b'"]}', False),
        (b'{"messages":[' + b'{"to":[' + b"0," * MANY + b"0]}]}", False),
    ],
    ids=["items", "items that are objects", "a text", "a text with quotes", "values of one item"],
)
def test_a_list_has_too_many_items_only_if_it_has_them_itself(document: bytes, expected: bool) -> None:
    """Commas in texts and inside items are no items."""
    json.loads(document)

    assert expected == (structure.items(document, 10_000, 10 * MANY) > 10_000)


def test_too_many_values_are_too_many_wherever_they_are() -> None:
    """In one item, or before the end of a document that is cut off."""
    document = b'{"messages":[{"to":[' + b"0," * MANY

    assert 10_001 == structure.items(document, 10_000, MANY - 1)
    assert 201 == structure.values(document, 200)


def test_commas_of_a_text_are_no_values() -> None:
    """They are left out as soon as the fast count is too high."""
    document = json.dumps({"to": "27831234567", "text": 'a, "b", c,' * 100}).encode()

    assert 1 == structure.values(document, 200)
