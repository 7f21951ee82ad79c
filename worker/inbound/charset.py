"""Charset: decodes the gateway's texts without losing a character.

Source: Clickatell's pages on replies, which name ISO-8859-1, UTF-8 and UTF-16BE, and percent-encode the octets.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

# fmt: off
_CODECS = {
    "": "utf-8", "utf-8": "utf-8", "utf8": "utf-8", "us-ascii": "utf-8", "ascii": "utf-8",
    "iso-8859-1": "cp1252",  # phones send no C1 controls: 0x80 there is the euro sign.  Source: support FAQ 121
    "latin-1": "cp1252", "latin1": "cp1252", "windows-1252": "cp1252", "cp1252": "cp1252",
    "utf-16be": "utf-16-be", "utf-16": "utf-16-be", "ucs-2": "utf-16-be", "ucs2": "utf-16-be",
    "ucs-2be": "utf-16-be", "iso-10646-ucs-2": "utf-16-be", "unicode": "utf-16-be", "utf-16le": "utf-16-le",
}
# fmt: on
_FAMILY = re.compile(r"(?:iso-8859-(?:[2-9]|1[0134-6])|windows-125[0-8])")  # Python's single-byte charsets
_MARKS = {b"\xfe\xff": "utf-16-be", b"\xff\xfe": "utf-16-le"}
_ESCAPE = re.compile("%[0-9A-Fa-f]{2}")
_ESCAPED = re.compile("(?:[!-$&-~]|%[0-9A-Fa-f]{2})*")  # only ASCII, no space and no lone "%"


def decode(octets: bytes, charset: str = "") -> str:
    """Return the text: by the named charset, else as UTF-8, else as Windows-1252, where every byte is a character.

    Halves of a surrogate pair are kept: the other half may be in the next part.
    """
    codec = _codec(charset)
    if codec.startswith("utf-16"):
        marked = _MARKS.get(octets[:2])
        whole, codec = (octets[2:], marked) if marked else (octets, codec)
        if len(whole) % 2 == 0:
            return whole.decode(codec, "surrogatepass")
        codec = "utf-8"
    for attempt in (codec, "utf-8"):
        try:
            return octets.decode(attempt).removeprefix("\ufeff")
        except UnicodeDecodeError:
            continue
    return "".join(_windows_1252(octet) for octet in octets)


def unescape(text: str, charset: str, *, always: bool) -> str:
    """Return the text of a document, which may be percent-encoded octets of a charset other than UTF-8.

    ``always`` is for an API that documents it; without it the text must contain an encoded byte.  A text that is
    evidently not encoded (with a space, a non-ASCII letter or a lone "%") is returned unchanged.
    """
    codec = _codec(charset)
    if codec == "utf-8" or not _ESCAPED.fullmatch(text):
        return text
    if not _ESCAPE.search(text) and (not always or codec.startswith("utf-16")):
        return text  # as UTF-16, two letters would become one character; a plain "STOP" is more likely
    return decode(unquote_to_bytes(text.replace("+", " ")), charset)


def _codec(charset: str) -> str:
    name = charset.strip().strip("\"'").lower().replace("_", "-")
    return _CODECS.get(name) or (name if _FAMILY.fullmatch(name) else "utf-8")


def _windows_1252(octet: int) -> str:
    one = bytes((octet,))
    try:
        return one.decode("cp1252")
    except UnicodeDecodeError:
        return one.decode("latin-1")
