"""The summary of a failed call: a sentence in place of a traceback, without what a page may echo."""

from __future__ import annotations

import asyncio
import socket
import threading

import aiohttp
import pytest

from tests.servers import free_port
from threelane.worker.gateway import summary as summaries
from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind
from threelane.worker.gateway.reach import why_unknown
from threelane.worker.gateway.summary import short, summary
from threelane.worker.gateway.wire import HttpReply, Wire


def _called(address: str, seconds: float = 5) -> AttemptOutcome:
    """Return the outcome of a real request that gets no answer."""

    async def call() -> AttemptOutcome | HttpReply:
        wire = Wire(seconds)
        try:
            return await wire.post(address, b"", {})
        finally:
            await wire.close()

    found = asyncio.run(call())
    assert isinstance(found, AttemptOutcome)
    return found


@pytest.fixture
def closing() -> str:
    """The address of a server that closes each connection after the first octets of a request."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener:
            taken, _ = listener.accept()
            with taken:
                taken.recv(10_000)

    threading.Thread(target=serve, daemon=True).start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}/"


def test_a_refused_connection_is_named_as_the_cause() -> None:
    """The operator looks at address, network and firewall first."""
    found = summary(_called(f"http://127.0.0.1:{free_port()}/"))
    assert (
        "not reached: the connection is refused, or no route leads there; check address, network and firewall ("
        in found
    )


def test_a_name_that_does_not_exist_is_named_as_the_cause() -> None:
    """An address with a misspelt host."""
    found = summary(_called("http://gateway.invalid/"))
    assert "not reached: the name of its host cannot be resolved (ClientConnectorDNSError)" == found


def test_a_connection_that_closes_without_an_answer_is_a_lost_answer(closing: str) -> None:
    """The request left, so it is not called unreached."""
    assert "no answer: the connection was closed before an answer came (ServerDisconnectedError)" == summary(
        _called(closing)
    )


def test_a_server_that_is_silent_is_named_as_the_cause() -> None:
    """It took the connection, and nothing came within the time."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        found = summary(_called(f"http://127.0.0.1:{listener.getsockname()[1]}/", 0.2))
    assert found.startswith("no answer: there was no answer in time (")


def test_each_listed_error_is_one_that_the_client_raises() -> None:
    """A name that aiohttp does not have would explain nothing."""
    known = {*vars(aiohttp), "ConnectionResetError", "TimeoutError"}
    assert set() == set(summaries._CAUSES) - known


@pytest.mark.parametrize(("balance", "expected"), [
    ("not_reached (ClientConnectorDNSError)", "not reached: the name of its host cannot be resolved "
                                              "(ClientConnectorDNSError)"),
    ("001 Authentication failed",             "001 Authentication failed"),
    ("lost (SomethingNew)",                   "no answer: SomethingNew"),
    ("HTTP 404 Not found",                    "another server answered: HTTP 404 Not found"),
    ("HTTP 502 Bad gateway",                  "the answer is unreadable: HTTP 502 Bad gateway"),
])  # fmt: skip
def test_why_a_balance_is_unknown_is_one_sentence(balance: str, expected: str) -> None:
    """For `check --live`, the log and `account balance`."""
    assert expected == why_unknown(balance)


@pytest.mark.parametrize(("kind", "text", "expected"), [
    (OutcomeKind.NOT_REACHED, "ClientConnectorError", "ClientConnectorError"),
    (OutcomeKind.UNREADABLE, "HTTP 502 <p>dear 27831234567", "HTTP 502"),
    (OutcomeKind.REFUSED, "Invalid Destination", ""),
    (OutcomeKind.ACCEPTED, "", ""),
])  # fmt: skip
def test_the_log_of_an_attempt_has_the_error_and_no_page(kind: OutcomeKind, text: str, expected: str) -> None:
    """A page may echo the number and the text of the request."""
    assert expected == short(AttemptOutcome(kind, text=text))
