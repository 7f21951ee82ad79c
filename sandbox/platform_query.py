"""Parses the query of the Platform's HTTP form into the fields of Platform REST."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple
from urllib.parse import parse_qsl

from threelane.sandbox.platform_codes import CHARSETS

_KEY: Final = "apiKey"
_CONTENT: Final = "content"
_OCTETS: Final = "latin-1"  # each octet as the letter of its number
_BOOLEANS: Final = MappingProxyType({"true": True, "false": False})
_READ: Final[Mapping[str, Callable[[str], object]]] = MappingProxyType(
    {
        "to": lambda value: [value],  # one recipient a request
        "binary": lambda value: _BOOLEANS.get(value.lower(), value),
        "validityPeriod": lambda value: int(value) if value.isascii() and value.isdecimal() else value,
    }
)


class SendQuery(NamedTuple):
    """The key, and the fields of a message; `fields` is None when the content is not in the charset that it names."""

    key: str
    fields: dict[str, object] | None


def read(query: str) -> SendQuery:
    """Returns the key and the fields of a raw query; a value of the wrong type stays text, which is refused later."""
    octets = query.encode("utf-8", "surrogateescape").decode(_OCTETS)
    named = dict(parse_qsl(octets, keep_blank_values=True, encoding=_OCTETS))
    key = named.pop(_KEY, "")
    try:
        if _CONTENT in named:
            named[_CONTENT] = named[_CONTENT].encode(_OCTETS).decode(CHARSETS.get(named.get("charset"), "utf-8"))
    except UnicodeDecodeError:
        return SendQuery(key, None)
    return SendQuery(key, {name: _READ.get(name, str)(value) for name, value in named.items()})
