"""The APIs the sandbox speaks, by the names that faults, attempts and the ledger call them."""

from enum import StrEnum
from typing import Final

FORM_TYPE: Final = "application/x-www-form-urlencoded"
JSON_TYPE: Final = "application/json"
XML_TYPE: Final = "text/xml"


class ApiName(StrEnum):
    """The way a message came."""

    HTTP = "http"
    REST = "rest"
    XML = "xml"
    ONE = "one"
    PLATFORM = "platform"


CENTRAL: Final = frozenset({ApiName.HTTP, ApiName.REST, ApiName.XML})  # they share their callbacks


class CallbackForm(StrEnum):
    """The way a callback carries its fields."""

    POST = "POST"
    GET = "GET"
    XML = "XML"  # a document in a form field
    JSON = "JSON"
