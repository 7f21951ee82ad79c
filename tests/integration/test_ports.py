"""The console and the docs can be switched off, or have a port of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.http_api import Api
from tests.servers import RedisServer
from threelane.runtime.settings import ApiSettings, InvalidSettings, load

PATHS = ("/v1/key", "/health/live", "/console/login", "/docs", "/openapi.json")


@pytest.fixture
def with_settings(redis_server: RedisServer) -> Iterator[object]:
    """Start an API with settings; it stops after the test."""
    started: list[Api] = []

    def start(**settings: object) -> Api:
        started.append(Api(redis_server.url, **settings).start())
        return started[-1]

    yield start
    for one in started:
        one.stop()


def statuses(api: Api, port: int) -> list[int]:
    """Return the status of each path on a port."""
    first, api.port = api.port, port
    try:
        return [api.request("GET", path).status for path in PATHS]
    finally:
        api.port = first


def test_the_console_and_the_docs_can_be_switched_off(with_settings) -> None:  # type: ignore[no-untyped-def]
    """An API on the internet need not show a login form, nor its description."""
    api = with_settings(console=False, docs=False)
    assert [401, 200, 404, 404, 404] == statuses(api, api.port)


def test_the_console_and_the_docs_can_have_a_port_of_their_own(with_settings) -> None:  # type: ignore[no-untyped-def]
    """A firewall closes the one port while producers reach the other; a Host header changes nothing."""
    api = with_settings(console_port=0)
    assert [401, 200, 404, 404, 404] == statuses(api, api.port)
    assert [404, 200, 200, 200, 200] == statuses(api, api.console_port)
    disguised = api.request("GET", "/console/login", headers={"Host": f"127.0.0.1:{api.console_port}"})
    assert 404 == disguised.status


@pytest.mark.parametrize(
    ("settings", "problem"),
    [({"console_port": 8080}, "give another"), ({"console_host": "10.0.0.1"}, "set it as well, or neither")],
)
def test_invalid_ports_are_refused_at_the_start(settings: dict[str, object], problem: str) -> None:
    """With the variable and the remedy."""
    with pytest.raises(InvalidSettings, match=problem):
        load(ApiSettings, **settings)
