"""The request bodies of the control API, and the error for an invalid one."""

import re
from decimal import Decimal
from typing import Annotated, Final, TypeVar

import msgspec
from aiohttp import web

from threelane.sandbox.account import BARRED_CODES

_Body = TypeVar("_Body")

_NAMED_FIELD: Final = re.compile(r"(?:.*field `(\w+)`|(\w+): )")


class CreditChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Adds to the credit or sets it."""

    add: Decimal | None = None
    set: Decimal | None = None

    def __post_init__(self) -> None:
        if (self.add is None) == (self.set is None):
            raise ValueError("add: give either add or set")
        if not all(amount is None or amount.is_finite() for amount in (self.add, self.set)):
            raise ValueError("add: the amount must be finite")
        if self.set is not None and self.set < 0:
            raise ValueError("set: must be 0 or more")


class CredentialChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Changes some credentials of the account; what is not given stays."""

    api_id: str | None = None
    user: str | None = None
    password: str | None = None
    rest_token: str | None = None
    api_key: str | None = None
    keep_sessions: bool = False


class OptOut(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bars a number, or lifts the bar."""

    to: Annotated[str, msgspec.Meta(pattern="^[0-9]+$")]
    remove: bool = False
    code: str = "122"

    def __post_init__(self) -> None:
        if self.code not in BARRED_CODES:
            raise ValueError(f"code: not one of {', '.join(BARRED_CODES)}")


class DoNotContact(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Enters a number in the do-not-contact list, or removes it."""

    to: Annotated[str, msgspec.Meta(pattern="^[0-9]+$")]
    remove: bool = False


class Refusal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Refuses connections for a while."""

    seconds: Annotated[float, msgspec.Meta(gt=0)]


class Reset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Resets the sandbox to the credit of the settings, or to another."""

    credit: Decimal | None = None

    def __post_init__(self) -> None:
        if self.credit is not None and not (self.credit.is_finite() and self.credit >= 0):
            raise ValueError("credit: must be 0 or more")


class BadRequest(Exception):
    """An invalid body or parameter; becomes a 400 with its field and reason."""

    def __init__(self, field: str | None, reason: str) -> None:
        super().__init__(reason)
        self.field = field
        self.reason = reason


async def read(request: web.Request, type: type[_Body]) -> _Body:
    """Returns the body of a request, or raises BadRequest."""
    return decode(await request.read(), type)


def decode(body: bytes, type: type[_Body]) -> _Body:
    """Returns the JSON of a body, or raises BadRequest."""
    try:
        return msgspec.json.decode(body, type=type)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$")
        raise BadRequest(_field(reason, path.strip("`.")), reason) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(None, f"not JSON: {error}") from error


def _field(reason: str, path: str) -> str | None:
    """Returns the field of an error: the path, and the name that the reason contains or starts with."""
    named = _NAMED_FIELD.match(reason)
    name = (named[1] or named[2]) if named else ""
    return ".".join(part for part in (path, name) if part) or None
