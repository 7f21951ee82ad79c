"""App: the HTTP API as one application; `threelane api` serves it together with the console."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio.to_thread
import redis
from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi

from threelane.interfaces.api import batches, describe, messages, own, page, probes, problem, suppressed, waiting
from threelane.interfaces.api.batch_names import EncodedNames
from threelane.interfaces.api.guard import Guard
from threelane.interfaces.api.service import create_service
from threelane.producer.client import Producer
from threelane.runtime.settings import ApiSettings

VERSION = "1"
ABOUT = """\
Send SMSes through Threelane. Every operation but the probes needs a key: `Authorization: Bearer <key>`.
Errors are `application/problem+json` with the field, the problem, the remedy and the owner.
"""
# The framework's own telemetry would export whole URLs and the texts of exceptions.
_NO_TELEMETRY: Any = dict.fromkeys(("tracing", "metrics", "logs", "operation_spans", "auto_configure"), False)


def create(
    settings: ApiSettings,
    producer: Producer,
    client: redis.Redis,
    *,
    routers: Sequence[APIRouter] = (),
    values: Sequence[Any] = (),
) -> FastAPI:
    """Return the application: ``routers`` are also mounted below /v1; ``values`` are the types they use."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.openapi()  # takes 0.1 s, which would block the first request
        anyio.to_thread.current_default_thread_limiter().total_tokens = settings.api_threads
        yield

    app = FastAPI(
        title="Threelane",
        version=VERSION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        telemetry=_NO_TELEMETRY,
        lifespan=lifespan,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.service = create_service(settings, producer, client)
    for router in (messages.router, batches.router, waiting.router, suppressed.router, own.router, *routers):
        app.include_router(router, prefix="/v1")
    app.include_router(probes.router)
    if settings.docs:
        app.include_router(page.router)
    problem.register(app)
    app.add_middleware(EncodedNames)
    app.add_middleware(Guard)
    app.openapi = lambda: _described(app, values)  # type: ignore[method-assign]
    return app


def _described(app: FastAPI, values: Sequence[Any]) -> dict[str, Any]:
    """Return the OpenAPI description, built once."""
    if not app.openapi_schema:
        document = get_openapi(title="Threelane", version=VERSION, description=ABOUT, routes=app.routes)
        document["components"]["schemas"] = describe.components(values)
        app.openapi_schema = document
    return app.openapi_schema
