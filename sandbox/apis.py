"""The APIs of the sandbox, by the names used in faults, attempts and the ledger."""

from enum import StrEnum
from typing import Final

FORM_TYPE: Final = "application/x-www-form-urlencoded"
JSON_TYPE: Final = "application/json"
XML_TYPE: Final = "text/xml"
CURRENCY: Final = "EUR"
CREDENTIALS: Final = ("api_id", "user", "password", "session_id")  # of the HTTP and XML APIs


class ApiName(StrEnum):
    """The API that submitted a message."""

    HTTP = "http"
    REST = "rest"
    XML = "xml"
    ONE = "one"
    PLATFORM = "platform"


CENTRAL: Final = frozenset({ApiName.HTTP, ApiName.REST, ApiName.XML})  # they share their callbacks


class CallbackForm(StrEnum):
    """The encoding of a callback's fields."""

    POST = "POST"
    GET = "GET"
    XML = "XML"  # a document in a form field
    JSON = "JSON"
