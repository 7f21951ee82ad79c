"""One sandbox process for each test worker, fresh for each test, and a receiver for its callbacks."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes, urlsplit

import pytest

from threelane.sandbox.running import Running


@pytest.fixture(scope="session")
def _process() -> Iterator[Running]:
    with Running.start("--seed", "7", "--price", "1=1.2", "--price", "4477=2") as running:
        yield running


@pytest.fixture
def sandbox(_process: Running) -> Iterator[Running]:
    """A sandbox without messages, faults or barred numbers, with 100000 credits; 4477 costs 2."""
    before = _process.control("GET", "settings")
    _process.control("POST", "reset")
    yield _process
    _process.control("POST", "settings", before)
    _process.control("POST", "reset")


@pytest.fixture
def wait_until() -> Callable[[Callable[[], Any]], Any]:
    """Returns a function that calls a predicate until it holds, and returns what it gave."""

    def wait(predicate: Callable[[], Any], seconds: float = 8.0) -> Any:
        deadline = time.monotonic() + seconds
        while not (found := predicate()):
            assert time.monotonic() < deadline, "it never came true"
            time.sleep(0.005)
        return found

    return wait


class Receiver:
    """Where callbacks arrive; answers with the given HTTP statuses first, then 200."""

    def __init__(self) -> None:
        self.received: list[dict[str, str]] = []
        self.bodies: list[str] = []
        self.paths: list[str] = []
        self.methods: list[str] = []
        self.content_types: list[str | None] = []
        self.authorizations: list[str | None] = []
        self.answers: list[int] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver._take(self, self.rfile.read(int(self.headers["Content-Length"])).decode("utf-8"))

            def do_GET(self) -> None:
                receiver._take(self, urlsplit(self.path).query)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}/receipts"
        self._lock = threading.Lock()
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def statuses(self, client_id: str) -> list[str]:
        """Returns the statuses that arrived for a client id, in order."""
        return [each["status"] for each in self.received if each["cliMsgId"] == client_id]

    def octets(self) -> list[dict[str, bytes]]:
        """Returns the fields of the forms that arrived, percent-decoded and no further."""
        pairs = [[pair.partition("=") for pair in body.split("&")] for body in self.bodies]
        return [{name: unquote_to_bytes(text.replace("+", " ")) for name, _, text in each} for each in pairs]

    def updates(self) -> list[dict[str, Any]]:
        """Returns the status updates that arrived as JSON, in order."""
        events = [json.loads(body)["event"] for body in self.bodies if body.startswith("{")]
        return [update for event in events for update in event["messageStatusUpdate"]]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _take(self, handler: BaseHTTPRequestHandler, query: str) -> None:
        with self._lock:
            self.received.append(dict(parse_qsl(query, keep_blank_values=True)))
            self.bodies.append(query)
            self.paths.append(urlsplit(handler.path).path)
            self.methods.append(handler.command)
            self.content_types.append(handler.headers["Content-Type"])
            self.authorizations.append(handler.headers["Authorization"])
            answer = self.answers.pop(0) if self.answers else 200
        handler.send_response(answer)
        handler.send_header("Content-Length", "0")
        handler.end_headers()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A callback receiver."""
    receiver = Receiver()
    yield receiver
    receiver.close()
