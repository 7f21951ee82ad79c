"""Replies: a reply becomes one event, for any API, any charset and any order of its parts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote

import pytest
import redis
import redis.asyncio

from tests.integration.conftest import SECRET, Workers, threelane_child
from tests.integration.test_callbacks import Caller
from tests.servers import RedisServer, wait_until
from threelane import Producer, ProducerSettings, Status
from threelane.sandbox.running import Running
from threelane.store import keys, suppression
from threelane.store.events import Reply, decode
from threelane.store.status import MessageStatus
from threelane.worker.reply.reply import publish_halves
from threelane.worker.reply.words import build

OURS = "12025550100"
PERSON = "27831234567"
MINUTE = 60_000
Until = Callable[..., MessageStatus]

# fmt: off
WAYS = [
    ("http", "GET"), ("http", "POST"), ("http", "XML"), ("http", "JSON"),
    ("rest", "POST"), ("xml", "XML"), ("platform", "JSON"), ("platform", "GET"), ("one", "JSON"),
]
TEXTS = [
    (None, "Hello"), (None, "Ölé & 5% + 1 = <ü>?"), (None, "5 € [ok]"), (None, "Да, 👍🏽 𝒳"),
    ("ISO-8859-1", "Ölé & 100%41 + 1 = ü;"), ("UTF-8", "naïve 5 € 日本 👍"), ("UTF-16BE", "Olé 日本 👍 %41+&"),
    ("UTF-16BE", "STOPPER"), (None, "%41%42"), (None, "two\nlines "), (None, ""),
]
# fmt: on


def events(client: redis.Redis) -> list[Reply]:
    """Return all published replies, of producers and in the inbox."""
    listed: list[Any] = [*client.xrange(keys.EVENTS), *client.xrange(keys.INBOX)]
    found = [decode(one.decode(), raw) for one, raw in sorted(listed, key=lambda one: _place(one[0]))]
    return [one for one in found if isinstance(one, Reply)]


def _place(event_id: bytes) -> tuple[int, int]:
    at, _, number = event_id.decode().partition("-")
    return int(at), int(number)


def arrives(sandbox: Running, sender: str, text: str, *, seconds: float = 20, **fields: object) -> dict[str, Any]:
    """Let a person write, and return the sandbox's account of it when all its callbacks were acknowledged."""
    answer = sandbox.reply(sender, text, **{"opts_out": False, **fields})
    assert answer["callbacks"] > 0, answer

    def settled() -> dict[str, Any] | None:
        taken: dict[str, Any] = sandbox.control("GET", f"replies?from={quote(sender)}")["replies"][-1]
        return taken if sum(part["acknowledged"] for part in taken["parts"]) == answer["callbacks"] else None

    return wait_until(settled, seconds, "the callbacks to be acknowledged")


def mo(caller: Caller, reply_id: str, text: bytes, charset: str = "", udh: str = "", **more: str) -> int:
    """Send one Central reply to the endpoint, octet by octet; returns the HTTP status."""
    fields = {"api_id": "1", "moMsgId": reply_id, "from": PERSON, "to": OURS, "timestamp": "2026-01-01 12:00:00"}
    fields |= {"charset": charset, "udh": udh} | more
    query = "&".join(f"{name}={value.replace(' ', '+')}" for name, value in fields.items())
    octets = "".join(f"%{octet:02X}" for octet in text)
    return caller.request("GET", f"{query}&text={octets}", path=caller._url.path.replace("/status", "/mo"))


@pytest.fixture
def caller(endpoint: str, client: redis.Redis) -> Caller:
    """A gateway at the endpoint of an empty Redis."""
    return Caller(endpoint)


@pytest.fixture
def halves(redis_server: RedisServer) -> Callable[[float], int]:
    """Return a function that publishes halves as a worker does so many minutes from now."""

    def join_after(minutes: float) -> int:
        async def run() -> int:
            async with redis.asyncio.Redis.from_url(redis_server.url) as client:
                now = int((await client.time())[0]) * 1000 + int(minutes * MINUTE)
                return await publish_halves(client, build({}), now)

        return asyncio.run(run())

    return join_after


# One reply, in any form.


@pytest.mark.parametrize(("api", "form"), WAYS)
def test_a_reply_is_one_event_with_the_text_as_it_was_written(
    reporting: Running, client: redis.Redis, api: str, form: str
) -> None:
    """Every charset of every form; GMT+2 of the Central APIs is published as UTC."""
    for number, (charset, text) in enumerate(TEXTS):
        sender = f"2783123{number:04}"
        taken = arrives(reporting, sender, text, api=api, form=form, charset=charset, network="65501")
        at = int(taken["at"]) * 1000 if api not in ("platform", "one") else int(taken["at"] * 1000)
        (event,) = [one for one in events(client) if one.sender == sender]
        expected = Reply(
            id=event.id,
            reply_id=taken["parts"][0]["moMsgId"],
            sender=sender,
            to=OURS,
            text=text,
            received_at=at,
            network="65501",
            route="inbox",
        )
        assert expected == event
    assert len(TEXTS) == len(events(client))
    assert str(len(TEXTS)).encode() == client.hget(keys.TALLY, "replies:other")


@pytest.mark.parametrize(("api", "form"), WAYS)
def test_a_reply_of_a_name_or_a_short_code_is_taken(
    reporting: Running, client: redis.Redis, api: str, form: str
) -> None:
    """A network's or a bank's notice is a reply as well; its STOP is nobody's."""
    for sender in ("VODAFONE", "MyBank UK", "72975"):
        arrives(reporting, sender, "STOP", api=api, form=form)
    expected = [(sender, "STOP", "") for sender in ("VODAFONE", "MyBank UK", "72975")]
    assert expected == [(one.sender, one.text, one.word) for one in events(client)]
    assert 0 == client.hlen(keys.SUPPRESSED)


@pytest.mark.parametrize("api", ["http", "xml", "platform", "one"])
def test_a_repeated_reply_is_published_once(reporting: Running, client: redis.Redis, api: str) -> None:
    """The gateway repeats what it believes was not acknowledged."""
    taken = arrives(reporting, PERSON, "Olé 👍", api=api, repeat=8)
    reply_id = taken["parts"][0]["moMsgId"]
    assert [(reply_id, "Olé 👍")] == [(one.reply_id, one.text) for one in events(client)]
    assert client.pttl(keys.reply(reply_id)) > 7 * 24 * 60 * MINUTE  # the gateway repeats for less than an hour
    assert b"1" == client.hget(keys.TALLY, "replies:other")


# fmt: off
ODD = [
    ("UTF-16BE", b"Stop it", "Stop it"),                        # an odd number of octets is no UTF-16
    ("UTF-8", "Olé".encode("latin-1"), "Olé"),
    ("ISO-8859-1", b"5 \x80", "5 €"),
    ("klingon", "日本".encode(), "日本"),
    ("", b"\x81\xff", "\x81ÿ"),
    ("utf8", b"\xd8\x3d\xdc\x4d", "Ø=ÜM"),
    ("UTF-16BE", b"\xd8\x3d\x00a", "\ufffda"),                  # half a character is one that is not there
]
# fmt: on


@pytest.mark.parametrize(("charset", "octets", "text"), ODD, ids=[f"{one[0]}-{one[1]!r}" for one in ODD])
def test_a_wrong_charset_loses_no_reply(
    caller: Caller, client: redis.Redis, charset: str, octets: bytes, text: str
) -> None:
    """The text is published as well as it can be decoded, never refused forever."""
    assert 200 == mo(caller, "reply1", octets, charset)
    assert [text] == [one.text for one in events(client)]


def test_a_reply_belongs_to_the_producer_of_the_message_that_it_answers(
    reporting: Running, client: redis.Redis, redis_server: RedisServer, workers: Workers, until: Until
) -> None:
    """The One API names it; any other reply is for the producer that last texted this person."""
    workers.start()
    with Producer(ProducerSettings(redis_url=redis_server.url, producer="shop")) as producer:
        message = producer.send(PERSON, "Do you come?").id
    gateway_id = until(message, Status.SENT, Status.DELIVERED).gateway_id

    arrives(reporting, PERSON, "Yes", api="one", related=gateway_id)
    arrives(reporting, PERSON, "No", api="one", related="0" * 32)
    arrives(reporting, PERSON, "Perhaps", api="one")
    arrives(reporting, PERSON, "Who is this?", api="http")
    arrives(reporting, "27831234568", "I was never texted", api="http")
    published = [(one.text, one.producer, one.message_id, one.route) for one in events(client)]
    by_mark = [(text, "shop", "", "texted") for text in ("No", "Perhaps", "Who is this?")]
    assert [("Yes", "shop", message, "message"), *by_mark, ("I was never texted", "", "", "inbox")] == published


# Long replies.


@pytest.mark.parametrize("seed", range(6))
def test_the_parts_of_a_long_reply_are_one_text_in_any_order(
    reporting: Running, client: redis.Redis, halves: Callable[[float], int], seed: int
) -> None:
    """And each of them repeated: still one event, with the id of the first part, and nothing left behind."""
    api, form = [way for way in WAYS if way[0] != "one"][seed]
    text = "".join(Random(seed).choices("abc é€日👍 \n", k=500))
    taken = arrives(reporting, PERSON, text, api=api, form=form, shuffle=True, repeat=1 + seed % 3)
    assert len(taken["parts"]) > 2
    assert [(text, taken["parts"][0]["moMsgId"], False)] == [
        (one.text, one.reply_id, one.incomplete) for one in events(client)
    ]
    assert 0 == halves(61)
    assert [(text, False)] == [(one.text, one.incomplete) for one in events(client)]
    assert [] == client.keys("tl:reply-parts:*") + client.keys(keys.REPLY_HALVES)


def test_two_long_replies_at_once_are_two_texts(reporting: Running, client: redis.Redis) -> None:
    """By their reference; and the same reference of two people does not join their parts."""
    for sender, reference in ((PERSON, 1), (PERSON, 2), ("27831234568", 1)):
        text = f"{sender} {reference} " * 30
        arrives(reporting, sender, text, reference=reference, shuffle=True)
    expected = {f"{sender} {reference} " * 30 for sender, reference in ((PERSON, 1), (PERSON, 2), ("27831234568", 1))}
    assert (3, expected) == (len(events(client)), {one.text for one in events(client)})


def test_a_character_that_two_parts_share_is_whole_again(caller: Caller, client: redis.Redis) -> None:
    """A handset cuts after 67 units of UTF-16, be it in the middle of an emoji."""
    octets = "ab👍cd".encode("utf-16-be")
    assert 200 == mo(caller, "second", octets[6:], "UTF-16BE", "050003070202")
    assert 200 == mo(caller, "first", octets[:6], "UTF-16BE", "050003070201")
    assert [("ab👍cd", "first")] == [(one.text, one.reply_id) for one in events(client)]


def test_a_part_that_never_comes_is_waited_for_an_hour_and_then_marked(
    reporting: Running, client: redis.Redis, halves: Callable[[float], int]
) -> None:
    """The parts that came are published once, with a mark for the rest; a later repetition changes nothing."""
    taken = arrives(reporting, PERSON, "a" * 153 + "b" * 153 + "c" * 10, drop_part=2, shuffle=True, reference=9)
    assert 0 == halves(59)
    assert [] == events(client)
    assert (1, 0) == (halves(61), halves(61))
    assert [("a" * 153 + "…" + "c" * 10, True, taken["parts"][0]["moMsgId"])] == [
        (one.text, one.incomplete, one.reply_id) for one in events(client)
    ]

    caller = Caller(reporting.control("GET", "settings")["callback_url"])
    repeated = taken["parts"][2]
    assert 200 == mo(caller, repeated["moMsgId"], b"c" * 10, "ISO-8859-1", repeated["udh"])
    assert 0 == halves(150)
    assert 1 == len(events(client))


def test_a_part_that_comes_after_the_hour_is_not_lost(
    caller: Caller, client: redis.Redis, halves: Callable[[float], int]
) -> None:
    """It is published on its own: late is better than never."""
    assert 200 == mo(caller, "one", b"One ", "UTF-8", "050003070201")
    assert 1 == halves(61)
    assert 200 == mo(caller, "two", b"two", "UTF-8", "050003070202")
    assert 1 == halves(130)
    assert [("One …", True), ("…two", True)] == [(one.text, one.incomplete) for one in events(client)]


def test_two_workers_that_look_for_halves_publish_once(
    caller: Caller, client: redis.Redis, redis_server: RedisServer
) -> None:
    """Every worker looks."""
    for reference in range(50):
        assert 200 == mo(caller, f"half{reference}", b"half", "UTF-8", f"050003{reference:02x}0301")

    async def both() -> None:
        now = int(time.time() * 1000) + 61 * MINUTE
        async with redis.asyncio.Redis.from_url(redis_server.url) as one:
            for _ in range(4):
                await asyncio.gather(*(publish_halves(one, build({}), now) for _ in range(4)))

    asyncio.run(both())
    assert {f"half{reference}" for reference in range(50)} == {one.reply_id for one in events(client)}
    assert 50 == len(events(client))


def test_a_long_reply_with_missing_parts_is_neither_stop_nor_start(
    caller: Caller, client: redis.Redis, halves: Callable[[float], int]
) -> None:
    """A word is a whole message, and the rest is unknown."""
    suppression.add(client, [(PERSON, suppression.Entry(source=suppression.STOP))])
    assert 200 == mo(caller, "part", b"START", "UTF-8", "050003070201")
    assert 1 == halves(61)
    assert [("START…", "")] == [(one.text, one.word) for one in events(client)]
    assert 1 == len(suppression.why(client, PERSON))


# Bad moments.


@pytest.mark.parametrize("reference", [None, "050003070101"], ids=["whole", "in parts"])
def test_a_reply_that_cannot_be_published_is_refused_and_published_when_it_is_repeated(
    caller: Caller, client: redis.Redis, reference: str | None
) -> None:
    """Its mark is set with its publication: the gateway gets no 200 for what nobody can read."""
    client.set(keys.INBOX, "of another type")
    assert 5 == mo(caller, "once", b"Hello", udh=reference or "") // 100
    client.delete(keys.INBOX)
    assert (200, 200) == tuple(mo(caller, "once", b"Hello", udh=reference or "") for _ in range(2))
    assert ["Hello"] == [one.text for one in events(client)]


def test_while_redis_is_away_a_reply_is_to_be_repeated_and_then_taken(
    sandbox: Running, base_environment: dict[str, str], tmp_path: Path
) -> None:
    """503 and not 200; the gateway brings it again, and it is published once."""
    server = RedisServer(tmp_path).start()
    environment = base_environment | {"THREELANE_REDIS_URL": server.url, "THREELANE_REDIS_TIMEOUT_SECONDS": "0.5"}
    child = threelane_child("callbacks", tmp_path, environment)
    try:
        endpoint = child.event("callbacks")["url"].replace("<secret>", SECRET)
        sandbox.control("POST", "settings", {"callback_url": endpoint, "callback_retry_scale": 0.002})
        server.stop()
        assert 503 == mo(Caller(endpoint), "a", b"Hello")
        assert 1 == sandbox.reply(PERSON, "STOP", opts_out=False)["callbacks"]

        def part() -> dict[str, Any]:
            found: dict[str, Any] = sandbox.control("GET", f"replies?from={PERSON}")["replies"][-1]["parts"][0]
            return found

        wait_until(lambda: part()["refused"] > 0, what="the endpoint to refuse")
        server.start()
        wait_until(lambda: part()["acknowledged"] == 1, what="the endpoint to take it")
        with redis.Redis.from_url(server.url) as client:
            assert [("STOP", "stop", part()["moMsgId"])] == [
                (one.text, one.word, one.reply_id) for one in events(client)
            ]
            assert ["STOP"] == [one.source for one in suppression.why(client, PERSON)]
            assert 1 == suppression.why(client, PERSON)[0].times
    finally:
        child.stop()
        server.stop()
