"""Body: the text or binary data of a message as it is sent: look-alikes replaced, trailing space dropped, or cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from threelane.contract import kinds, lookalike, whatsapp
from threelane.contract import text as texts
from threelane.contract.cut import Cut, NotCut, cut
from threelane.contract.invisible import TRAILING, empty, is_invisible
from threelane.contract.opt_out_line import OptOutLine
from threelane.contract.refusal import Code, Refusal, invalid
from threelane.contract.text import GSM_7, Alphabet, Encoding, Size
from threelane.contract.why_parts import UNITS, Saving, explain

MOST_EXPLAINED = 2_000  # characters of a text that is too long; no replacement makes a longer one fit
MOST_SHOWN = 60  # characters of what was cut off, in the answer


class Body(NamedTuple):
    """A text to send, its size, the parts that other characters saved, how many were cut, and which were the first."""

    text: str
    size: Size
    parts_saved: int = 0
    characters_cut: int = 0
    text_cut: str = ""
    line_parts: int | None = None  # that the opt-out line costs; None if none was added


def read(
    given: Mapping[str, Any], spelt: Mapping[str, str], line: OptOutLine | None = None, alphabet: Alphabet = GSM_7
) -> Body | Refusal:
    """Return the body that the fields of a message give, with an opt-out line, or why there is none.

    ``alphabet`` are the letters that the gateway gets without Unicode.
    """
    binary, text, udh_octets = given.get("binary", ""), given.get("text", ""), len(given.get("udh", "")) // 2
    most = given.get("max_message_parts", 3)
    if binary:
        header_octets = udh_octets or (kinds.HEADER_OCTETS if given.get("type") in kinds.OLD else 0)
        return _binary(given, spelt, binary, header_octets, most)
    if is_invisible(text):
        return empty(text, "text")
    try:
        return _text(given, text, udh_octets, most, line, alphabet)
    except UnicodeEncodeError as broken:
        return Refusal(
            code=Code.UNICODE,
            field="text",
            problem=f"half of a surrogate pair at character {broken.start + 1}",
            remedy="the text was cut or decoded wrongly before this call: send it whole, as UTF-8",
        )


def _binary(
    given: Mapping[str, Any], spelt: Mapping[str, str], binary: str, header_octets: int, most: int
) -> Body | Refusal:
    if given.get("text"):
        return invalid(spelt["binary"], "binary data and a text", "give one of the two")
    if not given.get("sender", "0").isdigit():
        return Refusal(
            code=Code.SENDER,
            field=spelt["sender"],
            problem="binary data needs a number as sender",
            remedy="give up to 16 digits",
        )
    size = texts.measure_binary(len(binary) // 2, header_octets)
    return _too_long(spelt["binary"], size, most) if size.parts > most else Body("", size)


def _text(
    given: Mapping[str, Any], text: str, udh_octets: int, most: int, line: OptOutLine | None, alphabet: Alphabet
) -> Body | Refusal:
    forced = given.get("unicode", False)
    ending = line.ending(text) if line else ""
    if given.get("channel") == whatsapp.CHANNEL:
        one = whatsapp.size(text + ending, alphabet)
        return one if isinstance(one, Refusal) else Body(text + ending, one, line_parts=0 if ending else None)
    measure = partial(texts.measure, unicode=forced, udh_octets=udh_octets, alphabet=alphabet)
    size, saved = measure(text + ending), 0
    if (given.get("look_alikes") or given.get("plain_accents")) and size.encoding is Encoding.UCS_2 and not forced:
        whole = text + ending
        plain = _replaced(given, whole, alphabet)
        plain_size = measure(plain)
        if plain != whole and plain_size.parts <= size.parts:
            text, ending = _replaced(given, text, alphabet), _replaced(given, ending, alphabet)
            saved, size = size.parts - plain_size.parts, plain_size
    if size.parts > 1 and text[-1] in TRAILING:
        trimmed = text.rstrip(TRAILING)
        trimmed_size = measure(trimmed + ending)
        if trimmed_size.parts < size.parts:
            text, size = trimmed, trimmed_size
    removed = ""
    if size.parts > most:
        scope = line.scope if line and ending else ""
        if given.get("on_too_long") != "cut":
            return _too_long(
                "text", size, most, _savings(text + ending, size, udh_octets, alphabet, forced=forced), scope
            )
        shorten = partial(cut, text, most, unicode=forced, udh_octets=udh_octets, alphabet=alphabet)
        shorter = shorten(ending=ending)
        if line and not ending and isinstance(shorter, Cut) and line.ending(shorter.text):
            ending, scope = line.ending(shorter.text), line.scope  # the text had the line, and lost it
            shorter = shorten(ending=ending)
        if isinstance(shorter, NotCut):
            return _not_cut(size, most, shorter, scope)
        text, removed = shorter
        size = measure(text + ending)
    alone = measure(text).parts if ending else 0
    return Body(
        text + ending, size, saved, len(removed), _shown(removed), line_parts=size.parts - alone if ending else None
    )


def _shown(removed: str) -> str:
    """Return the beginning of what was cut off, which may be long."""
    plain = " ".join(removed[: 2 * MOST_SHOWN].split())
    return plain if len(plain) <= MOST_SHOWN else plain[: MOST_SHOWN - 1] + "…"


def _replaced(given: Mapping[str, Any], text: str, alphabet: Alphabet) -> str:
    """Return the text with the replacements that its caller allows."""
    look_alikes, plain_accents = given.get("look_alikes", False), given.get("plain_accents", False)
    return lookalike.replace(text, look_alikes=look_alikes, plain_accents=plain_accents, alphabet=alphabet)


def _too_long(field: str, size: Size, most: int, savings: Sequence[Saving] = (), line_scope: str = "") -> Refusal:
    enough = [one.remedy for one in savings if size.parts - one.parts <= most]
    return Refusal(
        code=Code.PARTS,
        field=field,
        problem=_length(size, most, line_scope),
        remedy="; ".join([*enough, "shorten it, or set onTooLong=cut" if field == "text" else "shorten it"]),
    )


def _savings(text: str, size: Size, udh_octets: int, alphabet: Alphabet, *, forced: bool) -> Sequence[Saving]:
    """Return what would save parts of a text that is not far too long."""
    if len(text) > MOST_EXPLAINED:
        return ()
    why = explain(text, size, udh_octets, is_ucs2_requested=forced, alphabet=alphabet)
    return why.savings if why else ()


def _not_cut(size: Size, most: int, why: NotCut, line_scope: str) -> Refusal:
    return Refusal(
        code=Code.PARTS,
        field="text",
        problem=f"{_length(size, most, line_scope)}, and {why.problem}",
        remedy="shorten it before the call, so that it keeps what its reader needs",
    )


def _length(size: Size, most: int, line_scope: str) -> str:
    line = f", with the opt-out line of {line_scope}," if line_scope else ""
    return f"{size.units} {UNITS[size.encoding]}{line} take {size.parts} parts; at most {most} are allowed"
