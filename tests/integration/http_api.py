"""The HTTP API for tests: the real application, served by uvicorn in a thread, and a plain client."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from http.client import HTTPConnection
from typing import Any, NamedTuple

import redis

from tests.servers import wait_until
from threelane import Producer
from threelane.interfaces.api.service import Service
from threelane.interfaces.web.serve import LimitedServer, config, listen, listen_for_people
from threelane.runtime.settings import ApiSettings
from threelane.store import access
from threelane.store.connect import connect


class Response(NamedTuple):
    """An answer."""

    status: int
    headers: Mapping[str, str]
    body: Any


class Api:
    """One API on a Redis; ``key`` makes keys for it."""

    def __init__(self, redis_url: str, **settings: Any) -> None:
        self.settings = ApiSettings(redis_url=redis_url, api_port=0, **settings)
        self.redis = connect(self.settings)
        self.producer = Producer(self.settings)
        self._socket = listen(self.settings)
        self.port = self._socket.getsockname()[1]
        self.url = f"{'https' if self.settings.api_tls_cert else 'http'}://127.0.0.1:{self.port}"
        console = listen_for_people(self.settings)
        self.console_port = console.getsockname()[1] if console else self.port
        self._sockets = [one for one in (self._socket, console) if one]
        self._served = config(self.settings, self.producer, self.redis, console)
        self._server = LimitedServer(self._served, self.settings)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": self._sockets}, daemon=True)

    def start(self) -> Api:
        self._thread.start()
        wait_until(lambda: self._server.started, what="the API to start")
        return self

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(15)
        self.producer.close()
        self.redis.close()

    @property
    def service(self) -> Service:
        """What its requests share."""
        app = self._served.app
        service: Service = getattr(app, "app", app).state.service
        return service

    def key(self, producer: str = "shop", **rights: Any) -> str:
        """Return a new key's token, without a limit where none is given."""
        return wide_key(self.redis, producer, **rights).token

    def request(self, method: str, path: str, body: Any = None, key: str = "", headers: Any = None) -> Response:
        """Send one request on a connection of its own; a body other than bytes goes as JSON."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        sent = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        more = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            connection.request(method, path, sent, more | (headers or {}))
            answer = connection.getresponse()
            raw = answer.read()
        finally:
            connection.close()
        received = dict(answer.getheaders())
        is_json = "json" in received.get("content-type", "")
        return Response(answer.status, received, json.loads(raw) if is_json else raw)


def wide_key(client: redis.Redis, producer: str = "shop", **rights: Any) -> access.NewApiKey:
    """Return a new key, without a limit where none is given."""
    return access.create(client, producer, now(client), unlimited=True, **rights)


def now(client: redis.Redis) -> int:
    seconds, microseconds = client.time()
    return int(seconds) * 1000 + int(microseconds) // 1000
