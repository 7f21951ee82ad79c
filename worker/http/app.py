"""App: the whole API, what producers may do and what operators do, and the operator's page."""

from __future__ import annotations

import redis
from fastapi import FastAPI

from producer.client import Producer
from producer.http import app
from producer.settings import ApiSettings
from worker.console import doors, letters, messages, now, suppressed
from worker.http import operator, story

PAGES = (doors.router, now.router, letters.router, messages.router, suppressed.router)
"""The operator's page."""


def create(settings: ApiSettings, producer: Producer, client: redis.Redis) -> FastAPI:
    """Return the application that `threelane api` serves."""
    routers, values = [operator.router, story.router], [*operator.VALUES, *story.VALUES]
    made = app.create(settings, producer, client, routers=routers, values=values)
    for pages in PAGES:
        made.include_router(pages)
    return made
