"""App: the whole API, what producers may do and what operators do, and the operator's page."""

from __future__ import annotations

import redis
from fastapi import FastAPI

from threelane.interfaces.api import app, operator, story
from threelane.interfaces.console import dead as letters
from threelane.interfaces.console import login as doors
from threelane.interfaces.console import messages, now, suppressed
from threelane.producer.client import Producer
from threelane.runtime.settings import ApiSettings

PAGES = (doors.router, now.router, letters.router, messages.router, suppressed.router)
"""The operator's page."""


def create(settings: ApiSettings, producer: Producer, client: redis.Redis) -> FastAPI:
    """Return the application that `threelane api` serves."""
    routers, values = [operator.router, story.router], [*operator.VALUES, *story.VALUES]
    made = app.create(settings, producer, client, routers=routers, values=values)
    for pages in PAGES:
        made.include_router(pages)
    return made
