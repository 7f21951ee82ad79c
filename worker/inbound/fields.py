"""Fields: reads a request's fields from its query, a form, an XML document or a JSON object; names in any case.

Form values stay bytes until their charset is known: decoding the query as UTF-8 would destroy a UTF-16BE text.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn
from urllib.parse import unquote_to_bytes
from xml.parsers import expat

from threelane.worker.inbound import charset
from threelane.worker.inbound.joining import writable
from threelane.worker.inbound.sieve import omitted_octets

_MOST = 50
_DEEPEST = 8
_DECLARED = re.compile(rb"\A\s*<\?xml[^>]{0,200}?\bencoding\s*=\s*[\"']([A-Za-z0-9._-]{1,40})[\"']")
_UTF_16 = (b"\xfe\xff", b"\xff\xfe")  # its byte order marks
_TEXTS = frozenset({"text", "content"})  # of a reply
_DOCUMENT = "data"  # the form field that carries a whole document


class Fields:
    """The fields of one request; a field with two different values counts as contested and has none."""

    def __init__(self) -> None:
        self._values: dict[str, bytes | str] = {}
        self._contested: set[str] = set()

    def __bool__(self) -> bool:
        """Return whether any field has a value."""
        return any(self._values.values())

    def __contains__(self, name: str) -> bool:
        """Return whether a field was sent, even if empty."""
        return name in self._values

    def add(self, name: str, value: bytes | str) -> None:
        """Add a field; an empty value replaces nothing."""
        name = name.strip().lower()
        known = self._values.get(name)
        if known and value and _text(known) != _text(value):
            self._contested.add(name)
        if not known:
            self._values[name] = value
        if len(self._values) > _MOST:
            raise ValueError(f"more than {_MOST} fields: a callback has about ten")

    def raw(self, *names: str) -> bytes | str:
        """Return the first of these fields that has a value, as bytes if it came in a form."""
        for name in names:
            if name in self._contested:
                raise ValueError(f"{name} occurs twice with different values: send it once")
            if self._values.get(name):
                return self._values[name]
        return ""

    def get(self, *names: str) -> str:
        """Return the first of these fields that has a value, as text."""
        return _text(self.raw(*names))


def read(query: bytes, body: bytes) -> Fields:
    """Return the fields of a request, from its raw query and its body together."""
    fields = Fields()
    _add_form(fields, query)
    if body.strip():
        in_body = Fields()
        _add_body(in_body, body)
        if not in_body:
            raise ValueError("the body has no fields: send a form, an XML document or a JSON object")
        for name, value in in_body._values.items():
            fields.add(name, value)
        fields._contested |= in_body._contested
    document = fields.raw(_DOCUMENT)
    if document:
        octets = document if isinstance(document, bytes) else document.encode()
        if octets.lstrip()[:1] not in (b"<", b"{", b"\xef"):
            raise ValueError("data is not a document: an XML document was expected in it")
        _add_body(fields, octets)
    return fields


def decode_json(octets: bytes) -> Any:
    """Return the value of a JSON document; raises ValueError for NaN, Infinity and other invalid JSON."""
    try:
        return json.loads(charset.decode(octets), parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise ValueError("the body is not JSON") from None


def word(value: object) -> str:
    """Return a JSON scalar as a form's text: 4, 4.0 and "4" are equal; empty for null, objects and lists."""
    if isinstance(value, str):
        return writable(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 10**15:
        value = int(value)
    return (
        str(round(value, 6)) if abs(value) < 10**20 else ""
    )  # a charge has 6 decimals; further ones are rounding errors


def _add_body(fields: Fields, body: bytes) -> None:
    start = body.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if start in (b"{", b"["):
        _add_json(fields, decode_json(body))
    elif start == b"<" or body[:2] in _UTF_16:
        _add_xml(fields, body)
    else:
        _add_form(fields, body)


def _add_form(fields: Fields, form: bytes) -> None:
    if form.count(b"&") >= 2 * _MOST:
        raise ValueError(f"more than {_MOST} fields: a callback has about ten")
    for pair in form.strip(b"\r\n").split(b"&"):
        name, _, value = pair.partition(b"=")
        if name or value:
            fields.add(_text(_unquoted(name)), _unquoted(value))


def _add_json(fields: Fields, content: Any) -> None:
    if isinstance(content, dict) and isinstance(content.get("data"), dict):
        content = content["data"]  # the REST API responds in such a wrapper
    if not isinstance(content, dict):
        raise ValueError("the body is not a JSON object")
    for name, value in content.items():
        if name.strip().lower() in _TEXTS and omitted_octets(value) is not None:
            raise ValueError(f"{name.strip()} is too long for a text")
        # A text keeps its half characters until its part number is known.
        fields.add(name, value if isinstance(value, str) else word(value))


def _add_xml(fields: Fields, document: bytes) -> None:
    leaves = _Leaves(fields)
    try:
        leaves.read(_document(document))
    except (expat.ExpatError, ValueError):
        raise ValueError("the body is not an XML document without a document type, at most 8 elements deep") from None


class _Leaves:
    """Reads the elements without children under any root: its name is not published."""

    def __init__(self, fields: Fields) -> None:
        self._fields = fields
        self._path: list[str] = []
        self._leaf = False
        self._text = ""

    def read(self, document: str) -> None:
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._add_text
        parser.StartDoctypeDeclHandler = _refuse  # before it declares an entity
        parser.EntityDeclHandler = _refuse
        parser.Parse(document, True)  # text, so that no declared encoding is looked up

    def _start(self, tag: str, _: object) -> None:
        self._path.append(tag.rpartition(":")[2].lower())
        if len(self._path) > _DEEPEST:
            raise ValueError("nested too deep")
        self._leaf, self._text = True, ""

    def _end(self, _: str) -> None:
        name = self._path.pop()
        if self._leaf:
            self._fields.add(name, self._text if name == "text" else self._text.strip())
        self._leaf = False

    def _add_text(self, more: str) -> None:
        self._text += more


def _document(octets: bytes) -> str:
    """Return an XML document as text: valid UTF-8 is read as UTF-8, whatever the document declares."""
    if octets[:2] in _UTF_16:
        return charset.decode(octets, "utf-16")
    try:
        return octets.decode().removeprefix("\ufeff").lstrip()
    except UnicodeDecodeError:
        declared = _DECLARED.match(octets)
        return charset.decode(octets, declared[1].decode() if declared else "").lstrip()


def _unquoted(octets: bytes) -> bytes:
    return unquote_to_bytes(octets.replace(b"+", b" "))


def _text(value: bytes | str) -> str:
    if value.isascii():  # nearly all are, and ASCII is the same in every possible charset
        return value.decode() if isinstance(value, bytes) else value
    return writable(charset.decode(value) if isinstance(value, bytes) else value)


def _refuse(*_: object) -> NoReturn:
    raise ValueError("refused")
