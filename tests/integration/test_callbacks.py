"""The endpoint for status callbacks, as the gateway uses it: over HTTP, with all that it may send."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Sequence
from http.client import HTTPConnection
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlencode, urlsplit
from urllib.request import urlopen

import pytest
import redis
import redis.asyncio

from tests.integration.conftest import SECRET, threelane_child
from tests.servers import RedisServer, stored
from threelane import Producer, ProducerSettings, Status
from threelane.store import keys
from threelane.store.status import MessageStatus
from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind
from threelane.worker.policy.legacy import LEGACY
from threelane.worker.process.settings import WorkerSettings
from threelane.worker.send.claim import claim
from threelane.worker.send.judge import Patience, Tried, judge
from threelane.worker.send.settle import Settlement, settle

ITS_ID = "7e1c40b2a9d84f3f8a5b6c7d8e9f0011"
DATA = Path(__file__).parents[1] / "unit" / "data" / "status_callbacks.json"
CALLBACKS = json.loads(DATA.read_text(encoding="utf-8"))
TAKEN = AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id=ITS_ID)


def attempted(url: str, ids: Sequence[str], outcome: AttemptOutcome | None = None) -> list[Settlement]:
    """Claim messages of lane 3 as a worker does, and settle them by what came of it; None: the call goes on."""

    async def attempt() -> list[Settlement]:
        settings = WorkerSettings(redis_url=url, parts_per_second=100_000)
        async with redis.asyncio.Redis.from_url(url) as client:
            now = int((await client.time())[0]) * 1000 + 999
            made = []
            for start in range(0, len(ids), 100):
                for one in (await claim(client, 3, ids[start : start + 100], settings, now)).claimed:
                    tried = Tried(one.message, one.attempt, one.first_tried_at, one.queued_at)
                    decision = judge(tried, outcome or TAKEN, LEGACY, Patience(), now, Random(1))
                    made.append(Settlement(one, outcome or TAKEN, decision))
            for start in range(0, len(made) if outcome else 0, 100):
                await settle(client, made[start : start + 100], settings.keeping, now)
            return made

    return asyncio.run(attempt())


def settled_now(url: str, settlements: Sequence[Settlement]) -> list[bool]:
    """Settle attempts whose calls went on until now."""

    async def end() -> list[bool]:
        async with redis.asyncio.Redis.from_url(url) as client:
            now = int((await client.time())[0]) * 1000 + 999
            return (await settle(client, settlements, WorkerSettings().keeping, now)).each

    return asyncio.run(end())


class Caller:
    """The gateway's client, on a kept connection."""

    def __init__(self, endpoint: str) -> None:
        self._url = urlsplit(endpoint)
        self._connection = HTTPConnection(self._url.hostname or "", self._url.port, timeout=10)

    def request(
        self,
        method: str,
        query: str = "",
        body: bytes | None = None,
        path: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> int:
        """Return the HTTP status of the answer."""
        address = (path or self._url.path) + (f"?{query}" if query else "")
        form = {"Content-Type": "application/x-www-form-urlencoded"} if body is not None else {}
        self._connection.request(method, address, body, form | (headers or {}))
        answer = self._connection.getresponse()
        answer.read()
        return answer.status

    def report(self, message_id: str, status: str, charge: str | None = "0.800000", method: str = "POST") -> int:
        """Report a status as the gateway does."""
        fields = {"api_id": "9001", "apiMsgId": ITS_ID, "cliMsgId": message_id, "to": "27999500001", "from": ""}
        fields |= {"timestamp": "1767225600", "status": status} | ({"charge": charge} if charge is not None else {})
        return self.send(fields, method)

    def send(self, fields: dict[str, str], method: str = "POST") -> int:
        form = urlencode(fields)
        return self.request("GET", form) if method == "GET" else self.request("POST", body=form.encode())


@pytest.fixture
def caller(endpoint: str, client: redis.Redis) -> Caller:
    """A gateway at the endpoint of an empty Redis."""
    return Caller(endpoint)


@pytest.fixture
def sent(producer: Producer, redis_server: RedisServer) -> str:
    """The id of a message that the gateway has taken."""
    return taken_by_the_gateway(producer, redis_server, 1)[0]


def taken_by_the_gateway(producer: Producer, redis_server: RedisServer, number: int) -> list[str]:
    answers = producer.send_many({"to": f"27999{500000 + n}", "text": "Hello"} for n in range(number))
    ids = [answer.id for answer in answers]
    assert number == len(attempted(redis_server.url, ids, TAKEN))
    return ids


def status_of(producer: Producer, message_id: str) -> MessageStatus:
    found = producer.status(message_id)
    assert found
    return found


def charged(client: redis.Redis, lane: int = 3, centre: str = "") -> int:
    return int(client.hget(keys.TALLY, f"charged:{lane}:{centre}") or 0)


# Who is let in.


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_probe_without_parameters_is_answered_200(caller: Caller, client: redis.Redis, method: str) -> None:
    """The gateway tries the address before it registers it."""
    assert (200, 0) == (caller.request(method), stored(client))


# fmt: off
WRONG_ADDRESSES = [
    "/x/status", f"/{SECRET[:-1]}/status", f"/{SECRET}0/status", f"/{SECRET.upper()}/status", f"/{SECRET}", "/",
    f"/{SECRET}/", f"/{SECRET}/status/", f"/{SECRET}/status/x", "/status", "//status", "/%ff/status", "/%00/status",
    "/%C3%A9/status", "/" + "a" * 5000 + "/status",
]
# fmt: on


@pytest.mark.parametrize("path", WRONG_ADDRESSES)
def test_without_the_secret_there_is_nothing_here(caller: Caller, producer: Producer, sent: str, path: str) -> None:
    """404, as for any address, and the message is unchanged."""
    assert 404 == caller.request("GET", f"cliMsgId={sent}&status=004", path=path)
    assert Status.SENT == status_of(producer, sent).status


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_find_nothing(caller: Caller, producer: Producer, sent: str, method: str) -> None:
    """Callbacks come by GET or POST."""
    assert 404 == caller.request(method, f"cliMsgId={sent}&status=004")
    assert Status.SENT == status_of(producer, sent).status


# What is reported.


@pytest.mark.parametrize("callback", CALLBACKS, ids=lambda one: f"{one['method']}-{one['fields']['status']}")
def test_a_callback_moves_its_message(
    caller: Caller, producer: Producer, sent: str, client: redis.Redis, callback: dict[str, Any]
) -> None:
    """By GET and as a form, as others have seen them arrive."""
    assert 200 == caller.send(callback["fields"] | {"cliMsgId": sent}, callback["method"])
    found = status_of(producer, sent)
    expected = (callback["becomes"]["status"], callback["becomes"]["network"], ITS_ID, 300_000)
    assert expected == (found.status, found.network_status, found.gateway_id, found.charge_millionths)
    assert 300_000 == charged(client)
    assert client.pttl(keys.record(sent)) > 0


# fmt: off
SPELLINGS = [
    {"cliMsgId": "", "apiMsgId": ITS_ID, "status": "004", "charge": "0.8"},
    {"climsgid": "", "apimsgid": ITS_ID, "status": "004", "charge": "0.8"},
    {"CLIMSGID": "", "APIMSGID": ITS_ID, "STATUS": "004", "CHARGE": "0.8"},
    {"CliMsgID": "", "ApiMsgID": ITS_ID, "Status": "4", "Charge": "0.800000"},
]
# fmt: on


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("spelling", SPELLINGS, ids=lambda one: next(iter(one)))
def test_fields_are_known_in_any_case(
    caller: Caller, producer: Producer, sent: str, spelling: dict[str, str], method: str
) -> None:
    """Editions of the interface differ in it."""
    assert 200 == caller.send({name: value or sent for name, value in spelling.items()}, method)
    found = status_of(producer, sent)
    assert (Status.DELIVERED, 800_000, ITS_ID) == (found.status, found.charge_millionths, found.gateway_id)


def test_a_callback_with_fewer_fields_takes_nothing_away(caller: Caller, producer: Producer, sent: str) -> None:
    """Without the gateway's id and a charge, the known ones stay."""
    assert 200 == caller.send({"cliMsgId": sent, "status": "003", "charge": "0.8"})
    assert 200 == caller.send({"cliMsgId": sent, "status": "004"})
    found = status_of(producer, sent)
    assert (Status.DELIVERED, 800_000, ITS_ID) == (found.status, found.charge_millionths, found.gateway_id)


def test_an_unknown_id_is_acknowledged_and_leaves_nothing_behind(caller: Caller, client: redis.Redis) -> None:
    """Another system's message on the same account, or a forgotten one: no key comes of it."""
    answers = [caller.report("0" * 32, status) for status in ("003", "004", "003")]
    assert ([200] * 3, 0) == (answers, stored(client))


def test_a_message_that_was_never_tried_is_not_moved(caller: Caller, producer: Producer, client: redis.Redis) -> None:
    """Nobody can report on what never left; the message is still to be sent."""
    waiting = producer.send("27999500001", "Hello").id
    assert 200 == caller.report(waiting, "004")
    found = status_of(producer, waiting)
    assert (Status.QUEUED, "", 0, 0) == (
        found.status,
        found.network_status,
        found.charge_millionths,
        charged(client),
    )
    assert [waiting.encode()] == client.zrange(keys.QUEUED[3], 0, -1)


# fmt: off
BAD = [
    {"cliMsgId": "", "status": "004"},                {"status": "004"},
    {"cliMsgId": "ours"},                             {"cliMsgId": "ours", "status": ""},
    {"cliMsgId": "ours", "status": "delivered"},      {"cliMsgId": "ours", "status": "0004"},
    {"cliMsgId": "ours", "status": "-4"},             {"cliMsgId": "ours", "status": "\u0664"},
    {"cliMsgId": "ours", "status": "004\n"},          {"cliMsgId": "ours", "status": "004", "charge": "free"},
    {"cliMsgId": "ours", "status": "004", "charge": "-0.8"}, {"cliMsgId": "ours", "status": "004", "charge": "nan"},
    {"cliMsgId": "ours", "status": "004", "charge": "1e999999999"},
    {"cliMsgId": "ours", "status": "004", "charge": "99999999999"},
]
# fmt: on


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("fields", BAD, ids=lambda one: ascii(list(one.values())[-1]))
def test_an_invalid_callback_is_answered_400_and_changes_nothing(
    caller: Caller, producer: Producer, sent: str, client: redis.Redis, fields: dict[str, str], method: str
) -> None:
    """The gateway repeats it, so it is seen in both logs; the message stands as it was."""
    before = client.hgetall(keys.record(sent))
    assert 400 == caller.send({name: sent if value == "ours" else value for name, value in fields.items()}, method)
    assert (before, 0) == (client.hgetall(keys.record(sent)), charged(client))


# fmt: off
BODIES = {
    "too many fields": b"&".join(b"f%d=1" % n for n in range(60)),
    "JSON": b'{"messageStatus": "delivered"}',
    "XML in a field": b"data=%3Cclickmo%3E%3C%2Fclickmo%3E",
    "octets": bytes(range(256)),
}
# fmt: on


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_body_that_is_not_a_callback_is_answered_400(caller: Caller, body: bytes) -> None:
    """Not 200: an unreadable callback must not count as delivered to us."""
    assert 400 == caller.request("POST", body=body)


def test_a_body_of_10_megabytes_is_answered_413(caller: Caller, endpoint: str) -> None:
    """It is not read into memory, and the endpoint keeps working."""
    assert 413 == caller.request("POST", body=b"cliMsgId=" + b"0" * 10_000_000)
    assert 200 == Caller(endpoint).request("GET")


def test_a_charge_is_counted_once_however_often_it_is_reported(
    caller: Caller, producer: Producer, sent: str, client: redis.Redis
) -> None:
    """The gateway repeats an unacknowledged callback up to eight times."""
    assert [200] * 8 == [caller.report(sent, "004", "0.300000") for _ in range(8)]
    assert (300_000, 300_000) == (status_of(producer, sent).charge_millionths, charged(client))
    assert b"1" == client.hget(keys.TALLY, "to:3:delivered")


def test_a_charge_that_is_corrected_counts_as_the_last_one(
    caller: Caller, producer: Producer, sent: str, client: redis.Redis
) -> None:
    """The sum of all charges is what the account paid."""
    for status, charge in (("003", "0.8"), ("003", "1.6"), ("004", "1.2"), ("004", "1.2")):
        assert 200 == caller.report(sent, status, charge)
    assert (1_200_000, 1_200_000) == (status_of(producer, sent).charge_millionths, charged(client))


def test_nothing_of_the_secret_or_the_number_stands_in_the_log(
    client: redis.Redis, base_environment: dict[str, str], tmp_path: Path
) -> None:
    """Who reads the log could report what he likes."""
    child = threelane_child("callbacks", tmp_path, base_environment | {"THREELANE_LOG_LEVEL": "DEBUG"})
    try:
        address = child.event("callbacks")["url"]
        gateway = Caller(address.replace("<secret>", SECRET))
        assert [200, 400] == [gateway.report("0" * 32, status) for status in ("004", "nonsense")]
        log = child.log.read_text()
    finally:
        child.stop()
    assert [False] * 3 == [hidden in log for hidden in (SECRET, "27999500001", "nonsense")]


# Separate endpoints.


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def test_an_endpoint_with_basic_authentication_requires_it(
    client: redis.Redis, base_environment: dict[str, str], tmp_path: Path
) -> None:
    """Beside the secret, not in its place; without it, a challenge.  A previous value of each is accepted."""
    guarded = {"THREELANE_CALLBACK_USER": "opé", "THREELANE_CALLBACK_PASSWORD": "pä:ss"}
    guarded |= {"THREELANE_CALLBACK_PASSWORD_PREVIOUS": "old", "THREELANE_CALLBACK_SECRET_PREVIOUS": "0ld" * 6}
    child = threelane_child("callbacks", tmp_path, base_environment | guarded)
    try:
        endpoint = child.event("callbacks")["url"].replace("<secret>", SECRET)
        right = basic("opé", "pä:ss")
        # fmt: off
        wrong: list[dict[str, str]] = [
            {}, basic("opé", "x"), basic("x", "pä:ss"), basic("", ""), basic("opé", ""),
            {"Authorization": "Basic"}, {"Authorization": "Basic !!"}, {"Authorization": "Bearer " + "a" * 20},
            {"Authorization": "Basic " + base64.b64encode(b"\xff:\xff").decode()},
            {"Authorization": "Basic " + base64.b64encode(b"no colon").decode()},
        ]
        # fmt: on
        assert 200 == Caller(endpoint).request("GET", headers=right)
        assert [401] * len(wrong) == [Caller(endpoint).request("GET", headers=headers) for headers in wrong]
        assert 404 == Caller(endpoint).request("GET", path="/x/status", headers=right)
        previous = Caller(endpoint.replace(SECRET, "0ld" * 6))
        assert [200, 200] == [previous.request("GET", headers=one) for one in (right, basic("opé", "old"))]
        assert 401 == previous.request("GET", headers=basic("x", "old"))
        with urlopen(child.event("metrics")["url"]) as exposed:
            lines = exposed.read().decode().splitlines()
        counted = {line for line in lines if line.startswith("threelane_callback_credentials_total")}
        assert {
            f'threelane_callback_credentials_total{{account="default",credential="{kind}",used="{used}"}} {times}.0'
            for kind, used, times in (
                ("secret", "current", 1), ("secret", "previous", 2),
                ("password", "current", 2), ("password", "previous", 1),
            )
        } == counted  # fmt: skip
    finally:
        child.stop()


def test_while_redis_is_away_callbacks_are_to_be_repeated_and_then_count(
    base_environment: dict[str, str], tmp_path: Path
) -> None:
    """503 and not 200: a callback that is not stored is not acknowledged; the gateway brings it again."""
    server = RedisServer(tmp_path).start()
    environment = base_environment | {"THREELANE_REDIS_URL": server.url, "THREELANE_REDIS_TIMEOUT_SECONDS": "0.5"}
    child = threelane_child("callbacks", tmp_path, environment)
    try:
        gateway = Caller(child.event("callbacks")["url"].replace("<secret>", SECRET))
        with Producer(ProducerSettings(redis_url=server.url)) as producer:
            (message,) = taken_by_the_gateway(producer, server, 1)
            assert 200 == gateway.report(message, "003")
            server.stop()  # and not a power cut, which may forget the last second
            assert [503, 503] == [gateway.report(message, "004"), gateway.report("0" * 32, "004")]
            assert 200 == gateway.request("GET")
            server.start()
            assert 200 == gateway.report(message, "004")
            found = status_of(producer, message)
            assert (Status.DELIVERED, 800_000) == (found.status, found.charge_millionths)
    finally:
        child.stop()
        server.stop()
