"""A callback to send: its content, form and URL."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote_plus

import msgspec

from threelane.sandbox import xml_document
from threelane.sandbox.apis import CENTRAL, FORM_TYPE, JSON_TYPE, ApiName, CallbackForm
from threelane.sandbox.settings import SandboxSettings

Fields = Mapping[str, str | bytes | int | float | None]
_DOCUMENT_FIELD: Final = "data"
_DECLARATION: Final = '<?xml version="1.0"?>'
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Push:
    """One status of a message, or one part of a reply, written for the URL of its API."""

    api: str
    form: CallbackForm
    content: str
    is_reply: bool = False
    tally: Counter[str] | None = None  # counts its requests by result
    retries: int = 0

    @property
    def content_type(self) -> str:
        """Returns the Content-Type."""
        return JSON_TYPE if self.form is CallbackForm.JSON else FORM_TYPE


def address(api: str, is_reply: bool, settings: SandboxSettings) -> str | None:
    """Returns the callback URL for the statuses or the replies of an API, if one is set."""
    if api == ApiName.ONE:
        return settings.one_callback
    if api == ApiName.PLATFORM:
        return settings.platform_callback
    if api not in CENTRAL:
        return settings.beside_status(f"/{api}")
    return settings.reply_callback if is_reply else settings.callback_url


def pack(form: CallbackForm, fields: Fields, root: str = "") -> str:
    """Returns the encoded fields; octets only in percent-encoded forms; XML needs the name of its root."""
    if form is CallbackForm.JSON:
        return as_json(fields)
    values = {name: value for name, value in fields.items() if value is not None}
    if form is CallbackForm.XML:
        document = _DECLARATION + xml_document.element(root, {name: str(value) for name, value in values.items()})
        return f"{_DOCUMENT_FIELD}={quote_plus(document)}"
    pairs = ((name, value if isinstance(value, bytes) else str(value)) for name, value in values.items())
    return "&".join(f"{name}={quote_plus(value)}" for name, value in pairs)


def as_json(content: object) -> str:
    """Returns JSON."""
    return _encode(content).decode()
