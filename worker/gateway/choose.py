"""Choose: the gateway that the settings name, and what it needs to know of the account."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from types import MappingProxyType

import redis.asyncio
from pydantic import SecretStr

from threelane.worker.gateway.protocol import Gateway
from threelane.worker.process.settings import AccountSettings

_CENTRAL = ("clickatell_api_id", "clickatell_user", "clickatell_password")
_NEEDS = MappingProxyType(
    {"http": _CENTRAL, "rest": ("clickatell_token",), "xml": _CENTRAL, "one": ("clickatell_api_key",)}
)


def gateway(settings: AccountSettings, client: redis.asyncio.Redis | None = None) -> Gateway:
    """Return the gateway; to be called on the event loop.  ``client`` is where workers share a session."""
    create: Callable[..., Gateway] = import_module(f"threelane.gateways.{settings.gateway}.gateway").create
    return create(settings, client)


def missing_credentials(settings: AccountSettings) -> list[str]:
    """Return the variables that the chosen API needs and that are not set; nothing is refused for it at start."""
    return [f"THREELANE_{name.upper()}" for name in _NEEDS[settings.gateway] if not _said(getattr(settings, name))]


def _said(value: str | SecretStr) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else value
