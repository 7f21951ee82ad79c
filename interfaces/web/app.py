"""App: the API for producers and operators, and the console."""

from __future__ import annotations

import redis
from fastapi import FastAPI

from threelane.interfaces.api import account, accounts, app, operator, story
from threelane.interfaces.console import account as account_page
from threelane.interfaces.console import batches, dead, login, messages, now, suppressed
from threelane.producer.client import Producer
from threelane.runtime.settings import ApiSettings

PAGES = (login.router, now.router, dead.router, messages.router, batches.router, suppressed.router, account_page.router)
"""The pages of the console."""


def create(settings: ApiSettings, producer: Producer, client: redis.Redis) -> FastAPI:
    """Return the application that `threelane api` serves."""
    parts = (operator, account, accounts, story)
    routers, values = [one.router for one in parts], [value for one in parts for value in one.VALUES]
    made = app.create(settings, producer, client, routers=routers, values=values)
    for pages in PAGES if settings.console else ():
        made.include_router(pages)
    return made
