"""App: the producers' API as one application; `threelane api` serves it, with what operators do beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio.to_thread
import redis
from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi

from threelane.interfaces.api import describe, messages, own, page, probes, problem, suppressed, waiting
from threelane.interfaces.api.guard import Guard
from threelane.interfaces.api.house import furnish
from threelane.producer.client import Producer
from threelane.runtime.settings import ApiSettings

VERSION = "1"
ABOUT = """\
Send SMSes through Threelane. Every address but the probes needs a key: `Authorization: Bearer <key>`.
What was done wrong is told as `application/problem+json`: the field, what is wrong, what would be right, who can mend.
"""
# The framework's own telemetry would tell whole addresses, and the words of failures.
_UNTOLD: Any = dict.fromkeys(("tracing", "metrics", "logs", "operation_spans", "auto_configure"), False)


def create(
    settings: ApiSettings,
    producer: Producer,
    client: redis.Redis,
    *,
    routers: Sequence[APIRouter] = (),
    values: Sequence[Any] = (),
) -> FastAPI:
    """Return the application: ``routers`` are mounted under /v1, too, and may speak of further ``values``."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.openapi()  # takes a tenth of a second, in which nothing else would be answered
        anyio.to_thread.current_default_thread_limiter().total_tokens = settings.api_threads
        yield

    app = FastAPI(
        title="Threelane",
        version=VERSION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        telemetry=_UNTOLD,
        lifespan=lifespan,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.house = furnish(settings, producer, client)
    for router in (messages.router, waiting.router, suppressed.router, own.router, *routers):
        app.include_router(router, prefix="/v1")
    app.include_router(probes.router)
    app.include_router(page.router)
    problem.register(app)
    app.add_middleware(Guard)
    app.openapi = lambda: _described(app, values)  # type: ignore[method-assign]
    return app


def _described(app: FastAPI, values: Sequence[Any]) -> dict[str, Any]:
    """Return the OpenAPI description, made once."""
    if not app.openapi_schema:
        told = get_openapi(title="Threelane", version=VERSION, description=ABOUT, routes=app.routes)
        told["components"]["schemas"] = describe.components(values)
        app.openapi_schema = told
    return app.openapi_schema
