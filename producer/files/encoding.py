"""Encoding: recognises UTF-8 and UTF-16; any other encoding must be given, and is never guessed."""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Iterator
from io import BufferedReader
from itertools import islice, pairwise

from threelane.producer.files.row import InvalidFile

_CHUNK = 1 << 20
_SAMPLE = 2_000  # octets in which UTF-16 without a byte order mark shows
_LINES = 3  # that show how a file reads
_MOST_OCTETS = 400  # of such a line
_MOST_SHOWN = 5  # encodings

_MARKS = (  # that of UTF-32 first: it begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
LIKELY = (
    "windows-1252", "windows-1250", "windows-1251", "windows-1253", "windows-1254", "windows-1255", "windows-1256",
    "iso-8859-2", "iso-8859-15", "koi8-r", "koi8-u", "cp850", "cp866", "mac-roman", "gb18030", "big5", "shift_jis",
    "euc-jp", "cp949", "cp874",
)  # fmt: skip
"""Encodings that spreadsheets and databases still write."""
_NOT_FOR_FILES = frozenset({"idna", "punycode", "raw_unicode_escape", "unicode_escape", "undefined", "utf-7", "mbcs"})
UTF_8 = "utf-8-sig"  # with or without its mark


class UnknownEncoding(InvalidFile):
    """The file is neither UTF-8 nor UTF-16; ``readings`` are its first such lines by likely encoding, best first."""

    def __init__(self, readings: dict[str, list[str]]) -> None:
        """Describe what is missing and how it is given."""
        likely = next(iter(readings), LIKELY[0])
        super().__init__(
            f"it is neither UTF-8 nor UTF-16. Give its encoding, as in --encoding {likely}, or save it as UTF-8"
        )
        self.readings = readings


def recognise(file: BufferedReader) -> str:
    """Return the encoding of a file, and seek back to its start; raises UnknownEncoding unless it is certain."""
    file.seek(0)
    start = file.read(_SAMPLE)
    file.seek(0)
    marked = next((name for mark, name in _MARKS if start.startswith(mark)), "")
    found = marked or _unmarked_utf_16(start)
    if found:
        return found
    if not _is_utf_8(file):
        raise UnknownEncoding(readings(file))
    return UTF_8


def chosen(file: BufferedReader, name: str) -> str:
    """Return the encoding that is given, or else the one that is recognised; raises InvalidFile."""
    found = named(name) if name else recognise(file)
    start = file.read(4)
    file.seek(0)
    if found in ("utf-16", "utf-32") and not start.startswith(tuple(mark for mark, one in _MARKS if one == found)):
        raise InvalidFile(f"--encoding {name}: the file has no byte order mark. Give {found}-le or {found}-be")
    return found


def named(name: str) -> str:
    """Return the name of an encoding for Python; raises InvalidFile for one that does not exist."""
    try:
        found = codecs.lookup(name.strip())
        "".encode(found.name)  # a codec of octets raises LookupError
    except (LookupError, ValueError):
        found = None
    if found is None or found.name.replace("-", "_") in _NOT_FOR_FILES | {"utf_7"}:
        raise InvalidFile(f"--encoding {name[:40]!a} is unknown: give a name such as windows-1252 or gb18030")
    return UTF_8 if found.name == "utf-8" else found.name


def readings(file: BufferedReader) -> dict[str, list[str]]:
    """Return how the first lines outside ASCII read in each encoding that is possible, the most plausible first."""
    file.seek(0)
    lines = list(islice(_foreign_lines(file), _LINES))
    file.seek(0)
    read: dict[str, list[str]] = {}
    for name in LIKELY:
        try:
            texts = [line.decode(name) for line in lines]
        except UnicodeDecodeError:
            continue
        if texts not in read.values():
            read[name] = texts
    ranked = sorted(read, key=lambda name: -_plausibility("".join(read[name])))
    return {name: read[name] for name in ranked[:_MOST_SHOWN]}


def _unmarked_utf_16(start: bytes) -> str:
    """Return the byte order of a header in ASCII whose every second octet is NUL."""
    line = re.split(rb"[\r\n]", start, maxsplit=1)[0]
    pairs = line[: len(line) // 2 * 2]
    if len(pairs) < 8:
        return ""
    for name, zeros, letters in (("utf-16-le", pairs[1::2], pairs[::2]), ("utf-16-be", pairs[::2], pairs[1::2])):
        if not any(zeros) and all(letters):
            return name
    return ""


def _is_utf_8(file: BufferedReader) -> bool:
    """Return whether a file is UTF-8, perhaps with a few damaged rows."""
    decode = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode
    valid = invalid = 0
    while octets := file.read(_CHUNK):
        if octets.isascii():
            invalid += sum("\udc80" <= letter <= "\udcff" for letter in decode(octets))
            continue
        foreign = re.sub(r"[\x00-\x7f]+", "", decode(octets))
        damaged = len(re.findall("[\udc80-\udcff]", foreign))
        invalid += damaged
        valid += len(foreign) - damaged
    invalid += len(decode(b"", True))
    file.seek(0)
    return valid >= invalid if valid else not invalid


def _foreign_lines(file: BufferedReader) -> Iterator[bytes]:
    while octets := file.readline(1 << 16):
        for line in re.split(rb"[\r\n]+", octets):
            if not line.isascii():
                yield _around_the_first(line)


def _around_the_first(line: bytes) -> bytes:
    """Return the part of a long line that shows its first octets outside ASCII."""
    if len(line) <= _MOST_OCTETS:
        return line
    at = next(index for index, octet in enumerate(line) if octet > 0x7F)
    part = line[max(0, at - _MOST_OCTETS // 4) :]
    spaces = part.rfind(b" ", 0, _MOST_OCTETS)  # no character is cut in two
    return part[: spaces if spaces > _MOST_OCTETS // 4 else _MOST_OCTETS]


def _plausibility(text: str) -> float:
    """Return how much a text looks like one: letters beside letters of the same script, small ones after others."""
    points, foreign = 0.0, 0
    for before, letter in pairwise(" " + text):
        if letter.isascii():
            continue
        foreign += 1
        if not letter.isalpha():
            points -= 1 if unicodedata.category(letter) in ("Cc", "Cn", "Co", "So", "Sm") else 0
            continue
        points += 1
        if _script(letter) == "LATIN" and before.isalpha() and not before.isascii():
            points -= 0.7  # few languages put two accented letters together
        if before.isalpha() and _script(before) != _script(letter):
            points -= 1
        if before.islower() and letter.isupper():
            points -= 1.5
    return points / foreign if foreign else 0.0


def _script(letter: str) -> str:
    return unicodedata.name(letter, "").split(" ", 1)[0]
