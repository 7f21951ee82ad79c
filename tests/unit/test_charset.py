"""The charset of the HTTP API: each setting sends every text as it was given, in as many parts as were counted."""

from __future__ import annotations

from typing import Any, get_args
from urllib.parse import parse_qs, unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tests.layout import ROOT
from threelane.contract import message
from threelane.contract.charset import ALPHABETS, KNOWN, Charset, alphabet
from threelane.contract.gateways import declared
from threelane.contract.message import Draft
from threelane.contract.refusal import Refusal
from threelane.contract.text import GSM_7, Encoding
from threelane.gateways.http import gateway as http
from threelane.operations import letters
from threelane.sandbox import form as sandbox_form
from threelane.sandbox import text as sandbox_text

NOW = 1_900_000_000_000
TO = "27831234567"
# fmt: off
COUNTED = [
    ("é" * 160,       "utf-8",        Encoding.GSM_7, 1),
    ("é" * 160,       "windows-1252", Encoding.GSM_7, 1),
    ("é" * 160,       "ucs-2",        Encoding.UCS_2, 3),
    ("Ω" * 71,        "utf-8",        Encoding.GSM_7, 1),
    ("Ω" * 71,        "windows-1252", Encoding.UCS_2, 2),
    ("Ω" + "é" * 70,  "windows-1252", Encoding.UCS_2, 2),
    ("€" * 80,        "windows-1252", Encoding.GSM_7, 1),
    ("€" * 80,        "ucs-2",        Encoding.UCS_2, 2),
    ("a" * 160,       "ucs-2",        Encoding.GSM_7, 1),
]
# fmt: on
CHARSETS: tuple[Charset, ...] = get_args(Charset)


def drafted(text: str, charset: Charset, **fields: Any) -> Draft | Refusal:
    """Return what accept makes of a text on the HTTP API with a setting."""
    return message.parse({"to": TO, "text": text, **fields}, NOW, alphabet=alphabet("http", charset))


def accepted(text: str, charset: Charset, **fields: Any) -> Draft:
    draft = drafted(text, charset, **fields)
    assert isinstance(draft, Draft), draft
    return draft


def on_the_wire(draft: Draft, charset: Charset) -> dict[str, str]:
    """Return the parameters as the gateway reads them."""
    read = sandbox_form.parse(http.encode(http.form(draft.message, NOW, charset=charset)))
    assert read is not None
    return read


def test_each_letter_beyond_ascii_has_its_evidence_once() -> None:
    """A letter of GSM-7 without a row would be a guess that nobody sees."""
    named = [letter for row in KNOWN for letter in row.letters]
    assert sorted(letter for letter in GSM_7 if not letter.isascii()) == sorted(named)
    assert all(row.evidence for row in KNOWN)


def test_the_page_has_the_table_of_letters() -> None:
    """``python -m threelane.operations.letters`` prints it, from the forms that are sent."""
    assert "\n".join(letters.table()) in (ROOT / "docs" / "texts.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("charset", CHARSETS)
@given(text=some.text(some.sampled_from([*sorted(GSM_7), "ç", "ж", "`", "😀"]), min_size=1, max_size=180))
def test_the_gateway_reads_the_text_that_was_given_in_as_many_parts_as_were_counted(
    charset: Charset, text: str
) -> None:
    """In every setting; the sandbox reads a text without charset as Windows-1252."""
    draft = drafted(text, charset, max_message_parts=3)
    if isinstance(draft, Refusal):
        return
    sent = on_the_wire(draft, charset)
    if "unicode" in sent:
        read = sandbox_text.from_ucs2_hex(sent["text"]) or ""
        parts = sandbox_text.ucs2_parts(read)
    else:
        read = sandbox_text.deliverable(sent["text"])
        parts = sandbox_text.gsm_parts(read)
    assert (draft.message.text, draft.message.parts) == (read, parts)
    assert str(parts) == sent["concat"]


@pytest.mark.parametrize(("text", "charset", "encoding", "parts"), COUNTED)
def test_parts_are_counted_in_the_form_that_is_sent(
    text: str, charset: Charset, encoding: Encoding, parts: int
) -> None:
    """The limit of parts and the estimate are of the message that leaves."""
    sms = accepted(text, charset).message
    assert (encoding, parts) == (sms.encoding, sms.parts)


@pytest.mark.parametrize("charset", CHARSETS)
@pytest.mark.parametrize("gateway", [name for name in declared() if name != "http"])
def test_the_setting_concerns_the_http_api_alone(gateway: str, charset: Charset) -> None:
    """The others send JSON or numeric references, whose charset is known."""
    assert GSM_7 is alphabet(gateway, charset)


def test_the_octets_are_those_of_the_charset() -> None:
    """No charset goes with Windows-1252, since it is the gateway's documented default."""
    encoded = http.encode(
        http.form(accepted("Ça coûte? 3 €", "windows-1252", unicode=0).message, NOW, charset="windows-1252")
    )
    assert b"unicode=1" in encoded  # û is in neither
    encoded = http.encode(http.form(accepted("Ça + é & 3 €", "windows-1252").message, NOW, charset="windows-1252"))
    pairs = dict(pair.split("=") for pair in encoded.decode("ascii").split("&"))
    assert b"\xc7a + \xe9 & 3 \x80" == unquote_to_bytes(pairs["text"].replace("+", " "))
    assert "charset" not in parse_qs(encoded.decode())


@pytest.mark.parametrize(
    ("text", "charset", "sent"),
    [
        ("Ω", "windows-1252", {"text": "03A9", "unicode": "1"}),
        ("é" * 70, "ucs-2", {"text": "00E9" * 70, "unicode": "1"}),
        ("Ω" * 71, "windows-1252", {"text": "Ω" * 71, "charset": "UTF-8"}),
        ("é" * 71, "ucs-2", {"text": "é" * 71, "charset": "UTF-8"}),
    ],
    ids=["short Greek", "short accents", "long Greek", "long accents"],
)
def test_what_was_accepted_with_another_setting_never_takes_more_parts(
    text: str, charset: Charset, sent: dict[str, str]
) -> None:
    """The setting changes while messages wait: it applies as far as the parts that were promised allow."""
    form = http.form(accepted(text, "utf-8").message, NOW, charset=charset)
    found = {name: form[name] for name in ("text", "charset", "unicode") if name in form}
    assert (sent, "1") == (found, form["concat"])


def test_the_explanation_of_parts_names_the_letter_that_the_charset_lacks() -> None:
    """It is in GSM-7, so the usual reason would send its reader the wrong way."""
    why = accepted("Ω" + "a" * 100, "windows-1252").why_parts
    assert why is not None
    assert "Ω (U+03A9) at character 1 takes 1 part more: not in the charset of this API" in str(why)


def test_plain_accents_save_parts_where_the_charset_is_ascii() -> None:
    """Accents that GSM-7 has are outside it then."""
    draft = accepted("café " * 20, "ucs-2", plain_accents=1)
    assert (Encoding.GSM_7, 1, "cafe") == (draft.message.encoding, draft.message.parts, draft.message.text[:4])


def test_a_cut_that_removes_the_last_such_letter_counts_septets_again() -> None:
    """What is counted is the text that remains."""
    draft = accepted("word " * 40 + "Ω", "windows-1252", max_message_parts=1, on_too_long="cut")
    assert draft.message.parts == 1
    assert "Ω" not in draft.message.text
    assert ALPHABETS["windows-1252"].issuperset(draft.message.text)
