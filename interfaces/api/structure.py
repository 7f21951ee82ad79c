"""Structure: counts what a JSON document contains before anything of it is decoded."""

from __future__ import annotations

import re

TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{},]', re.DOTALL)
FEW = 100_000
OCTETS_PER_VALUE = 72  # of an empty object or array, or a number, with its place in a list
Octets = bytes | bytearray


def values(document: Octets, most: int) -> int:
    """Return about how many values a document has; at most ``most`` + 1.

    Every value but the first of its object or array has a comma before it.  Counting commas is fast and also counts
    those in texts; only beyond ``most`` are the texts left out.
    """
    if document.count(b",") <= most:
        return document.count(b",")
    found = 0
    for token in TOKEN.finditer(document):
        found += token[0] == b","
        if found > most:
            break
    return found


def items(document: Octets, most: int, most_values: int) -> int:
    """Return about how many items the lists of an object have; more than ``most`` if it has too many of either.

    Counting ends with the first item or value that is too many.
    """
    if document.count(b",") < FEW:
        return 0  # however they are arranged, pointers to them need little memory
    depth = found = seen = 0
    for token in TOKEN.finditer(document):
        match token[0]:
            case b"[" | b"{":
                depth += 1
            case b"]" | b"}":
                depth -= 1
            case b",":
                seen += 1
                found += depth == 2
                if found >= most or seen > most_values:
                    return most + 1
    return found
