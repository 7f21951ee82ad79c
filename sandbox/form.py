"""Parses form parameters from bytes, in the charset that the form names."""

import codecs
from typing import Final
from urllib.parse import unquote_to_bytes

_DEFAULT_CHARSET: Final = "cp1252"
_HOLES: Final = "sandbox-holes-as-latin-1"


def _as_latin_1(error: UnicodeError) -> tuple[str, int]:
    """Decodes the five bytes undefined in Windows-1252 as Latin-1."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("latin-1"), error.end


codecs.register_error(_HOLES, _as_latin_1)


def parse(body: bytes) -> dict[str, str] | None:
    """Returns the parameters with lower-case names, the last of a name; None when the charset is unknown."""
    fields = octets(body)
    charset = fields.get("charset", b"").decode("ascii", "replace") or _DEFAULT_CHARSET
    try:
        codec = codecs.lookup(charset).name
        return {name: _text(value, codec) for name, value in fields.items()}
    except (LookupError, ValueError):
        return None


def octets(body: bytes) -> dict[str, bytes]:
    """Returns the parameters undecoded, with lower-case names, the last of a name."""
    fields: dict[str, bytes] = {}
    for pair in body.split(b"&"):
        name, _, value = pair.partition(b"=")
        if name:
            fields[_octets(name).decode("latin-1").lower()] = _octets(value)
    return fields


def _octets(value: bytes) -> bytes:
    value = value.replace(b"+", b" ")
    return unquote_to_bytes(value) if b"%" in value else value


def _text(value: bytes, codec: str) -> str:
    if value.isascii():
        return value.decode("ascii")
    if codec in (
        "cp1252",
        "iso8859-1",
    ):  # the gateway reads Latin-1 as Windows-1252, so 0x80 is the euro sign
        return value.decode("cp1252", _HOLES)
    return value.decode(codec, "replace")
