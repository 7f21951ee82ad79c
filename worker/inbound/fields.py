"""Fields: what a request says, from its query, a form, an XML document or a JSON object; names in any case.

Values of forms stay octets until somebody knows their charset: a text of UTF-16BE is destroyed by whoever decodes the
query as UTF-8.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn
from urllib.parse import unquote_to_bytes
from xml.parsers import expat

from threelane.worker.inbound import charset
from threelane.worker.inbound.joining import writable

_MOST = 50
_DEEPEST = 8
_DECLARED = re.compile(rb"\A\s*<\?xml[^>]{0,200}?\bencoding\s*=\s*[\"']([A-Za-z0-9._-]{1,40})[\"']")
_UTF_16 = (b"\xfe\xff", b"\xff\xfe")  # how a document of it begins
_DOCUMENT = "data"  # the form field that carries a whole document


class Fields:
    """The fields of one request; one that is said twice, and differently, has no value."""

    def __init__(self) -> None:
        self._values: dict[str, bytes | str] = {}
        self._contested: set[str] = set()

    def __bool__(self) -> bool:
        """Tell whether any field has a value."""
        return any(self._values.values())

    def __contains__(self, name: str) -> bool:
        """Tell whether a field was sent, be it empty."""
        return name in self._values

    def add(self, name: str, value: bytes | str) -> None:
        """Take a field; an empty one takes nothing away."""
        name = name.strip().lower()
        known = self._values.get(name)
        if known and value and _text(known) != _text(value):
            self._contested.add(name)
        if not known:
            self._values[name] = value
        if len(self._values) > _MOST:
            raise ValueError(f"more than {_MOST} fields: a callback has about ten")

    def raw(self, *names: str) -> bytes | str:
        """Return the first of these fields that has a value, as octets when it came in a form."""
        for name in names:
            if name in self._contested:
                raise ValueError(f"{name} is said twice, and differently: say it once")
            if self._values.get(name):
                return self._values[name]
        return ""

    def get(self, *names: str) -> str:
        """Return the first of these fields that has a value, as text."""
        return _text(self.raw(*names))


def read(query: bytes, body: bytes) -> Fields:
    """Return the fields of a request, from the query as it stood in the request line and from the body together."""
    fields = Fields()
    _add_form(fields, query)
    if body.strip():
        said = Fields()
        _add_body(said, body)
        if not said:
            raise ValueError("the body says nothing: it should be a form, an XML document or a JSON object")
        for name, value in said._values.items():
            fields.add(name, value)
        fields._contested |= said._contested
    document = fields.raw(_DOCUMENT)
    if document:
        octets = document if isinstance(document, bytes) else document.encode()
        if octets.lstrip()[:1] not in (b"<", b"{", b"\xef"):
            raise ValueError("data is no document: an XML document was expected in it")
        _add_body(fields, octets)
    return fields


def decode_json(octets: bytes) -> Any:
    """Return the value of a JSON document, with nothing in it that JSON does not have."""
    try:
        return json.loads(charset.decode(octets), parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise ValueError("the body is no JSON") from None


def word(value: object) -> str:
    """Return a plain JSON value as the text that a form would have: 4, 4.0 and "4" are one; null and lists are none."""
    if isinstance(value, str):
        return writable(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 10**15:
        value = int(value)
    return str(round(value, 6)) if abs(value) < 10**20 else ""  # a charge has 6 decimals, what is beyond is arithmetic


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


def _add_json(fields: Fields, told: Any) -> None:
    if isinstance(told, dict) and isinstance(told.get("data"), dict):
        told = told["data"]  # the REST API answers in such a wrapper
    if not isinstance(told, dict):
        raise ValueError("the body is no JSON object")
    for name, value in told.items():
        # A text keeps its halves of characters until it is known which part of a message it is.
        fields.add(name, value if isinstance(value, str) else word(value))


def _add_xml(fields: Fields, document: bytes) -> None:
    leaves = _Leaves(fields)
    try:
        leaves.read(_document(document))
    except (expat.ExpatError, ValueError):
        raise ValueError("the body is no XML document without a document type, at most 8 elements deep") from None


class _Leaves:
    """Takes the elements without children, whatever the root is called: its name is not published."""

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
        parser.CharacterDataHandler = self._say
        parser.StartDoctypeDeclHandler = _refuse  # before any entity of it is read
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

    def _say(self, more: str) -> None:
        self._text += more


def _document(octets: bytes) -> str:
    """Return an XML document as text: octets that are UTF-8 are UTF-8, whatever the document declares."""
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
    if value.isascii():  # nearly all are, and it is the same in every charset that a field without one may have
        return value.decode() if isinstance(value, bytes) else value
    return writable(charset.decode(value) if isinstance(value, bytes) else value)


def _refuse(*_: object) -> NoReturn:
    raise ValueError("refused")
