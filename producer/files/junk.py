"""Junk: values that programs write instead of content, such as #N/A, nan and NULL; nobody means to send them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from threelane.contract.fields import BY_SPELLING
from threelane.contract.refusal import Refusal, invalid
from threelane.producer.files.dialect import is_blank
from threelane.producer.files.row import FileRow
from threelane.producer.files.template import Template

# fmt: off
ERRORS = (  # of Excel, Google Sheets and LibreOffice, also in German, French, Spanish, Portuguese, Italian and Polish
    "#N/A", "#REF!", "#VALUE!", "#NAME?", "#DIV/0!", "#NUM!", "#NULL!", "#SPILL!", "#CALC!", "#FIELD!", "#BLOCKED!",
    "#CONNECT!", "#BUSY!", "#UNKNOWN!", "#ERROR!", "#GETTING_DATA", "#EXTERNAL!", "#PYTHON!", "#TIMEOUT!",
    "#NV", "#BEZUG!", "#WERT!", "#ZAHL!", "#ÜBERLAUF!", "#VALEUR!", "#NOM?", "#NOMBRE!", "#PROPAGATION!", "#N/D",
    "#¡REF!", "#¡VALOR!", "#¿NOMBRE?", "#¡DIV/0!", "#¡NUM!", "#¡NULO!", "#VALOR!", "#NOME?", "#VALORE!", "#RIF!",
    "#ADR!", "#ARG!", "#NAZWA?", "#LICZBA!", "#ССЫЛКА!", "#ЗНАЧ!", "#ИМЯ?", "#Н/Д", "#ДЕЛ/0!", "#ЧИСЛО!",
)
MISSING = frozenset({  # exact: Nan and Na are names of people
    "NULL", "null", "Null", "(null)", "(NULL)", "<null>", "<NULL>", "[null]", "[NULL]", "\\N", "nan", "NaN", "NAN",
    "None", "none", "NONE", "nil", "<nil>", "<NA>", "NA", "NaT", "N/A", "n/a", "N/a", "n.a.", "N.A.", "undefined",
    "Undefined", "UNDEFINED", "[object Object]", "#NODATA", "(blank)", "(leer)",
})
# fmt: on
_ERROR = re.compile("|".join(rf"{re.escape(error)}(?!\w)" for error in ERRORS))
_WIDTH = re.compile(r"#{2,}")
_LIBRE = re.compile(r"Err:5\d\d")
_LEFT_OVER = re.compile(
    r"\$?\{\{?\s*[^\W\d][\w .-]{0,40}\}?\}|\*\|[\w:]{1,40}\|\*|<<\s*[^\W\d][\w .]{0,40}>>|\[object Object\]"
    r"|%%[^\W\d]\w{0,40}%%|(?<![\w%])%[A-Z][A-Z_]{1,40}%|\[\[\s*[^\W\d][\w .]{0,40}\]\]"
    r"|(?i:[\[<](?:(?:first|last|full|customer|client|contact|your|insert)[ _-]?)?(?:f|l)?name[\]>])"
)
_TWICE = re.compile(
    "[\u00c2\u00c3][\u00a1-\u00aa\u00ac-\u00ba\u00bc-\u00bf\u0178]|\u00e2\u20ac|(?:[\u00d0\u00d1][^\\x00-\\x7f]){3}"
)
"""Beginnings of what UTF-8 is as Windows-1252; a capital before a dash, a quote or a no-break space is none."""
_LOST = "\ufffd"


def without_junk(rows: Iterable[FileRow], template: Template | None) -> Iterator[FileRow]:
    """Refuse the rows in which a value of the text or of a field is junk."""
    names = frozenset(template.names) if template else frozenset()
    for row in rows:
        if isinstance(row.content, Refusal):
            yield row
            continue
        problem = _first_problem(row.content, names)
        yield row._replace(content=problem) if problem else row


def junk_in(value: str) -> str:
    """Return what a program wrote in a value of a text, or a placeholder that was not filled in; "" for none."""
    left = _LEFT_OVER.search(value)
    return _of_program(value.strip()) or (left[0] if left else "")


def foreign_placeholder(template: Template) -> str:
    """Return the first placeholder in another program's form, which would be sent as it is; "" for none."""
    found = (left[0] for literal in template.literals if (left := _LEFT_OVER.search(literal)))
    return next(found, "")


def _first_problem(content: Mapping[str, Any], placeholders: frozenset[str]) -> Refusal | None:
    for name, value in content.items():
        if not isinstance(value, str) or name == "to":
            continue  # numbers have a parser of their own
        if problem := _problem(name, value, in_text=name in placeholders or name not in BY_SPELLING):
            return problem
    return None


def _problem(name: str, value: str, *, in_text: bool) -> Refusal | None:
    text = value.strip()
    found = _of_program(text)
    if found:
        return invalid(name, f"{found} instead of a value", "correct the cell, or remove the row")
    if in_text and is_blank(value):
        return invalid(name, f"the text needs {{{name}}}, and the row has no value", "give a value, or remove the row")
    if (name == "text" or in_text) and (left := _LEFT_OVER.search(text)):
        return invalid(name, f"{left[0]} was not filled in", "write the value instead, or give the text with --text")
    if (name == "text" or in_text) and (read := _converted_twice(text)):
        return invalid(name, f"characters that were converted to UTF-8 twice: {read}", "export again as UTF-8")
    if _LOST in text:
        return invalid(
            name, "characters that were lost when the file was converted (U+FFFD)", "correct them, or export again"
        )
    return None


def _converted_twice(text: str) -> str:
    """Return how the characters outside ASCII would read if they are UTF-8 that was read as Windows-1252, or ""."""
    if text.isascii() or not _TWICE.search(text):
        return ""
    octets = bytearray()
    for letter in text:
        try:
            octets += letter.encode("cp1252")
        except UnicodeEncodeError:
            if not "\x80" <= letter <= "\x9f":
                return ""
            octets.append(ord(letter))
    try:
        return "".join(letter for letter in octets.decode() if not letter.isascii())[:10]
    except UnicodeDecodeError:
        return ""


def _of_program(text: str) -> str:
    """Return what a program wrote instead of a value, or ""."""
    if text in MISSING or _WIDTH.fullmatch(text) or _LIBRE.fullmatch(text):
        return text[:20]
    found = _ERROR.search(text) if "#" in text else None
    return found[0] if found else ""
