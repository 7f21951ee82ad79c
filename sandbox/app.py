"""The web application: every API and the control API over one gateway."""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final, Protocol

from aiohttp import web

from threelane.sandbox.control import Control
from threelane.sandbox.gateway import SandboxGateway
from threelane.sandbox.http_api import HttpApi
from threelane.sandbox.http_batch import HttpBatch
from threelane.sandbox.one_api import OneApi
from threelane.sandbox.platform_api import PlatformApi
from threelane.sandbox.rest_api import RestApi
from threelane.sandbox.settings import SandboxSettings
from threelane.sandbox.xml_api import XmlApi

GATEWAY: Final = web.AppKey("gateway", SandboxGateway)
_LARGEST_BODY_BYTES: Final = 16 * 1024 * 1024


class Part(Protocol):
    """An API of the sandbox, or its control API."""

    def add_to(self, app: web.Application) -> None:
        """Adds every resource."""


MakePart = Callable[[SandboxGateway], Part]
_BUILT_IN: Final[tuple[MakePart, ...]] = (HttpApi, HttpBatch, RestApi, XmlApi, OneApi, PlatformApi, Control)


def create(
    settings: SandboxSettings, clock: Callable[[], float] = time.time, parts: Sequence[MakePart] = ()
) -> web.Application:
    """Returns the application of one sandbox, with additional APIs; its clock starts with the server."""
    gateway = SandboxGateway(settings, clock)
    app = web.Application(client_max_size=_LARGEST_BODY_BYTES, middlewares=[gateway.requests.middleware])
    app[GATEWAY] = gateway
    for part in dict.fromkeys((*_BUILT_IN, *parts)):
        part(gateway).add_to(app)
    app.cleanup_ctx.append(_running)
    return app


async def _running(app: web.Application) -> AsyncIterator[None]:
    gateway = app[GATEWAY]
    await gateway.start()
    yield
    await gateway.stop()
