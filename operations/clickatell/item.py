"""Item: one parameter, command, code, status or feature that a document of Clickatell's names."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Document(StrEnum):
    """The five source documents."""

    HTTP = "HTTP"
    REST = "REST"
    PORTAL = "credentials"
    TWO_WAY = "two-way"
    HANDLER = "handler"


# fmt: off
TITLES = {
    Document.HTTP:    "the overview of the HTTP API: commands, parameters, callbacks, statuses and error codes",
    Document.REST:    "the table of features of the Central REST API",
    Document.PORTAL:  "the Help Center's page on Portal credentials in applications made for the older APIs",
    Document.TWO_WAY: "a guide to the set-up of an account for two-way messages, by Conducttr",
    Document.HANDLER: "a guide to the Clickatell handler of Integriti, which sends by the One API or the XML API",
}
# fmt: on


class Item(NamedTuple):
    """What a document names, in one line; ``where`` is file:symbol, ``test`` is file::test."""

    document: Document
    kind: str
    name: str
    meaning: str
    where: str
    test: str
