"""Each API with the intake of its installation and its gateway class, on one Redis and one sandbox."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.extremes.exchange import Intake, Outside
from tests.servers import RedisServer
from threelane.contract.gateways import declared
from threelane.sandbox.running import Running


@pytest.fixture(scope="session")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as one:
        yield one


@pytest.fixture(scope="session")
def intakes(redis_server: RedisServer) -> Iterator[dict[str, Intake]]:
    made = {api: Intake(redis_server.url, api) for api in declared()}
    yield made
    for one in made.values():
        one.close()


@pytest.fixture(scope="session")
def outsides(runner: asyncio.Runner, running_sandbox: Running) -> Iterator[dict[str, Outside]]:
    made = {api: Outside(runner, api, running_sandbox.url) for api in declared()}
    yield made
    for one in made.values():
        one.close()


@pytest.fixture
def api(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def intake(api: str, intakes: dict[str, Intake]) -> Intake:
    return intakes[api]


@pytest.fixture
def outside(api: str, outsides: dict[str, Outside], sandbox: Running) -> Outside:
    """The gateway class of the API, on an empty sandbox."""
    return outsides[api]
