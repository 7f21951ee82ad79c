"""App: the API for producers and operators, and the console."""

from __future__ import annotations

import redis
from fastapi import FastAPI

from threelane.interfaces.api import app, operator, story
from threelane.interfaces.console import batches, dead, login, messages, now, suppressed
from threelane.producer.client import Producer
from threelane.runtime.settings import ApiSettings

PAGES = (login.router, now.router, dead.router, messages.router, batches.router, suppressed.router)
"""The pages of the console."""


def create(settings: ApiSettings, producer: Producer, client: redis.Redis) -> FastAPI:
    """Return the application that `threelane api` serves."""
    routers, values = [operator.router, story.router], [*operator.VALUES, *story.VALUES]
    made = app.create(settings, producer, client, routers=routers, values=values)
    for pages in PAGES if settings.console else ():
        made.include_router(pages)
    return made
