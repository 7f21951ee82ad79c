"""An opt-out line is added to the right texts, once, and its room is left; values of a template are strict."""

from __future__ import annotations

from typing import Any

import pytest

from threelane.contract import message, opt_out_line, template_fields
from threelane.contract.message import Draft
from threelane.contract.opt_out_line import OptOutLine, OptOutLines
from threelane.contract.refusal import Owner, Refusal
from threelane.contract.wording import Wording

NOW = 1_900_000_000_000
STOP = "Reply STOP to end"
LINES = {b"lane:2": b"Text STOP to 123", b"tag:marketing": STOP.encode(), b"tag:bad": b"\xff", b"lane:x": b"Hello"}


class Lines(Wording):
    """The lines above, or others."""

    has_lines = True

    def __init__(self, lines: dict[bytes, bytes] | None = None) -> None:
        self.lines = OptOutLines.decode(LINES if lines is None else lines)

    def line(self, lane: int, tags: Any) -> OptOutLine | Refusal | None:
        return self.lines.applying(lane, tags)


def parsed(lines: Wording | None = None, **fields: Any) -> Draft | Refusal:
    return message.parse({"to": "27831234567", **fields}, NOW, "shop", wording=lines or Lines())


def sent(lines: Wording | None = None, **fields: Any) -> Draft:
    draft = parsed(lines, **fields)
    assert isinstance(draft, Draft), draft
    return draft


@pytest.mark.parametrize(
    ("fields", "text", "scope"),
    [
        ({"tags": ["news", "marketing"]}, f"Sale\n{STOP}", "tag:marketing"),
        ({"tags": ["marketing"], "lane": 2}, f"Sale\n{STOP}", "tag:marketing"),
        ({"lane": 2}, "Sale\nText STOP to 123", "lane:2"),
        ({"lane": 3}, "Sale", ""),
        ({"tags": ["marketing"], "lane": 1}, "Sale", ""),
    ],
)
def test_a_tag_precedes_its_lane_and_lane_1_has_only_a_line_of_its_own(
    fields: dict[str, Any], text: str, scope: str
) -> None:
    """A login code gets no advertisement's ending because it has the same tag."""
    draft = sent(text="Sale", **fields)
    assert (text, scope) == (draft.message.text, draft.opt_out)


def test_lane_1_gets_a_line_that_was_set_for_it() -> None:
    """Only on request."""
    assert "Code 1\nReply STOP to end" == sent(Lines({b"lane:1": STOP.encode()}), text="Code 1", lane=1).message.text


@pytest.mark.parametrize("text", ["Sale! REPLY  stop\nto end.", f"{STOP}. Sale!"])
def test_a_text_that_has_the_line_does_not_get_it_twice(text: str) -> None:
    """In any case and with any white space; it costs nothing and is not counted."""
    draft = sent(text=text, tags=["marketing"])
    assert (text, "", 0) == (draft.message.text, draft.opt_out, draft.opt_out_parts)


@pytest.mark.parametrize("text", ["Do not Reply STOP to endure this", "Reply STOP to ending"])
def test_a_part_of_a_word_is_not_the_line(text: str) -> None:
    """Its reader would not know how to opt out."""
    assert f"{text}\n{STOP}" == sent(text=text, tags=["marketing"]).message.text


def test_a_line_of_a_script_without_spaces_is_found_within_a_text() -> None:
    """Its words have no edges."""
    lines = Lines({b"tag:marketing": "回复T退订".encode()})
    assert "" == sent(lines, text="短信回复T退订哦", tags=["marketing"]).opt_out


def test_a_text_with_the_line_in_other_quotes_does_not_get_it_twice() -> None:
    """Word processors write other quotes; look-alikes make them the same."""
    lines = Lines({b"tag:marketing": b"Don't want it? STOP"})
    draft = sent(lines, text="Hi. Don’t want it? STOP", tags=["marketing"], look_alikes=1)
    assert ("Hi. Don't want it? STOP", "") == (draft.message.text, draft.opt_out)


def test_a_text_whose_own_line_is_cut_off_gets_the_line() -> None:
    """It would be sent without a way out otherwise."""
    draft = sent(text="hello there my friend " * 30 + STOP, tags=["marketing"], on_too_long="cut")
    assert draft.message.text.endswith(f"\n{STOP}")
    assert (3, "tag:marketing") == (draft.message.parts, draft.opt_out)


def test_nothing_is_replaced_in_a_text_whose_line_keeps_it_in_unicode() -> None:
    """A replacement would change the text and save nothing."""
    lines = Lines({b"tag:marketing": "Ответьте СТОП".encode()})
    draft = sent(lines, text="don’t São Paulo", tags=["marketing"], look_alikes=1, plain_accents=1)
    assert "don’t São Paulo\nОтветьте СТОП" == draft.message.text


def test_binary_data_gets_no_line() -> None:
    """It is no text, so a line that cannot be read does not concern it either."""
    assert "" == sent(binary="00ff", tags=["marketing"]).opt_out
    assert "" == sent(binary="00ff", tags=["bad"]).opt_out


@pytest.mark.parametrize(("letters", "parts", "more"), [(142, 1, 0), (143, 2, 1), (160, 2, 1), (161, 2, 0)])
def test_the_line_is_part_of_the_text_when_parts_are_counted(letters: int, parts: int, more: int) -> None:
    """18 septets of 160; what it costs is reported."""
    draft = sent(text="a" * letters, tags=["marketing"])
    assert (parts, more) == (draft.message.parts, draft.opt_out_parts)


def test_a_text_that_is_cut_leaves_room_for_the_line() -> None:
    """The reader loses the end of the text, never the way out."""
    draft = sent(text="word " * 60, tags=["marketing"], max_message_parts=1, on_too_long="cut")
    assert draft.message.text.endswith(f"\n{STOP}")
    assert (1, 0) == (draft.message.parts, draft.opt_out_parts)
    assert 140 < draft.message.units <= 160
    assert draft.characters_cut > 0


def test_a_text_that_only_the_line_makes_too_long_is_refused_with_the_line_as_cause() -> None:
    """Its sender did not write it, and could not know."""
    refused = parsed(text="a" * 150, tags=["marketing"], max_message_parts=1)
    assert isinstance(refused, Refusal)
    assert "with the opt-out line of tag:marketing" in refused.problem


def test_an_empty_text_stays_empty() -> None:
    """The line alone is no message."""
    assert isinstance(parsed(text=" ", tags=["marketing"]), Refusal)


@pytest.mark.parametrize("lines", [{}, {b"lane:3": b"Other line"}])
def test_a_repeated_call_is_the_same_message_after_the_line_changed(lines: dict[bytes, bytes]) -> None:
    """The fingerprint is of what the caller gave."""
    before = sent(Lines({b"lane:3": b"One line"}), text="Hello", client_message_id="1")
    after = sent(Lines(lines), text="Hello", client_message_id="1")
    assert before.message.text != after.message.text
    assert before.fingerprint == after.fingerprint


def test_nothing_is_accepted_without_a_line_that_cannot_be_read() -> None:
    """It would go out without one; the operator is the owner."""
    refused = parsed(text="Sale", tags=["bad"])
    assert isinstance(refused, Refusal)
    assert ("tags", Owner.OPERATOR) == (refused.field, refused.owner)


@pytest.mark.parametrize(
    ("text", "scope"), [(" lane:2", "lane:2"), ("lane:1", "lane:1"), ("tag:a b", "tag:a b"), ("tag: x", "tag:x")]
)
def test_a_scope_is_a_lane_or_a_tag(text: str, scope: str) -> None:
    """As those of sending windows are written."""
    assert scope == opt_out_line.parse_scope(text)


@pytest.mark.parametrize("text", ["", "lane:4", "lane:", "marketing", "tag:", "tag:!", "lane:²"])
def test_any_other_scope_is_refused(text: str) -> None:
    """A line that no message gets is a mistake."""
    with pytest.raises(ValueError, match=r"give|has up to"):
        opt_out_line.parse_scope(text)


@pytest.mark.parametrize("text", ["", " \n", "\u200b", "two\nlines", "a" * 161, "!?"])
def test_a_line_is_one_visible_sentence(text: str) -> None:
    """An invisible one would only cost."""
    with pytest.raises(ValueError, match="the opt-out line"):
        opt_out_line.parse_line(text)


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        ({"name": ""}, "values.name"),
        ({"name": "  "}, "values.name"),
        ({"name": None}, "values.name"),
        ({"name": "\u200b\u3164"}, "values.name"),
        ({"name": 10**400}, "values.name"),
        ({"name": "Ana", " name ": "Bo"}, "values. name "),
        ({"name": True}, "values.name"),
        ({"name": ["Ana"]}, "values.name"),
        ({"sum": float("nan")}, "values.sum"),
        ({"name": "a" * 1_001}, "values.name"),
        ({1: "Ana"}, "values"),
        ({str(n): "x" for n in range(51)}, "values"),
        (["Ana"], "values"),
        ("Ana", "values"),
        ('["Ana"]', "values"),
        (5, "values"),
    ],
)
def test_a_value_that_nobody_should_read_is_refused(raw: Any, field: str) -> None:
    """Nobody gets "Dear None,"."""
    refused = template_fields.parse_values(raw, "values")
    assert isinstance(refused, Refusal)
    assert field == refused.field


def test_values_are_texts_and_numbers() -> None:
    """The same values are the same content, in any order and form."""
    assert {"name": "Ana", "sum": "12.5"} == template_fields.parse_values({"sum": 12.5, "name": "Ana"}, "values")
    assert {"sum": "12"} == template_fields.parse_values('{"sum": 12}', "values")
    assert {"name": "André"} == template_fields.parse_values({"name": "Andre\u0301"}, "values")


@pytest.mark.parametrize("raw", ["", "@2", "a@", "a@0", "a@x", "a@1@2", 5, "é", "a" * 65])
def test_only_a_name_and_a_version_name_a_template(raw: Any) -> None:
    """With the correct form."""
    assert isinstance(template_fields.parse_reference(raw, "template"), Refusal)
