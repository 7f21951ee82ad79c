"""Criteria: the query parameters by which requests select messages, made from the one declaration of a filter.

There is none for the recipient: an address stands in logs, so a number goes in the body of a search.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import Query

from threelane.contract.reading import INTERNATIONAL, Reading
from threelane.contract.refusal import Code as Codes
from threelane.interfaces.api.problem import stop
from threelane.store.find import CRITERIA, Filter, InvalidCriterion
from threelane.store.suppression import parse_number

_CODES = {"to": Codes.DESTINATION}


def _query(name: str) -> Any:
    known = CRITERIA[name]
    return Query(
        description=known.description, pattern=known.pattern, max_length=known.max_length, ge=known.ge, le=known.le
    )


Batch = Annotated[str, _query("batch")]
Tag = Annotated[str, _query("tag")]
Producer = Annotated[str, _query("producer")]
Lane = Annotated[int, _query("lane")]
Code = Annotated[str, _query("code")]
Owner = Annotated[str, _query("owner")]
Account = Annotated[str, _query("account")]


def parsed(wanted: Filter, reading: Reading = INTERNATIONAL) -> Filter:
    """Return a filter as records have it; ends the request with the field that is wrong.

    ``reading`` is how a recipient without + or 00 is read.
    """
    try:
        to = parse_number(wanted.to, reading) if wanted.to else ""
    except ValueError as wrong:
        raise wrong_field("to", wrong, Codes.DESTINATION) from None
    try:
        return msgspec.structs.replace(wanted, to=to).parsed()
    except InvalidCriterion as wrong:
        raise wrong_field(wrong.name, wrong, _CODES.get(wrong.name, Codes.INVALID)) from None


def wrong_field(field: str, wrong: ValueError, code: Codes = Codes.INVALID) -> Exception:
    """Return what ends a request: a field, with what a ValueError says of it."""
    detail, _, remedy = str(wrong).partition("; ")
    return stop(422, detail, code=code, field=field, remedy=remedy or "see the description of this request in /docs")
