"""A WhatsApp message is one message of up to 4,096 characters, and has nothing that only an SMS has."""

from __future__ import annotations

from typing import Any

import pytest

from threelane.contract import message
from threelane.contract.features import refuse
from threelane.contract.message import Draft
from threelane.contract.refusal import Code, Refusal

NOW = 1_900_000_000_000
TO = "27831234567"


def parsed(**fields: Any) -> Draft | Refusal:
    return message.parse({"to": TO, "text": "Hello", "channel": "whatsapp", **fields}, NOW)


@pytest.mark.parametrize("letter", ["a", "ж"])
def test_its_text_is_one_message_up_to_the_limit_of_the_channel(letter: str) -> None:
    """It is neither split nor paid by parts of an SMS."""
    longest, longer = parsed(text=letter * 4096), parsed(text=letter * 4097)
    assert isinstance(longest, Draft)
    assert (1, 4096) == (longest.message.parts, longest.message.units)
    assert isinstance(longer, Refusal)
    assert (Code.PARTS, "text") == (longer.code, longer.field)


@pytest.mark.parametrize(
    "fields",
    [
        {"from": "12025550100"},
        {"binary": "00", "text": None},
        {"data": "00", "text": None},
        {"userDataHeader": "06050415810000"},
        {"unicode": 1},
        {"type": "flash"},
    ],
    ids=lambda one: next(iter(one)),
)
def test_what_only_an_sms_has_is_refused(fields: dict[str, Any]) -> None:
    """The gateway refuses it, or leaves it out in silence."""
    answer = parsed(**fields)
    assert isinstance(answer, Refusal)
    assert (Code.INVALID, next(iter(fields))) == (answer.code, answer.field)
    assert "channel=whatsapp" in answer.problem


@pytest.mark.parametrize(("gateway", "chooses"), [("one", True), ("http", False), ("rest", False), ("xml", False)])
def test_unicode_is_refused_where_the_api_chooses_the_encoding(gateway: str, *, chooses: bool) -> None:
    """71 letters of GSM-7 would be counted as two parts, and sent as one; a text that needs Unicode has it anyway."""
    of_gsm = message.parse({"to": TO, "text": "a" * 71, "unicode": 1}, NOW)
    of_ucs2 = message.parse({"to": TO, "text": "ж" * 71, "unicode": 1}, NOW)
    assert isinstance(of_gsm, Draft)
    assert isinstance(of_ucs2, Draft)
    refused = refuse(of_gsm.message, gateway)
    assert (chooses, None) == (refused is not None, refuse(of_ucs2.message, gateway))
    if refused:
        assert ("101", "unicode") == (refused.code, refused.field)
        assert "an account of the API http or rest or xml" in refused.remedy
