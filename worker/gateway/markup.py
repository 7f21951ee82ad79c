"""Markup: writes two-level XML documents in pure ASCII; reads them without document types or entities."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from xml.parsers import expat
from xml.sax.saxutils import escape

Row = Mapping[str, str]
"""One element of a response: its tag under ``""``, its children's texts under their tags, all in lower case."""

UNWRITABLE = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_PLAIN = re.compile("[ -%'-;=?-~]*")  # printable ASCII without & < >
_DEPTH = 3  # the document, an element, its children


def document(tag: str, elements: Sequence[Mapping[str, str]]) -> str:
    """Return a clickAPI document; a character that XML cannot carry becomes "?" (our requests contain none)."""
    rows = ["".join([f"<{name}>{_escaped(value)}</{name}>" for name, value in one.items()]) for one in elements]
    return f"<clickAPI>{''.join([f'<{tag}>{row}</{tag}>' for row in rows])}</clickAPI>"


def rows_of(body: bytes, root: str) -> list[Row]:
    """Return the elements of a document; an empty list if it is not a valid one.

    Rejects document types and entities before they take effect, deeper nesting, repeated tags, and text between
    elements.  A fault directly below the root is its own row.
    """
    reader = _Reader()
    try:
        reader.read(body)
    except (expat.ExpatError, ValueError):
        return []
    return reader.rows if reader.root == root else []


class _Reader:
    """Builds the rows of one document while parsing it."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.root = ""
        self._path: list[str] = []
        self._row: dict[str, str] = {}
        self._text = ""

    def read(self, body: bytes) -> None:
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._add_text
        parser.StartDoctypeDeclHandler = self._refuse
        parser.EntityDeclHandler = self._refuse
        parser.Parse(body.decode("utf-8", errors="replace"), True)  # text, so that no declared encoding is looked up

    def _refuse(self, *_: object) -> None:
        raise ValueError("document types are not accepted")

    def _add_text(self, text: str) -> None:
        self._text += text

    def _start(self, tag: str, _: object) -> None:
        self._end_of_text(wanted=False)
        self._path.append(tag.lower())
        if len(self._path) > _DEPTH:
            raise ValueError("nested too deep")
        if len(self._path) == 1:
            self.root = self._path[0]
        elif len(self._path) == 2:
            self._row = {"": self._path[1]}

    def _end(self, _: str) -> None:
        tag = self._path.pop()
        if len(self._path) == 2:
            if tag in self._row:
                raise ValueError(f"{tag} occurs twice")
            self._row[tag] = self._end_of_text()
        elif len(self._path) == 1:
            text = self._end_of_text(wanted=len(self._row) == 1)
            self.rows.append(self._row if len(self._row) > 1 else {"": tag, tag: text})
        else:
            self._end_of_text(wanted=False)

    def _end_of_text(self, *, wanted: bool = True) -> str:
        text, self._text = self._text.strip(), ""
        if text and not wanted:
            raise ValueError("text between elements")
        return text


def _escaped(value: str) -> str:
    if (value.isascii() and value.isalnum()) or _PLAIN.fullmatch(value):
        return value
    text = escape(UNWRITABLE.sub("?", value), {"\r": "&#13;"})
    return text.encode("ascii", "xmlcharrefreplace").decode()
