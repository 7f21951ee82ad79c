"""Choose: the gateway that the settings name, and what it needs to know of the account."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

import redis.asyncio
from pydantic import SecretStr

from worker.gateway.http import HttpGateway
from worker.gateway.one import OneGateway
from worker.gateway.protocol import Gateway
from worker.gateway.rest import RestGateway
from worker.gateway.xml import XmlGateway
from worker.settings import AccountSettings

_CENTRAL = ("clickatell_api_id", "clickatell_user", "clickatell_password")
_Maker = Callable[[AccountSettings, redis.asyncio.Redis | None], Gateway]
_MAKERS: MappingProxyType[str, _Maker] = MappingProxyType(
    {
        "http": HttpGateway,
        "rest": lambda settings, _: RestGateway(settings),
        "xml": XmlGateway,
        "one": lambda settings, _: OneGateway(settings),
    }
)
_NEEDS = MappingProxyType(
    {"http": _CENTRAL, "rest": ("clickatell_token",), "xml": _CENTRAL, "one": ("clickatell_api_key",)}
)


def gateway(settings: AccountSettings, client: redis.asyncio.Redis | None = None) -> Gateway:
    """Return the gateway; to be called on the event loop.  ``client`` is where workers share a session."""
    return _MAKERS[settings.gateway](settings, client)


def missing_credentials(settings: AccountSettings) -> list[str]:
    """Return the variables that the chosen API needs and that are not set; nothing is refused for it at start."""
    return [f"THREELANE_{name.upper()}" for name in _NEEDS[settings.gateway] if not _said(getattr(settings, name))]


def _said(value: str | SecretStr) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else value
