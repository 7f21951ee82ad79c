"""Requests: the body of a request with other values of some parameters, in each of the three notations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode
from xml.sax.saxutils import escape

from threelane.worker.gateway.markup import UNWRITABLE

_DOCUMENT = "data"  # the form field of the XML API's document


def with_parameters(body: bytes, changes: Mapping[str, Any]) -> bytes:
    """Return the body of a request with other values of some parameters."""
    if body.startswith(b"{"):
        document = json.loads(body)
        (entry,) = document.get("messages", (document,))
        entry.update(changes)
        return json.dumps(document).encode()
    form: dict[str, str] = dict(parse_qsl(body.decode(), keep_blank_values=True))
    if not form.get(_DOCUMENT, "").startswith("<"):
        form.update({name: str(value) for name, value in changes.items()})
        return urlencode(form).encode()
    for name, value in changes.items():
        form[_DOCUMENT] = _in_element(form[_DOCUMENT], name, str(value))
    return urlencode(form).encode()


def _in_element(document: str, name: str, value: str) -> str:
    """Return the document with one child of its sendMsg replaced or added."""
    assert not UNWRITABLE.search(value), "no document of XML carries this"
    start, end = document.find(f"<{name}>"), document.find(f"</{name}>")
    if start >= 0:
        document = document[:start] + document[end + len(f"</{name}>") :]
    return document.replace("</sendMsg>", f"<{name}>{escape(value)}</{name}></sendMsg>")
