"""House: what the requests of one process of the API share."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import redis
from fastapi import Depends, Request

from producer.client import Producer
from producer.settings import ApiSettings


class House(NamedTuple):
    """The settings, the producer behind every address, and a client of the same Redis."""

    settings: ApiSettings
    producer: Producer
    redis: redis.Redis


def house_of(request: Request) -> House:
    """Return what the application was made with."""
    house: House = request.app.state.house
    return house


async def _shared(request: Request) -> House:
    return house_of(request)


Shared = Annotated[House, Depends(_shared)]
