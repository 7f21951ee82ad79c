"""A producer's receiver of webhooks, over real HTTP, that misbehaves as a test configures it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple, Self


class Post(NamedTuple):
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        return dict(json.loads(self.body))

    @property
    def message(self) -> str:
        return str(self.event["message_id"])


Reaction = Callable[[Post], tuple[int, dict[str, str]]]


class Receiver:
    """Answers each path as configured, by default 200; keeps its requests."""

    def __init__(self) -> None:
        self.posts: list[Post] = []
        self.connections = 0
        self.most_at_once: dict[str, int] = {}
        self.reactions: dict[str, Reaction] = {}
        self.released = threading.Event()
        self._at_once: dict[str, int] = {}
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()

    def url(self, path: str = "/hook", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def got(self, path: str = "/hook") -> list[Post]:
        return [post for post in self.posts if post.path == path]

    def answer(self, post: Post) -> tuple[int, dict[str, str]]:
        with self._lock:
            self.posts.append(post)
            self._at_once[post.path] = self._at_once.get(post.path, 0) + 1
            self.most_at_once[post.path] = max(self.most_at_once.get(post.path, 0), self._at_once[post.path])
        try:
            return self.reactions.get(post.path, lambda _: (200, {}))(post)
        finally:
            with self._lock:
                self._at_once[post.path] -= 1


class _Server(ThreadingHTTPServer):
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A dispatcher that was killed leaves broken connections: not worth a word."""


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            receiver.connections += 1
            super().setup()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, headers = receiver.answer(Post(self.path, dict(self.headers.items()), body))
            self.send_response(status)
            for name, value in {"Content-Length": "0", **headers}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    return Handler
