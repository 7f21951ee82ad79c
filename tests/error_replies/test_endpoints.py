"""Every endpoint passes an error reply on: what it means, whose it is, when to repeat; and no process ends."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import pytest

from tests.error_replies.fleet import NUMBER
from tests.error_replies.states import NoFiles, State
from tests.integration.conftest import SECRET, log_of, threelane_child
from tests.servers import wait_until
from threelane import Producer, ProducerSettings, Unavailable
from threelane.contract.refusal import Owner
from threelane.runtime.exits import Exit
from threelane.store import access

CSRF = "a-token"
WITHOUT_FILES = """
import resource, sys
from threelane.interfaces.command.line import app
try:
    app()  # loads all modules
except SystemExit:
    pass
resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
app()
"""
NOT_STORED = "callbacks_not_stored"
FORM = {
    "Content-Type": "application/x-www-form-urlencoded",
    "Cookie": f"threelane-login={CSRF}",
    "Sec-Fetch-Site": "same-origin",
}
RECEIPT = {"apiMsgId": "1" * 32, "cliMsgId": "f" * 32, "status": "004", "charge": "1", "to": NUMBER}


class Answer(NamedTuple):
    """An answer."""

    status: int
    headers: Mapping[str, str]
    text: str


class Connection:
    """One connection, kept open: a process that may open no more files still serves it."""

    def __init__(self, url: str) -> None:
        self.path = urlsplit(url).path
        self.origin = f"http://127.0.0.1:{urlsplit(url).port}"
        self._connection = HTTPConnection("127.0.0.1", urlsplit(url).port or 0, timeout=30)

    def request(self, method: str, path: str, body: str = "", headers: Any = None) -> Answer:
        self._connection.request(method, path, body, headers or {})
        answer = self._connection.getresponse()
        return Answer(
            answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read().decode()
        )


class Endpoints:
    """The HTTP API with the console, the callback endpoint and the dispatcher of webhooks, on the Redis of one row."""

    def __init__(self, state: State, folder: Path, environment: dict[str, str]) -> None:
        self.environment = environment | {"THREELANE_REDIS_URL": state.url, "THREELANE_API_PORT": "0"}
        made = access.create(state.admin, "shop", 1, unlimited=True, operator=True)
        self._token = made.token
        self.children = {
            name: threelane_child(name, folder, self.environment) for name in ("api", "callbacks", "webhooks")
        }
        self.api = Connection(self.children["api"].event("api")["url"])
        self.callback = Connection(self.children["callbacks"].event("callbacks")["url"].replace("<secret>", SECRET))
        self.children["webhooks"].event("webhooks")

    @property
    def pids(self) -> list[int]:
        return [child.process.pid for child in self.children.values()]

    def send(self) -> Answer:
        """Send one message over the HTTP API."""
        body = json.dumps({"to": NUMBER, "text": "Hello"})
        return self.api.request("POST", "/v1/messages", body, {"Authorization": f"Bearer {self._token}"})

    def log_in(self) -> Answer:
        """Log in to the console."""
        form = urlencode({"csrf": CSRF, "key": self._token})
        return self.api.request("POST", "/console/login", form, FORM | {"Origin": self.api.origin})

    def report(self) -> Answer:
        """Report the delivery of a message, as the gateway does."""
        return self.callback.request("GET", f"{self.callback.path}?{urlencode(RECEIPT)}")

    def problems(self, name: str, event: str) -> list[str]:
        return [line["problem"] for line in log_of(self.children[name]) if line["event"] == event]

    def stop(self) -> dict[str, int | None]:
        """End all processes; returns their exit codes."""
        for child in self.children.values():
            assert child.process.poll() is None, child.log.read_text()[-2000:]
            child.stop()
        return {name: child.process.returncode for name, child in self.children.items()}


@pytest.fixture
def endpoints(state: State, tmp_path: Path, base_environment: dict[str, str]) -> Iterator[Endpoints]:
    made = Endpoints(state, tmp_path, base_environment)
    yield made
    for child in made.children.values():
        child.stop()


def test_endpoints_answer_503_with_the_cause_and_when_to_repeat(
    endpoints: Endpoints, state: State, happened: Callable[[str], None]
) -> None:
    """A caller knows whether to retry, and the gateway repeats its callbacks; afterwards the same processes serve."""
    reply = state.at_write
    assert (201, 303, 200) == (endpoints.send().status, endpoints.log_in().status, endpoints.report().status)
    state.begin(endpoints.pids)

    refused = endpoints.send()
    problem = json.loads(refused.text)
    assert (503, "application/problem+json") == (refused.status, refused.headers["content-type"])
    assert re.search(state.sentences, problem["detail"]), problem
    assert (Owner.OPERATOR, [], []) == (problem["owner"], problem.get("unsure", []), problem.get("accepted", []))
    assert refused.headers["retry-after"] in state.waits

    page = endpoints.log_in()
    assert 503 == page.status
    assert re.search(state.sentences, page.text)
    assert page.headers["retry-after"] in state.waits

    receipt = endpoints.report()
    if reply.stops_workers:
        assert 503 == receipt.status
        assert receipt.headers["retry-after"] in state.waits
        (logged,) = endpoints.problems("callbacks", NOT_STORED)
        assert re.search(state.sentences, logged)
        wait_until(lambda: endpoints.problems("webhooks", "waits_for_redis"), what="the dispatcher to wait")
    else:
        assert 200 == receipt.status, "a full Redis still takes receipts"

    state.end(endpoints.pids)
    wait_until(lambda: endpoints.send().status == 201, 30, "the API")
    wait_until(lambda: endpoints.log_in().status == 303, 30, "the console")
    wait_until(lambda: endpoints.report().status == 200, 30, "the callbacks")
    assert {"api": 0, "callbacks": 0, "webhooks": 0} == endpoints.stop()
    happened(
        f"API {refused.status}, Retry-After {refused.headers['retry-after']}; console {page.status}; "
        f"callbacks {receipt.status}; afterwards 201, 303, 200"
    )


def test_send_raises_unavailable_and_the_command_line_exits_with_3(
    state: State, base_environment: dict[str, str], happened: Callable[[str], None]
) -> None:
    """Never an exception of redis-py; the message was certainly not accepted, so that it may go another way at once."""
    with Producer(ProducerSettings(redis_url=state.url)) as producer:
        assert producer.send(NUMBER, "Hello").accepted
        state.begin([])
        if not isinstance(state, NoFiles):  # of this test's own process
            with pytest.raises(Unavailable, match=state.sentences) as raised:
                producer.send(NUMBER, "Hello")
            assert (Owner.OPERATOR, [], []) == (raised.value.owner, raised.value.answers, raised.value.unsure)
            assert str(raised.value.retry_after) in state.waits

        command = ["-c", WITHOUT_FILES] if isinstance(state, NoFiles) else ["-m", "threelane"]
        completed = subprocess.run(
            [sys.executable, *command, "send", NUMBER, "Hello"],
            env=base_environment | {"THREELANE_REDIS_URL": state.url, "PATH": "/usr/bin:/bin", "COLUMNS": "500"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert Exit.UNAVAILABLE == completed.returncode, completed.stderr
        assert re.search(state.sentences, completed.stderr), completed.stderr
        assert "Traceback" not in completed.stderr

        state.end([])
        wait_until(lambda: not isinstance(producer.try_send(NUMBER, "Hello"), Unavailable), 30, "intake")
        happened(f"Unavailable, nothing unsure; exit {completed.returncode}: {' '.join(completed.stderr.split())}")
