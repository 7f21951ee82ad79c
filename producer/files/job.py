"""Job: a bulk that can be repeated: its rows get their text and fields, and are marked as known if it was sent before.

A row that an earlier run accepted is not sent again, wherever that run ended and however the file was edited since.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from threelane.contract.fields import BY_SPELLING
from threelane.contract.refusal import Refusal, invalid
from threelane.producer.files.bulk import COUNTRY, FileRow
from threelane.producer.files.template import Template


def with_text(rows: Iterable[FileRow], template: Template) -> Iterator[FileRow]:
    """Add the text to each row, and remove the columns that only the template uses."""
    for row in rows:
        if isinstance(row.content, Refusal):
            yield row
            continue
        text = template.fill(row.content) if "text" not in row.content else _two_texts()
        fields = {name: value for name, value in row.content.items() if name in BY_SPELLING and name != COUNTRY}
        yield row._replace(content=text if isinstance(text, Refusal) else fields | {"text": text})


def _two_texts() -> Refusal:
    return invalid("text", "a text in the row and a text for all rows", "give one of them")


def with_fields(rows: Iterable[FileRow], fields: Mapping[str, Any]) -> Iterator[FileRow]:
    """Add ``fields`` (by names of the table) to each row that lacks them."""
    for row in rows:
        if isinstance(row.content, Refusal):
            yield row
            continue
        given = {field.name for name in row.content if (field := BY_SPELLING.get(name))}
        more = {name: value for name, value in fields.items() if BY_SPELLING[name].name not in given}
        yield row._replace(content={**row.content, **more})
