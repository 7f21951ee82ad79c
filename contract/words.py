"""Words: what the gateway's own words mean in the terms of Threelane's fields.

The gateway says ``binary=1`` and gives the octets as ``text`` or ``data``; ``deliv_ack`` goes with ``callback``.  One
content has one form from here on, however it was written, so that its fingerprint and its message are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from threelane.contract import fields, kinds, whatsapp
from threelane.contract.invisible import empty, is_invisible
from threelane.contract.refusal import Code, Refusal, invalid

_CONCERNED = frozenset({"data", "charset", "handset_receipt", "message_class", "type", "binary", "channel"})


def settle(given: dict[str, Any], spelt: dict[str, str]) -> Refusal | None:
    """Bring the parsed fields of a message into Threelane's form, or return why they contradict each other."""
    if _CONCERNED.isdisjoint(given):
        return None  # the usual case
    if given.pop("charset", "") == fields.UCS_2:
        if given.get("unicode") is False:
            problem = "a charset of UCS-2, and unicode=0"
            return invalid(spelt["charset"], problem, "leave one of the two out: unicode=0 sends GSM-7 where it can")
        given["unicode"] = True
        spelt.setdefault("unicode", spelt["charset"])
    if "handset_receipt" in given and given["handset_receipt"] == bool(given.get("callback", 7)):
        del given["handset_receipt"]  # the default
    return (
        _settle_data(given, spelt)
        or _settle_type(given, spelt)
        or _settle_class(given, spelt)
        or whatsapp.refuse(given, spelt)
    )


def _settle_data(given: dict[str, Any], spelt: dict[str, str]) -> Refusal | None:
    """Put 8-bit data into ``binary``, whichever of ``data``, ``text`` and ``binary`` has it."""
    data, binary = given.pop("data", ""), given.get("binary", "")
    if data and binary not in ("", fields.ON):
        return invalid(spelt["data"], "data and binary both have octets", "give one of the two")
    if binary == fields.ON:
        if not data and given.get("text"):
            data = given.pop("text").strip()
            spelt["binary"] = spelt["text"]
            if not fields.is_hexadecimal(data):
                remedy = "write the octets as pairs of hexadecimal digits, or leave binary out"
                return invalid(spelt["text"], "binary=1, and the text is not hexadecimal", remedy)
            data = data.lower()
        if not data and (template := spelt.get("template") or spelt.get("values")):
            return invalid(template, "a template and binary=1", "give the octets as data, or leave binary out")
        given["binary"] = data
    if data:
        given["binary"] = data
        spelt.setdefault("binary", spelt.get("data", ""))
    return None


def _settle_type(given: dict[str, Any], spelt: dict[str, str]) -> Refusal | None:
    """Put the text of an old type into ``binary``, and refuse what the type cannot have."""
    kind = given.get("type", kinds.TEXT)
    if kind not in kinds.OLD:
        return None
    if given.get("udh"):
        return invalid(spelt["udh"], f"{kind} has a header of its own", "leave the header or the type out")
    if given.get("binary"):
        return None
    if not (text := given.get("text")):
        problem = f"{kind} without data"
        return Refusal(code=Code.EMPTY, field=spelt["type"], problem=problem, remedy="give data, hexadecimal")
    if kind not in kinds.OF_TEXT:
        return invalid(spelt["text"], f"a text for {kind}", "give its octets as data, hexadecimal")
    if is_invisible(text):
        return empty(text, spelt["text"])
    octets = kinds.octets_of(text, spelt["text"])
    if isinstance(octets, Refusal):
        return octets
    given["binary"], spelt["binary"] = octets, spelt["text"]
    del given["text"]
    return None


def _settle_class(given: Mapping[str, Any], spelt: Mapping[str, str]) -> Refusal | None:
    if "message_class" in given and not given.get("binary"):
        problem, remedy = "a message class without 8-bit data", "leave it out; a flash text has type=flash"
        return invalid(spelt["message_class"], problem, remedy)
    return None
