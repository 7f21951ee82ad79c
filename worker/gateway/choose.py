"""Choose: creates the gateway that the settings name, and lists its missing credentials."""

from __future__ import annotations

import sys
from collections.abc import Callable

import redis.asyncio

from threelane.contract import gateways
from threelane.contract.gateways import InvalidGateway
from threelane.runtime.exits import Exit
from threelane.worker.gateway.protocol import Gateway
from threelane.worker.process.settings import AccountSettings

Sender = Callable[[AccountSettings, redis.asyncio.Redis | None], Gateway]


def sender(settings: AccountSettings) -> Sender:
    """Return the factory of the gateway; raises InvalidGateway."""
    chosen = gateways.named(settings.gateway)
    create: Sender = gateways.resolve(chosen, "sender", chosen.sender)
    return create


def sender_or_exit(settings: AccountSettings) -> Sender:
    """Return the factory of the gateway, or exit with code 2 and the reason on standard error."""
    try:
        return sender(settings)
    except InvalidGateway as wrong:
        print(f"threelane: {wrong}", file=sys.stderr)
        raise SystemExit(Exit.USAGE) from None


def gateway(settings: AccountSettings, client: redis.asyncio.Redis | None = None) -> Gateway:
    """Return the gateway; call it on the event loop.  Workers share a session through ``client``."""
    create, whose = sender(settings), f"gateway {settings.gateway}: its sender"
    try:
        made = create(settings, client)
    except KeyboardInterrupt:
        raise
    except BaseException as failed:  # sys.exit, too: it would end the worker silently
        raise InvalidGateway(f"{whose} cannot create the gateway: {gateways.reason(failed)}") from failed
    if not isinstance(getattr(made, "name", None), str):
        raise InvalidGateway(f"{whose} returned a {type(made).__name__}, not a gateway")
    if made.name != settings.gateway:
        raise InvalidGateway(f"{whose} has the name {made.name}")
    return made


def missing_credentials(settings: AccountSettings) -> list[str]:
    """Return the required variables of the chosen API that are not set."""
    needed = gateways.named(settings.gateway).credentials
    return [f"THREELANE_{one.name.upper()}" for one in needed if not settings.credential(one.name)]


def credentials_or_exit(settings: AccountSettings) -> None:
    """Exit with code 2 and the names of the required variables of the chosen API that are not set."""
    if missing := missing_credentials(settings):
        verb, what = ("is", "it") if len(missing) == 1 else ("are", "them")
        problem = f"{', '.join(missing)} {verb} not set: the API {settings.gateway} needs {what}"
        print(f"threelane: {problem}", file=sys.stderr)
        raise SystemExit(Exit.USAGE)
