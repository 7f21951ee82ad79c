"""The documents of the XML API: elements with text in, elements with text out; no entities, no DTD."""

import re
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple
from xml.etree.ElementTree import ParseError, XMLParser
from xml.sax.saxutils import escape

ROOT: Final = "clickAPI"
_MOST_OCTETS: Final = 5 * 1024 * 1024
_MOST_ELEMENTS: Final = 100_000  # so that no document blocks the sandbox for long
_DEEPEST: Final = 8
_DECLARED: Final = re.compile(rb"\A\s*<\?xml[^>]*?\bencoding\s*=\s*[\"']([A-Za-z0-9._-]{1,40})[\"']")
_CODECS: Final = {
    b"utf-8": "utf-8",
    b"us-ascii": "ascii",
    b"iso-8859-1": "latin-1",
    b"windows-1252": "cp1252",
}
_BYTE_ORDER_MARK: Final = "\ufeff"
_CONTAINERS: Final = frozenset({"fields"})  # of the values for a template's placeholders
_AS_WRITTEN: Final = frozenset({"text", "template"})  # their spaces belong to the message
_REFUSED: Final = ("<!DOCTYPE", "<!ENTITY")
_NO_CHARACTER: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Element(NamedTuple):
    """A request or a response of a document: its tag and the texts of its children."""

    tag: str
    children: Mapping[str, str]


class _Shallow:
    """Collects the elements below the root and their children; the last child of a name is kept.

    The children of a container count as children of its element.
    """

    def __init__(self) -> None:
        self.elements: list[Element] = []
        self._depth = self._count = 0
        self._children: dict[str, str] = {}
        self._text: list[str] = []
        self._is_in_container = False

    def start(self, tag: str, _attributes: dict[str, str]) -> None:
        self._depth += 1
        self._count += 1
        if "{" in tag or (self._depth == 1 and tag != ROOT):
            raise ValueError("neither another root nor a namespace")
        if self._depth > _DEEPEST or self._count > _MOST_ELEMENTS:
            raise ValueError("too much")
        if self._depth == 2:
            self._children = {}
            self.elements.append(Element(tag, self._children))
        elif self._depth == 3:
            self._is_in_container = tag in _CONTAINERS
        self._text = []

    def data(self, text: str) -> None:
        if self._depth > 2:
            self._text.append(text)

    def end(self, tag: str) -> None:
        if self._depth == 3 + self._is_in_container:
            text = "".join(self._text)
            self._children[tag] = text if self._is_in_container or tag in _AS_WRITTEN else text.strip()
        self._depth -= 1

    def close(self) -> list[Element]:
        return self.elements


def read(octets: bytes) -> list[Element] | None:
    """Returns the elements of a document, or None when it is malformed, too big or has declarations."""
    if len(octets) > _MOST_OCTETS:
        return None
    declared = _DECLARED.match(octets)
    codec = _CODECS.get(declared[1].lower()) if declared else "utf-8"
    if codec is None:  # an encoding that could hide a declaration
        return None
    try:
        document = octets.decode(codec).removeprefix(_BYTE_ORDER_MARK).lstrip()
    except UnicodeDecodeError:
        return None
    if any(declaration in document for declaration in _REFUSED):
        return None
    parser: XMLParser = XMLParser(target=_Shallow())
    try:
        parser.feed(document)  # as a string: the declared encoding no longer applies
        return parser.close()  # type: ignore[return-value]
    except (ParseError, ValueError):
        return None


def write(elements: Iterable[Element]) -> bytes:
    """Returns the document of these elements."""
    rows = "".join(element(tag, children) for tag, children in elements)
    return f"<{ROOT}>{rows}</{ROOT}>".encode()


def element(tag: str, children: Mapping[str, str]) -> str:
    """Returns one element with its children."""
    return f"<{tag}>{''.join(f'<{name}>{_text(text)}</{name}>' for name, text in children.items())}</{tag}>"


def _text(text: str) -> str:
    return escape(text) if text.isalnum() else escape(_NO_CHARACTER.sub("?", text))
