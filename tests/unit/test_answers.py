"""Responses that are damaged, doubled or another request's, generated for all four APIs, over real connections.

A message is reported as sent only if the server received it, and no damaged answer holds the account.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from tests.unit.test_vectors_wire import ITS_ID, NOW, OUR_ID, TO, account, judged, sms
from threelane.contract.message import Message
from threelane.gateways.http import gateway as http
from threelane.gateways.one import gateway as one
from threelane.gateways.platform import gateway as platform
from threelane.gateways.rest import gateway as rest
from threelane.gateways.xml import gateway as xml
from threelane.worker.gateway.breaker import FAILURES
from threelane.worker.gateway.choose import gateway
from threelane.worker.gateway.outcome import AttemptOutcome, Known, OutcomeKind
from threelane.worker.gateway.protocol import Gateway
from threelane.worker.gateway.reach import reach
from threelane.worker.gateway.wire import HttpReply

T = TypeVar("T")
DOUBT = (OutcomeKind.LOST, OutcomeKind.UNREADABLE)
SUCCESS = {"http": 200, "xml": 200, "rest": 202, "one": 202, "platform": 202}


def accepts(api: str, gateway_id: str, to: str = TO, message_id: str = "", number: str = "1") -> bytes:
    """Return an acceptance as an API documents it; with our id where it may repeat that."""
    match api:
        case "http":
            return f"ID: {gateway_id}".encode()
        case "xml":
            ours = f"<cliMsgId>{message_id}</cliMsgId>" if message_id else ""
            row = f"<apiMsgId>{gateway_id}</apiMsgId>{ours}<sequence_no>{number}</sequence_no>"
            return f"<clickAPI><sendMsgResp>{row}</sendMsgResp></clickAPI>".encode()
    entry = {"accepted": True, "to": to, "apiMessageId": gateway_id}
    entry |= {"clientMessageId": message_id} if message_id else {}
    return msgspec.json.encode({"data": {"message": [entry]}} if api == "rest" else {"messages": [entry]})


class Documented(NamedTuple):
    """One documented answer to a send, and its meaning: an id or a code."""

    api: str
    body: bytes
    means: str
    status: int = 200


def refuses(code: str) -> dict[str, Any]:
    return {"error": {"code": code, "description": "No, and why: because"}}


# fmt: off
ANSWERS: list[Documented] = [
    *(Documented(api, accepts(api, ITS_ID), ITS_ID, SUCCESS[api]) for api in SUCCESS),
    Documented("http", f"ID: {ITS_ID} To: {TO}\n".encode(), ITS_ID),
    Documented("http", f"apiMsgId: {ITS_ID}\r\n".encode(), ITS_ID),
    *(Documented("http", text.encode(), text[5:8]) for text in (
        "ERR: 001, Authentication failed", "ERR: 012, Unlisted", "ERR: 105, Invalid destination address",
        f"ERR: 122, Number opted out To: {TO}", "ERR: 130, Maximum MT limit exceeded until 1767225600",
        "ERR: 301, No Credit Left", "ERR: 901, Internal error")),
    *(Documented("xml", f"<clickAPI><sendMsgResp><fault>{code}, No, and why</fault><sequence_no>1</sequence_no>"
                        "</sendMsgResp></clickAPI>".encode(), code) for code in ("001", "105", "301")),
    Documented("xml", b"<clickAPI><xmlErrorResp><fault>100, Data malformed</fault></xmlErrorResp></clickAPI>", "100"),
    Documented("rest", msgspec.json.encode(refuses("001")), "001", 401),
    Documented("rest", msgspec.json.encode(refuses("301")), "301", 402),
    Documented("rest", msgspec.json.encode({"data": {"message": [{"accepted": False, "to": TO, **refuses("105")}]}}),
               "105", 202),
    Documented("one", msgspec.json.encode(refuses("1")), "1", 401),
    Documented("one", msgspec.json.encode({"messages": [{"accepted": False, "to": TO, **refuses("20")}]}), "20", 402),
    Documented("one", msgspec.json.encode({"messages": [{"accepted": False, "to": TO, **refuses("25")}]}), "25", 400),
    Documented("platform", msgspec.json.encode({"messages": [], "errorCode": 108, "error": "No"}), "108", 401),
    Documented("platform", msgspec.json.encode(
        {"messages": [{"accepted": False, "to": TO, "errorCode": 105, "error": "No"}], "error": None}), "105", 202),
]
# fmt: on
FRAMES: dict[str, Callable[[bytes], bytes]] = {
    "a length": lambda body: b"Content-Length: %d\r\n\r\n%b" % (len(body), body),
    "one chunk": lambda body: b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body),
    "two chunks": lambda body: (
        b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n"
        % (len(body) // 2, body[: len(body) // 2], len(body) - len(body) // 2, body[len(body) // 2 :])
    ),
}


def stream(answer: Documented, frame: str) -> bytes:
    return b"HTTP/1.1 %d x\r\nContent-Type: text/plain\r\n" % answer.status + FRAMES[frame](answer.body)


def calls(api: str, streams: Sequence[bytes | Sequence[bytes]], call: Callable[[Gateway], Awaitable[T]]) -> list[T]:
    """Return what a gateway makes of each of these streams, each the whole life of a connection.

    Of several for one call, each connection gets the next, and then the last again.
    """
    waiting: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(waiting.pop(0) if len(waiting) > 1 else waiting[0])
        await writer.drain()
        writer.close()

    async def main() -> list[T]:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        found = []
        async with server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            for each in streams:
                waiting[:] = [each] if isinstance(each, bytes) else each
                made = gateway(account(api, url))
                found.append(await call(made))
                await made.close()
        return found

    return asyncio.run(main())


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """Return the body of the next request; raises IncompleteReadError at the end of the connection."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return head + await reader.readexactly(int(length[1]) if length else 0)


async def sent(made: Gateway) -> AttemptOutcome:
    (outcome,) = await made.send([sms()], NOW)
    return outcome


def meaning(outcome: AttemptOutcome) -> str:
    return outcome.gateway_id or outcome.code


def named(answer: Documented) -> str:
    return f"{answer.api} {answer.means[:4]} {answer.body[:12].decode()!r}"


@pytest.mark.slow
@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("answer", ANSWERS, ids=named)
def test_an_answer_cut_at_any_octet_leaves_the_message_in_doubt(answer: Documented, frame: str) -> None:
    """Neither sent, nor refused, nor a reason to hold the account; the whole answer means what it says."""
    whole = stream(answer, frame)
    *cut, last = calls(answer.api, [whole[:end] for end in range(len(whole) + 1)], sent)
    assert answer.means == meaning(last)
    assert [] == [one for one in cut if one.kind not in DOUBT]
    assert all(judged(answer.api, AttemptOutcome(kind)).hold is None for kind in {one.kind for one in cut})


@pytest.mark.parametrize("answer", ANSWERS, ids=named)
def test_an_answer_that_only_its_connection_ends_means_no_other_and_holds_no_account_when_it_is_cut(
    answer: Documented,
) -> None:
    """An old server writes no length: what is complete in itself counts, and no beginning of it stops the account."""
    head = b"HTTP/1.1 %d x\r\n\r\n" % answer.status
    *cut, whole = calls(answer.api, [head + answer.body[:end] for end in range(len(answer.body) + 1)], sent)
    assert {answer.means} >= {meaning(one) for one in [*cut, whole]} - {""}
    assert [] == [one for one in cut if judged(answer.api, one).hold]
    assert (OutcomeKind.ACCEPTED == whole.kind) == (not answer.means.isdigit())


@pytest.mark.parametrize("answer", ANSWERS, ids=named)
def test_an_answer_that_was_cut_before_its_length_was_counted_never_means_another_id_or_code(
    answer: Documented,
) -> None:
    """No length shows it: so each form is only complete with its last digit."""
    found = calls(
        answer.api,
        [stream(answer._replace(body=answer.body[:end]), "a length") for end in range(len(answer.body) + 1)],
        sent,
    )
    assert {answer.means} >= {meaning(one) for one in found} - {""}
    in_doubt = [one for one in found if not meaning(one)]
    assert {*DOUBT, OutcomeKind.WRONG_ADDRESS} >= {one.kind for one in in_doubt}
    assert (answer.status == 401) or all(one.kind in DOUBT for one in in_doubt)


# fmt: off
LOOK_UPS: list[tuple[str, bytes, Known]] = [
    ("http", f"ID: {ITS_ID} Status: 004".encode(), Known.FOUND),
    ("http", b"ERR: 104, Unknown client message ID", Known.NOT_FOUND),
    ("xml", f"<clickAPI><queryMsgResp><apiMsgId>{ITS_ID}</apiMsgId><status>004</status></queryMsgResp></clickAPI>"
            .encode(), Known.FOUND),
    ("xml", b"<clickAPI><queryMsgResp><fault>104, Unknown</fault></queryMsgResp></clickAPI>", Known.NOT_FOUND),
    ("rest", msgspec.json.encode({"data": {"apiMessageId": ITS_ID, "messageStatus": "004"}}), Known.FOUND),
]
# fmt: on


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize(("api", "body", "known"), LOOK_UPS)
def test_a_look_up_whose_answer_is_cut_proves_nothing(api: str, body: bytes, known: Known, frame: str) -> None:
    """Not found is what a second SMS is sent for; and a status is not half a status."""
    whole = stream(Documented(api, body, ""), frame)
    again = stream(Documented(api, b"", ""), "a length")  # to the query of the charge, if there is one

    async def looked_up(made: Gateway) -> tuple[Known, str]:
        found = await made.look_up(OUR_ID)
        return found.known, found.status

    *cut, last = calls(api, [*(whole[:end] for end in range(len(whole))), [whole, again]], looked_up)
    assert {(Known.FAILED, "")} == set(cut)
    assert (known, "004" if known is Known.FOUND else "") == last


SESSIONS = [
    ("http", f"OK: {ITS_ID}"),
    ("xml", f"<clickAPI><authResp><session_id>{ITS_ID}</session_id></authResp></clickAPI>"),
]


@pytest.mark.parametrize(("api", "body"), SESSIONS)
def test_a_login_whose_answer_is_cut_has_no_session(api: str, body: str) -> None:
    """Half a session id would be shared by all workers."""
    read = http.read_auth if api == "http" else xml.read_auth
    assert ITS_ID == read(HttpReply(200, body.encode()))
    assert not any(isinstance(read(HttpReply(200, body[:end].encode())), str) for end in range(len(body)))
    assert not isinstance(read(HttpReply(500, body.encode())), str)


# Ids, numbers and names.


def read(api: str, body: bytes, status: int = 0) -> AttemptOutcome:
    """Return what a response to one message means."""
    reply, message = HttpReply(status or SUCCESS[api], body), sms()
    match api:
        case "http":
            return http.read_send(reply, TO)
        case "xml":
            return xml.read_send(reply, [(TO, OUR_ID)])[0]
        case "rest":
            return rest.read_send(reply, TO, OUR_ID)
        case "platform":
            return platform.read_send(reply, TO, OUR_ID)
    return one.read_send(reply, [message])[0]


@pytest.mark.parametrize("api", SUCCESS)
def test_an_id_has_32_hexadecimal_digits(api: str) -> None:
    """Of every length from 0 to 80: a shorter one is cut, and a longer one is two."""
    digits = (ITS_ID * 3)[:80]
    kinds = [read(api, accepts(api, digits[:length])).kind for length in range(81)]
    assert [OutcomeKind.UNREADABLE] * 32 + [OutcomeKind.ACCEPTED] + [OutcomeKind.UNREADABLE] * 48 == kinds
    for at in range(32):
        for odd in "gG-_ \u0661\u212a":
            assert OutcomeKind.UNREADABLE is read(api, accepts(api, f"{ITS_ID[:at]}{odd}{ITS_ID[at + 1 :]}")).kind


@pytest.mark.parametrize("api", SUCCESS)
@given(status=some.integers(100, 599), code=some.sampled_from(["", "105"]))
@settings(deadline=None)
def test_an_acceptance_needs_a_success(api: str, status: int, code: str) -> None:
    """In any other status the message stays in doubt."""
    outcome = read(api, accepts(api, ITS_ID), status)
    is_success = status == 200 if api in ("http", "xml") else 200 <= status < 300
    assert (OutcomeKind.ACCEPTED if is_success else OutcomeKind.UNREADABLE) == outcome.kind


NAMES: dict[str, Callable[[str, str], bytes]] = {
    "http": lambda to, _: f"ID: {ITS_ID} To: {to}".encode(),
    "xml": lambda to, ours: accepts("xml", f"{ITS_ID} To:{to}", message_id=ours),
    "rest": lambda to, ours: accepts("rest", ITS_ID, to, ours),
    "one": lambda to, ours: accepts("one", ITS_ID, to, ours),
    "platform": lambda to, ours: accepts("platform", ITS_ID, to, ours),
}


@pytest.mark.parametrize("api", NAMES)
@given(
    to=some.from_regex(r"[1-9][0-9]{6,14}", fullmatch=True, alphabet="0123456789") | some.just(TO),
    ours=some.from_regex(r"[0-9a-f]{32}", fullmatch=True, alphabet="0123456789abcdef") | some.just(OUR_ID),
)
def test_a_recipient_or_a_client_id_of_another_message_is_not_accepted(api: str, to: str, ours: str) -> None:
    """A response that repeats them has to repeat those of its request."""
    is_ours = to == TO and (api == "http" or ours == OUR_ID)
    outcome = read(api, NAMES[api](to, ours))
    assert (OutcomeKind.ACCEPTED if is_ours else OutcomeKind.UNREADABLE) == outcome.kind


@given(some.text(max_size=20) | some.from_regex(r"[0-9]{0,5},? ?[a-z]{0,4}", fullmatch=True))
def test_only_three_digits_and_a_comma_are_a_code(after: str) -> None:
    """Half a code would be another one: 122 is an opt-out, and 12 would be the account's."""
    found = http.read_send(HttpReply(200, f"ERR: {after}".encode("utf-8", "replace")), TO)
    is_code = re.match(r"[0-9]{3},", after, re.ASCII) and len(f"x{after}".strip(" \t\r\n").splitlines()) == 1
    expected = after[:3] if is_code and not re.search(r"(?i)[ \t]to:", after) else ""
    assert expected == found.code or (is_code and found.kind is OutcomeKind.UNREADABLE)


# Answers that nobody requested.


class Stray(NamedTuple):
    """Octets that a server writes after an answer: after so many turns of the loop, in so many pieces."""

    gateway_id: str
    turns: int
    pieces: int
    copies: int


STRAYS = some.builds(
    Stray,
    gateway_id=some.integers(1 << 64, (1 << 128) - 1).map(lambda number: f"{number:032x}"),
    turns=some.sampled_from([0, 0, 1, 2, 3, 5, 8, 13, 21, 34, 55]),
    pieces=some.integers(1, 3),
    copies=some.integers(1, 12),
)


class Doubling:
    """A server that answers each message, and then once more though nobody requested it; it knows what it received."""

    def __init__(self, api: str, strays: Sequence[Stray], *, deaf: bool) -> None:
        self.api = api
        self.strays = list(strays)
        self.is_deaf = deaf  # after its first answer on a connection it reads nothing more there
        self.received: dict[str, str] = {}
        self.writers: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.add(writer)
        try:
            while True:
                request = await read_request(reader)
                gateway_id = f"{len(self.received) + 1:032x}"
                ours, to, number = (
                    _found(request, name) for name in ("(?:cli|client)(?:msg|Msg|Message)[Ii]d", "to", "sequence_no")
                )
                self.received[ours] = gateway_id
                writer.write(self._framed(accepts(self.api, gateway_id, to, number=number)))
                if self.strays:
                    await self._stray(self.strays.pop(0), writer, to)
                if self.is_deaf:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def _stray(self, stray: Stray, writer: asyncio.StreamWriter, to: str) -> None:
        octets = self._framed(accepts(self.api, stray.gateway_id, to)) * stray.copies
        if stray.turns:
            await writer.drain()
        for _ in range(stray.turns):
            await asyncio.sleep(0)
        size = -(-len(octets) // stray.pieces)
        for start in range(0, len(octets), size):
            writer.write(octets[start : start + size])
            if stray.pieces > 1:
                await asyncio.sleep(0)

    def _framed(self, body: bytes) -> bytes:
        return b"HTTP/1.1 %d x\r\nContent-Length: %d\r\n\r\n%b" % (SUCCESS[self.api], len(body), body)


def _found(request: bytes, name: str) -> str:
    """Return a field of a request of any of the four APIs, however it is written there."""
    found = re.search(rb"(?:\b|%%3C)%b(?:=|%%3E|\":\[?\")(\w+)" % name.encode(), request)
    return found[1].decode() if found else ""


def sent_past(
    api: str, strays: Sequence[Stray], messages: Sequence[Message], *, deaf: bool, server: Doubling | None = None
) -> tuple[Doubling, list[AttemptOutcome]]:
    """Send messages one by one to a server with stray answers."""

    async def main() -> tuple[Doubling, list[AttemptOutcome]]:
        doubling = server or Doubling(api, strays, deaf=deaf)
        listening = await asyncio.start_server(doubling.serve, "127.0.0.1", 0)
        outcomes: list[AttemptOutcome] = []
        async with listening:
            settings = account(api, f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
            made = gateway(settings.model_copy(update={"gateway_timeout_seconds": 0.05 if deaf else 2.0}))
            for message in messages:
                outcomes += await made.send([message], NOW)
            await made.close()
            for writer in doubling.writers:
                writer.close()
        return doubling, outcomes

    return asyncio.run(main())


TEN = [sms(id=f"{number:032x}", to=f"27999000{number:02}") for number in range(10)]


@pytest.mark.parametrize("api", SUCCESS)
@settings(max_examples=40, deadline=None)
@given(strays=some.lists(STRAYS, min_size=1, max_size=10))
def test_no_message_behind_an_unrequested_answer_is_reported_as_sent_that_was_not_received(
    api: str, strays: list[Stray]
) -> None:
    """Each of ten was received by the server, or is not reported as sent; it is in doubt, or surely not sent."""
    assert_received(api, strays, deaf=False)


@pytest.mark.parametrize("api", SUCCESS)
@settings(max_examples=8, deadline=None)
@given(strays=some.lists(STRAYS, min_size=10, max_size=10))
def test_a_server_that_reads_nothing_more_after_its_answers_sends_nothing(api: str, strays: list[Stray]) -> None:
    """It has answers for all ten on one connection, and received one.

    The HTTP API's answers name nothing of their request: one that is written only after the next request has arrived
    cannot be distinguished.
    """
    if api == "http":
        strays = [one._replace(turns=0, pieces=1) for one in strays]
    assert_received(api, strays, deaf=True)


def assert_received(api: str, strays: Sequence[Stray], *, deaf: bool) -> None:
    doubling, outcomes = sent_past(api, strays, TEN, deaf=deaf)
    reported = [one.id for one, outcome in zip(TEN, outcomes, strict=True) if outcome.kind is OutcomeKind.ACCEPTED]
    assert set() == set(reported) - set(doubling.received)
    assert {OutcomeKind.ACCEPTED, OutcomeKind.NOT_REACHED, *DOUBT} >= {outcome.kind for outcome in outcomes}


@pytest.mark.parametrize("api", SUCCESS)
def test_of_ten_messages_behind_ten_answers_at_once_none_takes_an_answer_of_another(api: str) -> None:
    """The first answer comes with ten that nobody requested; all ids that are kept are the server's own."""
    doubling, outcomes = sent_past(api, [Stray("f" * 32, 0, 1, 10)], TEN, deaf=False)
    expected = [doubling.received[one.id] for one in TEN[1:]]
    assert OutcomeKind.UNREADABLE is outcomes[0].kind
    assert expected == [outcome.gateway_id for outcome in outcomes[1:]]
    assert 10 == len(doubling.received)


@pytest.mark.parametrize("api", ["http", "xml"])
def test_a_copy_of_an_answer_is_not_the_answer_to_the_next_message(api: str) -> None:
    """It comes on its own connection, whole: only the id, or the number of the element, shows it."""

    async def two(made: Gateway) -> list[OutcomeKind]:
        return [(await made.send([message], NOW))[0].kind for message in TEN[:2]]

    copy = stream(Documented(api, accepts(api, ITS_ID), ITS_ID), "a length")
    assert [[OutcomeKind.ACCEPTED, OutcomeKind.UNREADABLE]] == calls(api, [copy], two)


class Counting(Doubling):
    """A server whose first answer on a connection is unreadable; it counts connections."""

    def _framed(self, body: bytes) -> bytes:
        return super()._framed(body if len(self.writers) > 1 else b"neither yes nor no")


@pytest.mark.parametrize("api", SUCCESS)
def test_a_connection_with_an_unreadable_answer_carries_no_other_message(api: str) -> None:
    """The answer may be an earlier request's, and the next message would get the one that belongs to this."""
    counting = Counting(api, [], deaf=False)
    _, outcomes = sent_past(api, [], TEN[:2], deaf=False, server=counting)
    assert [OutcomeKind.UNREADABLE, OutcomeKind.ACCEPTED] == [one.kind for one in outcomes]
    assert 2 == len(counting.writers)


@pytest.mark.parametrize("api", list(SUCCESS))
def test_a_probe_that_is_refused_for_some_time_reports_the_wait(api: str) -> None:
    """The next probe of a gateway that does not answer comes when the gateway asks for it."""
    busy = b"HTTP/1.1 503 x\r\nRetry-After: 8\r\nContent-Length: 0\r\n\r\n"
    found = calls(api, [busy, busy.replace(b"Retry-After: 8", b"X: 8"), b"no response"], reach)
    assert [8.0, 0.0, 0.0] == [one.retry_after_seconds for one in found]
    assert all(one.kind in FAILURES for one in found)
