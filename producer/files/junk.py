"""Junk: values that programs write instead of content, such as #N/A, nan and NULL; nobody means to send them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from threelane.contract.fields import BY_SPELLING, invalid
from threelane.contract.refusal import Refusal
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
)
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
    if _LOST in text:
        return invalid(
            name, "characters that were lost when the file was converted (U+FFFD)", "correct them, or export again"
        )
    return None


def _of_program(text: str) -> str:
    """Return what a program wrote instead of a value, or ""."""
    if text in MISSING or _WIDTH.fullmatch(text) or _LIBRE.fullmatch(text):
        return text[:20]
    found = _ERROR.search(text) if "#" in text else None
    return found[0] if found else ""
