"""Ids that follow from a client message id, in both forms: what the gateway gets, and what batches store."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from threelane.contract import message_id
from threelane.contract.message import Draft, new_id, parse
from threelane.contract.message_id import PATTERN, WireIds, both
from threelane.worker.inbound.report import our_id

LETTERS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
OF_CALLERS = st.text(LETTERS, min_size=1, max_size=32)
NOW = 1_900_000_000_000
TO = "27831234567"


@pytest.mark.parametrize(
    ("client_id", "letters"),
    [("a", 1), ("login4711", 9), ("Invoice2031x0042", 16), ("Invoice2031x0042b", 16), ("Z" * 32, 16)],
)
def test_the_gateway_gets_the_beginning_of_the_caller_s_id_and_then_ours(client_id: str, letters: int) -> None:
    """People find it in reports and invoices; what follows is the hash of the producer and the whole id."""
    ours, callers = both("shop", client_id)
    assert (callers, ours) == both("shop", client_id, WireIds.CALLERS)
    assert (32, client_id[:letters], ours[: 32 - letters]) == (len(callers), callers[:letters], callers[letters:])
    assert 32 == len(ours)


@given(OF_CALLERS, OF_CALLERS)
@example("Z" * 32, "Z" * 32)
@example("Z" * 31 + "a", "Z" * 31 + "b")
def test_ids_of_two_producers_differ_in_our_part(first: str, second: str) -> None:
    """A look-up by the one never finds the message of the other, whatever ids the producers choose."""
    ids = {one[-16:] for pair in (both("shop", first), both("bank", first), both("shop", second)) for one in pair}
    assert (6 if first != second else 4) == len(ids)


@given(OF_CALLERS)
def test_every_form_is_an_id_and_survives_a_callback_and_a_batch(client_id: str) -> None:
    """One pattern for routes and callbacks; a batch stores it in octets, and returns it as it was."""
    for one in (*both("shop", client_id), new_id()):
        assert re.fullmatch(PATTERN, one)
        assert one == our_id(one)
        stored = message_id.octets(one)
        assert message_id.is_octets(stored)
        assert one == message_id.from_octets(stored)
        assert (16 if message_id.is_ours(one) else 24) == len(stored)


@pytest.mark.parametrize(
    "foreign", ["", "x", "0" * 31, "0" * 33, "g" * 32, "Invoice2031x0042" + "g" * 16, "inv-2031-0000042" + "0" * 16]
)
def test_what_is_no_id_is_not_ours(foreign: str) -> None:
    """Ids of other software on the same account get no record."""
    assert ("", False) == (our_id(foreign), message_id.is_id(foreign))


def test_an_id_in_capitals_is_still_ours() -> None:
    """Some software returns hexadecimal digits in capitals; a caller's letters keep their case."""
    ours, callers = both("shop", "Invoice2031x0042")
    assert (ours, callers) == (our_id(ours.upper()), our_id(callers))
    assert callers[:16] == "Invoice2031x0042"


@pytest.mark.parametrize("octets", [b"", b"x" * 15, b"x" * 17, b"-" * 24, b"x" * 25])
def test_other_octets_are_no_row_of_a_batch(octets: bytes) -> None:
    """A damaged field of a batch, or an entry that leads to a former id, is no message."""
    assert not message_id.is_octets(octets)


@pytest.mark.parametrize("client_id", [TO, f"x{TO}", f"0{TO[2:]}", f"code{TO[-7:]}"])
def test_an_id_with_the_recipient_s_number_stays_in_our_form(client_id: str) -> None:
    """Ids are logged and shown to everyone who operates Threelane; numbers are masked."""
    draft = parse({"to": TO, "text": "Hi", "client_message_id": client_id}, NOW, "shop", wire_ids=WireIds.CALLERS)
    assert isinstance(draft, Draft)
    assert both("shop", client_id) == (draft.message.id, draft.other_id)
    assert TO[-7:] not in draft.message.id


def test_a_message_without_a_client_id_has_one_form() -> None:
    """Nothing else is looked for when it is accepted."""
    draft = parse({"to": TO, "text": "Hi"}, NOW, "shop", wire_ids=WireIds.CALLERS)
    assert isinstance(draft, Draft)
    assert (True, "") == (message_id.is_ours(draft.message.id), draft.other_id)


def test_a_brief_id_is_a_beginning_that_tells_messages_apart() -> None:
    """The beginning of a caller's ids is often the same; some digits of ours follow."""
    ours, callers = both("shop", "Invoice2031x0042")
    assert (ours[:8], callers[:20]) == (message_id.brief(ours), message_id.brief(callers))
