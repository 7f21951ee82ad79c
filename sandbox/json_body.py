"""JSON bodies: an object in, a response out."""

import msgspec

from threelane.sandbox.apis import JSON_TYPE
from threelane.sandbox.transport import HttpResponse

_encode = msgspec.json.Encoder().encode


def read(body: bytes) -> dict[str, object] | None:
    """Returns the object of a body, or None when it is not one."""
    try:
        return msgspec.json.decode(body, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def response(content: object, status: int = 200) -> HttpResponse:
    """Returns the response with this content."""
    return HttpResponse(_encode(content), JSON_TYPE, status)


def string(content: dict[str, object], name: str) -> str:
    """Returns a string field; empty when it is not a string."""
    value = content.get(name)
    return value if isinstance(value, str) else ""
