"""JSON bodies: an object in, an answer out."""

import msgspec

from threelane.sandbox.apis import JSON_TYPE
from threelane.sandbox.transport import HttpAnswer

_encode = msgspec.json.Encoder().encode


def read(body: bytes) -> dict[str, object] | None:
    """Returns the object of a body, or None when it is not one."""
    try:
        return msgspec.json.decode(body, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def answer(content: object, status: int = 200) -> HttpAnswer:
    """Returns the answer that holds this content."""
    return HttpAnswer(_encode(content), JSON_TYPE, status)


def string(content: dict[str, object], name: str) -> str:
    """Returns a field that should be a string; empty when it is none."""
    value = content.get(name)
    return value if isinstance(value, str) else ""
