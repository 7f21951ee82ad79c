"""One request, once: against a server that counts what it reads and misbehaves as configured."""

from __future__ import annotations

import asyncio
import gzip
import socket
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar
from urllib.parse import parse_qs

import pytest

from tests.servers import free_port
from threelane.gateways.http.gateway import HttpGateway
from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind
from threelane.worker.gateway.wire import MAX_ANSWER, HttpReply, Wire, retry_after_seconds
from threelane.worker.process.settings import AccountSettings

ITS_ID = "7e1c40b2a9d84f3f8a5b6c7d8e9f0011"
YES = b"ID: " + ITS_ID.encode()
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
T = TypeVar("T")
Act = Callable[["Server", asyncio.StreamWriter], Awaitable[None]]


class Server:
    """Reads whole requests, keeps them, and lets an act do the rest; the last act is played again and again."""

    def __init__(self, *acts: Act) -> None:
        self.acts = list(acts)
        self.requests: list[bytes] = []
        self.connections = 0
        self.over = asyncio.Event()

    async def __aenter__(self) -> Server:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.over.set()
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-le"))
                self.requests.append(head + await reader.readexactly(length))
                act = self.acts.pop(0) if len(self.acts) > 1 else self.acts[0]
                await act(self, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def responds(body: bytes, status: str = "200 OK", *headers: str, close: bool = False, pieces: int = 1) -> Act:
    """Return an act that answers, in some pieces that arrive one by one, and may close after it."""

    async def act(_: Server, writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Content-Type: text/html", *headers]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        size = -(-len(body) // pieces) or 1
        for start in range(0, len(body), size):
            await turn()
            writer.write(body[start : start + size])
            await writer.drain()
        if close:
            writer.close()

    return act


def writes(raw: bytes) -> Act:
    """Return an act that writes these octets and closes."""

    async def act(_: Server, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await writer.drain()
        await turn()
        writer.close()

    return act


async def cuts(_: Server, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def closes(_: Server, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def is_silent(server: Server, _: asyncio.StreamWriter) -> None:
    await server.over.wait()


async def turn() -> None:
    """Let the other side read what was written: client and server share one loop."""
    for _ in range(20):
        await asyncio.sleep(0)


def run(test: Callable[[Wire], Awaitable[T]], timeout_seconds: float = 5.0) -> T:
    async def main() -> T:
        wire = Wire(timeout_seconds)
        try:
            return await test(wire)
        finally:
            await wire.close()

    return asyncio.run(main())


def posted(*acts: Act, times: int = 1, timeout_seconds: float = 5.0) -> tuple[list[HttpReply | AttemptOutcome], Server]:
    """Post so many requests, one after the other; returns the answers and the server."""

    async def test(wire: Wire) -> tuple[list[HttpReply | AttemptOutcome], Server]:
        async with Server(*acts) as server:
            answers = []
            for number in range(times):
                answers.append(await wire.post(server.url + "/http/sendmsg", f"climsgid={number}".encode(), FORM))
                await turn()
            return answers, server

    return run(test, timeout_seconds)


def kinds(answers: list[HttpReply | AttemptOutcome]) -> list[OutcomeKind]:
    assert all(isinstance(answer, AttemptOutcome) for answer in answers), answers
    return [answer.kind for answer in answers if isinstance(answer, AttemptOutcome)]


def test_an_answer_comes_whole_and_the_request_goes_out_once() -> None:
    """The body is ours, by POST, with the type without which the gateway sees no parameters."""
    (answer,), server = posted(responds(YES))
    assert HttpReply(200, YES) == answer
    (request,) = server.requests
    assert request.startswith(b"POST /http/sendmsg HTTP/1.1\r\n")
    assert request.endswith(b"\r\n\r\nclimsgid=0")
    assert b"content-type: application/x-www-form-urlencoded\r\n" in request.lower()


@pytest.mark.parametrize("pieces", [2, 5, 36])
def test_an_answer_that_comes_in_pieces_is_read_to_its_end(pieces: int) -> None:
    """Half an id would be kept as the gateway's, and half a code would be another code."""
    (answer,), _ = posted(responds(YES, pieces=pieces))
    assert HttpReply(200, YES) == answer


def test_an_answer_in_chunks_and_compressed_is_one_answer() -> None:
    """What a proxy may do to it."""
    packed = gzip.compress(YES)
    chunks = b"".join(f"{len(part):x}\r\n".encode() + part + b"\r\n" for part in (packed[:9], packed[9:]))
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n"
    (answer,), _ = posted(writes(head + chunks + b"0\r\n\r\n"))
    assert HttpReply(200, YES) == answer


def test_connections_are_kept_for_the_next_request() -> None:
    """A connection for each message would cost a handshake each."""
    answers, server = posted(responds(YES), times=5)
    assert ([HttpReply(200, YES)] * 5, 5, 1) == (answers, len(server.requests), server.connections)


# Surely not sent.


def test_a_refused_connection_is_a_gateway_not_reached() -> None:
    """Nothing was sent, so it can be tried again without a look-up."""
    answer = run(lambda wire: wire.post(f"http://127.0.0.1:{free_port()}/", b"x", FORM))
    assert AttemptOutcome(OutcomeKind.NOT_REACHED, text="ClientConnectorError") == answer


# fmt: off
NOWHERE = [
    "http://gateway.invalid/",                # a name that never resolves
    "http://" + "a" * 64 + ".invalid/",       # a label longer than a name may have
    "http://127.0.0.1:0/", "http://:80/", "nonsense", "",
]
# fmt: on


@pytest.mark.parametrize("url", NOWHERE)
def test_an_address_that_leads_nowhere_is_a_gateway_not_reached(url: str) -> None:
    """A value and not an exception, also for an invalid address."""
    answer = run(lambda wire: wire.post(url, b"x", FORM))
    assert isinstance(answer, AttemptOutcome)
    assert OutcomeKind.NOT_REACHED == answer.kind


def test_a_server_that_does_not_speak_tls_is_not_reached() -> None:
    """The handshake comes before the request, so the request was not written."""

    async def test(wire: Wire) -> tuple[HttpReply | AttemptOutcome, int]:
        async with Server(responds(YES)) as server:
            answer = await wire.post(server.url.replace("http://", "https://"), b"x", FORM)
            return answer, len(server.requests)

    answer, requests = run(test, 0.3)
    assert isinstance(answer, AttemptOutcome)
    assert (OutcomeKind.NOT_REACHED, 0) == (answer.kind, requests)


# Perhaps sent: the request was had, and its end is not known.

# fmt: off
OK = b"HTTP/1.1 200 OK\r\n"
LENGTH, CHUNKED, PACKED = b"Content-Length: 36\r\n", b"Transfer-Encoding: chunked\r\n", b"Content-Encoding: gzip\r\n"
LOSSES: dict[str, Act] = {
    "closed without an answer":   closes,
    "reset without an answer":    cuts,
    "half a head":                writes(b"HTTP/1.1 200 O"),
    "a head and no body":         writes(OK + LENGTH + b"\r\n"),
    "half a body":                writes(OK + LENGTH + b"\r\n" + YES[:20]),
    "half a chunk":               writes(OK + CHUNKED + b"\r\n24\r\n" + YES[:20]),
    "no last chunk":              writes(OK + CHUNKED + b"\r\n24\r\n" + YES + b"\r\n"),
    "chunks that are none":       writes(OK + CHUNKED + b"\r\nzz\r\n" + YES),
    "no HTTP at all":             writes(b"\x16\x03\x01 not a web server\r\n\r\n"),
}
# fmt: on


@pytest.mark.parametrize("act", LOSSES.values(), ids=LOSSES)
def test_an_answer_that_breaks_off_is_lost_and_its_request_is_not_repeated(act: Act) -> None:
    """The gateway may have taken it: one request was read, and no second one follows."""
    answers, server = posted(act)
    assert ([OutcomeKind.LOST], 1, 1) == (kinds(answers), len(server.requests), server.connections)


def test_silence_after_the_request_is_a_lost_answer() -> None:
    """The time is up, and the gateway has the request."""
    answers, server = posted(is_silent, timeout_seconds=2)
    assert ([AttemptOutcome(OutcomeKind.LOST, text="TimeoutError")], 1) == (answers, len(server.requests))


def test_silence_in_the_middle_of_an_answer_is_a_lost_answer() -> None:
    """Half an answer is none, however it ends."""

    async def begins(server: Server, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 36\r\n\r\n" + YES[:30])
        await server.over.wait()

    answers, server = posted(begins, timeout_seconds=2)
    assert ([OutcomeKind.LOST], 1) == (kinds(answers), len(server.requests))


def test_a_kept_connection_that_the_server_closed_is_not_used_again() -> None:
    """Its end is seen between two requests: the second goes out on a new one, once."""
    answers, server = posted(responds(YES, close=True), times=3)
    assert [HttpReply(200, YES)] * 3 == answers
    assert [b"climsgid=0", b"climsgid=1", b"climsgid=2"] == [one.split(b"\r\n\r\n")[1] for one in server.requests]


@pytest.mark.parametrize("act", [closes, cuts], ids=["closed", "reset"])
def test_a_kept_connection_that_ends_under_the_second_request_is_not_followed_by_a_third(act: Act) -> None:
    """The server read the request before it went away: to send it again automatically would be a second SMS."""
    answers, server = posted(responds(YES), act, responds(YES), times=2)
    assert HttpReply(200, YES) == answers[0]
    assert [OutcomeKind.LOST] == kinds(answers[1:])
    assert [b"climsgid=0", b"climsgid=1"] == [one.split(b"\r\n\r\n")[1] for one in server.requests]


def test_a_kept_connection_that_ends_just_as_the_second_request_leaves_is_used_at_most_once() -> None:
    """The race that cannot be detected: in no outcome is a request read twice."""

    async def test(wire: Wire) -> list[bytes]:
        async with Server(responds(YES, close=True)) as server:
            for number in range(50):  # without a turn of the loop between the answer and the next request
                await wire.post(server.url, f"climsgid={number}".encode(), FORM)
            return [one.split(b"\r\n\r\n")[1] for one in server.requests]

    requests = run(test)
    assert len(requests) == len(set(requests))


# What the answer must not make of us.


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_a_redirect_is_an_answer_and_is_not_followed(status: str) -> None:
    """It would be a second request, with our credentials, to any address in the answer."""

    async def test(wire: Wire) -> tuple[HttpReply | AttemptOutcome, int, int]:
        elsewhere = Server(responds(YES))
        async with elsewhere, Server(responds(b"moved", status, f"Location: {elsewhere.url}/http/sendmsg")) as server:
            answer = await wire.post(server.url, b"climsgid=0", FORM)
            return answer, len(server.requests), len(elsewhere.requests)

    assert (HttpReply(int(status[:3]), b"moved"), 1, 0) == run(test)


def test_an_answer_of_50_megabytes_is_unreadable() -> None:
    """No answer of the gateway is longer than a line; more than a megabyte is not even read."""
    flood = responds(b"x" * 50_000_000, pieces=800)
    answers, server = posted(flood)
    assert ([OutcomeKind.UNREADABLE], 1) == (kinds(answers), len(server.requests))


def test_a_small_answer_that_unpacks_to_50_megabytes_is_unreadable() -> None:
    """The same by compression."""
    packed = gzip.compress(b"x" * 50_000_000, compresslevel=1)
    answers, _ = posted(responds(packed, "200 OK", "Content-Encoding: gzip"))
    assert [OutcomeKind.UNREADABLE] == kinds(answers)


def test_an_answer_of_exactly_a_megabyte_is_read() -> None:
    """The limit itself."""
    for size, expected in ((MAX_ANSWER, HttpReply), (MAX_ANSWER + 1, AttemptOutcome)):
        (answer,), _ = posted(responds(b"x" * size, pieces=4))
        assert isinstance(answer, expected)


# fmt: off
UNCERTAIN: dict[str, bytes] = {
    "packed, and it is not":        OK + PACKED + LENGTH + b"\r\n" + YES,
    "packed, and cut":              OK + PACKED + b"Content-Length: 40\r\n\r\n" + gzip.compress(YES)[:40],
    "packed, and something more":   OK + PACKED + b"Content-Length: %d\r\n\r\n" % (len(gzip.compress(YES)) + 1)
                                    + gzip.compress(YES) + b"x",
    "packed in another way":        OK + b"Content-Encoding: br\r\n" + LENGTH + b"\r\n" + YES,
    "two responses at once":        (OK + LENGTH + b"\r\n" + YES) * 2,
    "a second response of another kind": OK + LENGTH + b"\r\n" + YES + b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n",
}
# fmt: on


@pytest.mark.parametrize("raw", UNCERTAIN.values(), ids=UNCERTAIN)
def test_an_answer_without_a_certain_end_is_unreadable(raw: bytes) -> None:
    """It may have been cut where it still reads as a valid one, or belong to another request."""
    answers, server = posted(writes(raw))
    assert ([OutcomeKind.UNREADABLE], 1) == (kinds(answers), len(server.requests))


@pytest.mark.parametrize("head", [OK, b"HTTP/1.0 200 OK\r\n"])
def test_an_answer_that_only_its_connection_ends_may_be_cut(head: bytes) -> None:
    """An old server writes no length: whoever reads the body must know that it may lack its end."""
    answers, _ = posted(writes(head + b"\r\n" + YES))
    assert [HttpReply(200, YES, has_end=False)] == answers


# What a kept connection must not bring.


def follows(extra: bytes, turns: int) -> Act:
    """Return an act that answers, and after some turns of the loop writes more octets that nobody requested."""

    async def act(_: Server, writer: asyncio.StreamWriter) -> None:
        writer.write(OK + LENGTH + b"\r\n" + YES)
        await writer.drain()
        for _turn in range(turns):
            await asyncio.sleep(0)
        writer.write(extra)

    return act


OTHER = OK + LENGTH + b"\r\nID: " + b"f" * 32


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 10, 30])
@pytest.mark.parametrize("extra", [OTHER, OTHER[:10], b"x", b"\x00", OK + b"Content-Length: 0\r\n\r\n"])
def test_octets_that_nobody_requested_are_never_the_next_answer(extra: bytes, turns: int) -> None:
    """The connection is closed; what arrived before its response was read makes that response uncertain."""
    answers, server = posted(follows(extra, turns), responds(YES), times=2)
    doubts = [one.kind for one in answers if isinstance(one, AttemptOutcome)]
    assert not set(doubts) - {OutcomeKind.UNREADABLE, OutcomeKind.LOST}
    assert all(one == HttpReply(200, YES) for one in answers if isinstance(one, HttpReply))
    assert 2 == len(server.requests)
    assert server.connections == 2 or doubts  # they arrived when the second request was already on its way


@pytest.mark.parametrize("turns", [0, 30])
def test_a_blank_line_after_an_answer_is_harmless(turns: int) -> None:
    """An old server's habit: the response counts."""
    answers, _ = posted(follows(b"\r\n", turns), responds(YES), times=2)
    assert [HttpReply(200, YES)] * 2 == answers


def test_octets_that_are_still_in_the_kernel_close_a_kept_connection() -> None:
    """Nothing but the next request looks at them: the loop did not run in between."""

    async def test(wire: Wire) -> list[HttpReply | AttemptOutcome]:
        may_write, has_written = threading.Event(), threading.Event()

        def serve() -> None:
            kept, _ = listener.accept()
            kept.recv(65536)
            kept.sendall(OK + LENGTH + b"\r\n" + YES)
            may_write.wait(5)
            kept.sendall(OTHER)
            has_written.set()
            with kept, listener.accept()[0] as another:
                another.recv(65536)
                another.sendall(OK + LENGTH + b"\r\n" + YES)

        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(5)
            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
            first = await wire.post(url, b"a", FORM)
            may_write.set()
            assert has_written.wait(5)  # this blocks the loop, on purpose
            second = await wire.post(url, b"b", FORM)
            thread.join(5)
            return [first, second]

    assert [HttpReply(200, YES)] * 2 == run(test)


def test_an_answer_that_arrives_before_its_request_has_left_is_unreadable() -> None:
    """It cannot be the response to a request that the server does not have."""

    async def hurry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK + LENGTH + b"\r\n" + YES)
        await writer.drain()
        await reader.read()  # the rest of the request only leaves now

    async def test(wire: Wire) -> HttpReply | AttemptOutcome:
        server = await asyncio.start_server(hurry, "127.0.0.1", 0, limit=1024)
        async with server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
            return await wire.post(url, b"x" * 20_000_000, FORM)

    assert [OutcomeKind.UNREADABLE] == kinds([run(test)])


def test_a_server_that_speaks_first_is_not_reached() -> None:
    """A response that came before its request is none."""

    async def test(wire: Wire) -> HttpReply | AttemptOutcome:
        async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(OTHER)
            await reader.read()
            writer.close()

        greeter = await asyncio.start_server(greet, "127.0.0.1", 0)
        async with greeter:
            return await wire.post(f"http://127.0.0.1:{greeter.sockets[0].getsockname()[1]}/", b"a", FORM)

    answers = [run(test) for _ in range(20)]
    assert {OutcomeKind.NOT_REACHED} == set(kinds(answers))


# The wait that the gateway requests.

NOW = 1_800_000_000.0  # Fri, 15 Jan 2027 08:00:00 GMT
# fmt: off
WAITS: list[tuple[str, str, float]] = [  # Retry-After, Date -> seconds
    ("5", "", 5.0), (" 120 ", "", 120.0), ("0", "", 0.0), ("3600", "", 3600.0), ("3601", "", 3600.0),
    ("86400", "", 3600.0), ("99999999999", "", 0.0), ("9" * 5000, "", 0.0), ("-5", "", 0.0), ("1.5", "", 0.0),
    ("", "", 0.0), ("soon", "", 0.0), ("\u0665", "", 0.0), ("1e3", "", 0.0), ("inf", "", 0.0), ("nan", "", 0.0),
    ("Fri, 15 Jan 2027 08:00:07 GMT", "", 7.0), ("Fri, 15 Jan 2027 07:59:00 GMT", "", 0.0),
    ("Fri, 15 Jan 2027 09:30:00 GMT", "", 3600.0), ("Fri, 15 Jan 2137 08:00:00 GMT", "", 0.0),
    ("Friday, 15-Jan-27 08:00:07 GMT", "", 7.0), ("Fri, 99 Jan 2027 08:00:07 GMT", "", 0.0),
    ("Fri, 15 Jan 2027 12:00:30 GMT", "Fri, 15 Jan 2027 12:00:00 GMT", 30.0),  # their clock differs from ours
    ("Fri, 15 Jan 2027 08:00:07 GMT", "nonsense", 7.0),
]
# fmt: on


@pytest.mark.parametrize(("value", "date", "seconds"), WAITS, ids=lambda one: str(one)[:32])
def test_the_wait_is_a_number_of_seconds_or_a_date_and_at_most_an_hour(value: str, date: str, seconds: float) -> None:
    """A negative or absurd one is no wait."""
    assert seconds == retry_after_seconds(value, date, NOW)


@pytest.mark.parametrize(
    ("status", "seconds"), [("429 Too Many", 7.0), ("503 Unavailable", 7.0), ("500 Error", 7.0), ("200 OK", 0.0)]
)
def test_the_wait_of_a_rate_limit_or_a_server_error_is_kept(status: str, seconds: float) -> None:
    """In other responses it means nothing."""
    (answer,), _ = posted(responds(b"", status, "Retry-After: 7"))
    assert HttpReply(int(status[:3]), b"", seconds) == answer


def test_no_cookie_is_kept() -> None:
    """Requests have nothing to do with each other."""
    _, server = posted(responds(YES, "200 OK", "Set-Cookie: session=1"), times=2)
    assert [False, False] == [b"cookie" in one.lower() for one in server.requests]


# The HTTP API over this wire.


async def _balance(url: str) -> float | str:
    gateway = HttpGateway(AccountSettings(gateway_url=url, gateway_timeout_seconds=1, clickatell_password="hush"))
    try:
        return await gateway.balance()
    finally:
        await gateway.close()


# fmt: off
BALANCES: list[tuple[bytes, float | str]] = [
    (b"Credit: 250.40", 250.4), (b"credit: 3\n", 3.0), (b"Credit: -1.5", -1.5),
    (b"ERR: 001, Authentication failed", "ERR: 001, Authentication failed"),
    (b"bananas", "bananas"), (b"", "an empty answer"), (b"x" * 300, "x" * 100),
]
# fmt: on


@pytest.mark.parametrize(("body", "expected"), BALANCES)
def test_the_balance_is_returned_or_the_reason_it_cannot_be(body: bytes, expected: float | str) -> None:
    """A worker starts all the same; its first log line has the gateway's answer."""

    async def main() -> float | str:
        async with Server(responds(body)) as server:
            return await _balance(server.url)

    assert expected == asyncio.run(main())


def test_the_balance_of_an_unreachable_gateway_is_reported_as_not_reached() -> None:
    """Not an exception: the worker starts and tries."""
    balance = asyncio.run(_balance(f"http://127.0.0.1:{free_port()}"))
    assert "not_reached (ClientConnectorError)" == balance


def test_credentials_travel_in_the_body_and_never_in_the_address() -> None:
    """Access logs contain addresses."""

    async def main() -> bytes:
        async with Server(responds(b"Credit: 1")) as server:
            await _balance(server.url)
            return server.requests[0]

    head, body = asyncio.run(main()).split(b"\r\n\r\n")
    assert (False, True) == (b"hush" in head, b"password=hush" in body)


@pytest.mark.parametrize("api_id", ["9001", "09001", "kP3xVh9QTk2mZyW1aB4cDw=="])
def test_the_credentials_of_an_account_travel_as_they_are_set(api_id: str) -> None:
    """Of an older account, or of a Portal account with its API key as the id; no id is read as a number."""
    account = {"clickatell_api_id": api_id, "clickatell_user": "ops@shop.example", "clickatell_password": "h&sh+1"}

    async def main() -> bytes:
        async with Server(responds(b"Credit: 1")) as server:
            gateway = HttpGateway(AccountSettings(gateway_url=server.url, gateway_timeout_seconds=1, **account))
            await gateway.balance()
            await gateway.close()
            return server.requests[0]

    body = parse_qs(asyncio.run(main()).partition(b"\r\n\r\n")[2].decode())
    expected = {"api_id": [api_id], "user": ["ops@shop.example"], "password": ["h&sh+1"]}
    assert expected == {name: body[name] for name in expected}
