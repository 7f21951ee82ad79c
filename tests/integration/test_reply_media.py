"""Replies with media: a picture of any size is a reply with its caption; the picture itself is not kept."""

from __future__ import annotations

import base64
import gzip
import json
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
import redis

from tests.integration.conftest import threelane_child
from tests.integration.test_callback_forms import url_of
from tests.integration.test_replies import events
from tests.servers import stored
from threelane.store import keys
from threelane.store.events import Reply
from threelane.worker.inbound.sieve import MOST

PERSON, OURS = "27831234567", "12025550100"
AT = 1_767_225_600_000
TYPE = {"Content-Type": "application/json"}


def picture(octets: int, **fields: Any) -> bytes:
    """Return a callback with a picture, as the One API's documents show it."""
    media = {"channel": "whatsapp", "messageId": f"media{octets}", "relatedMessageId": None, "from": PERSON, "to": OURS}
    media |= {"timestamp": AT, "contentType": "image/jpeg", "content": base64.b64encode(b"\xfe" * octets).decode()}
    media |= {"caption": "Here", "whatsapp": {"profileName": "A"}} | fields
    return json.dumps({"integrationId": "i", "integrationName": "shop", "event": {"moMedia": [media]}}).encode()


def push(endpoint: str, body: Any, headers: dict[str, str] = TYPE, path: str = "one") -> tuple[int, str]:
    url = urlsplit(endpoint)
    connection = HTTPConnection(url.hostname or "", url.port, timeout=120)
    try:  # what is iterated goes in chunks
        connection.request("POST", url.path.replace("/status", f"/{path}"), body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize("octets", [1, 30_000, 48_000, 60_000, 500_000, 12_000_000])
def test_a_picture_of_any_size_is_a_reply_with_its_caption(endpoint: str, client: redis.Redis, octets: int) -> None:
    """Beyond 48 kB it got 413, again and again, and the reply was lost; of the picture, the type and size are kept."""
    assert (200, "ok\n") == push(endpoint, picture(octets))
    (event,) = events(client)
    assert (
        Reply(
            id=event.id,
            reply_id=f"media{octets}",
            sender=PERSON,
            to=OURS,
            text="Here",
            received_at=AT,
            route="inbox",
            media=1,
            media_types="image/jpeg",
            media_octets=octets,
        )
        == event
    )
    assert len(client.dump(keys.INBOX) or b"") < 1_000


def test_a_reply_with_media_that_comes_again_is_one_reply(endpoint: str, client: redis.Redis) -> None:
    """The gateway repeats what it did not hear acknowledged."""
    assert [(200, "ok\n")] * 3 == [push(endpoint, picture(100_000)) for _ in range(3)]
    assert ["media100000"] == [one.reply_id for one in events(client)]


def test_a_stop_below_a_picture_is_a_stop(endpoint: str, client: redis.Redis) -> None:
    """The caption is what the person wrote."""
    assert (200, "ok\n") == push(endpoint, picture(100_000, caption="STOP"))
    assert [("stop", 1)] == [(one.word, one.media) for one in events(client)]
    assert client.hexists(keys.SUPPRESSED, PERSON)


def test_several_files_with_addresses_are_counted_and_added(endpoint: str, client: redis.Redis) -> None:
    """The other form in which the documents show media."""
    files = [{"contentType": "image/jpeg", "byteSize": 12_345, "downloadUrl": "https://x/"}] * 2
    files.append({"contentType": "video/mp4", "byteSize": 9_000_000, "fileName": "a.mp4"})
    assert (200, "ok\n") == push(endpoint, picture(0, files=files))
    (event,) = events(client)
    assert (3, "image/jpeg, video/mp4", 9_024_690) == (event.media, event.media_types, event.media_octets)


def test_a_picture_in_chunks_or_compressed_is_the_same(endpoint: str, client: redis.Redis) -> None:
    """Its length may not be known before its end."""
    body = picture(300_000)
    chunks = [body[start : start + 10_000] for start in range(0, len(body), 10_000)]
    assert (200, "ok\n") == push(endpoint, iter(chunks))
    packed = gzip.compress(picture(200_000))
    assert (200, "ok\n") == push(endpoint, packed, TYPE | {"Content-Encoding": "gzip"})
    assert [300_000, 200_000] == [one.media_octets for one in events(client)]


@pytest.mark.parametrize("is_chunked", [False, True])
def test_beyond_16_mebibytes_a_body_is_answered_413(endpoint: str, client: redis.Redis, is_chunked: bool) -> None:
    """Whether it announces its length or not; nothing is stored, and the endpoint goes on."""
    body = picture(0)
    longest = body.replace(b'"content": ""', b'"content": "%s"' % (b"A" * (MOST - len(body))))
    assert MOST == len(longest)

    def pushed(octets: bytes) -> tuple[int, str]:
        pieces = (octets[start : start + 1_000_000] for start in range(0, len(octets), 1_000_000))
        return push(endpoint, pieces if is_chunked else octets)

    assert (413, "the body is longer than 16,777,216 octets\n") == pushed(longest + b" ")
    assert 0 == stored(client)
    assert (200, "ok\n") == pushed(longest)


@pytest.mark.parametrize(
    ("body", "path", "expected"),
    [
        (picture(100_000)[:-50], "one", (400, "the body is not JSON\n")),
        (b'{"event": "' + b"\\q" * 100_000 + b'"}', "one", (400, "the body is not JSON\n")),
        (json.dumps({"clientMessageId": "ab" * 16, "x": "A" * 100_000}).encode(), "platform", (400, "")),
        (json.dumps({"moMsgId": "1", "from": PERSON, "text": "A" * 100_000}).encode(), "mo", (400, "text is too long")),
        (b"moMsgId=1&from=1&text=" + b"A" * 100_000, "mo", (413, "the body is longer than 65,536 octets")),
        (b"<a><text>" + b"A" * 100_000 + b"</text></a>", "mo", (413, "the body is longer than 65,536 octets")),
    ],
    ids=["cut off", "not JSON", "no status", "a long text", "a form", "XML"],
)
def test_what_is_no_callback_is_refused_at_any_length(
    endpoint: str, client: redis.Redis, body: bytes, path: str, expected: tuple[int, str]
) -> None:
    """There is room for media, and not for other long things."""
    status, text = push(endpoint, body, path=path)
    assert (expected[0], True, 0) == (status, text.startswith(expected[1]), stored(client))


def test_media_are_counted_by_kind(base_environment: dict[str, str], tmp_path: Any, client: redis.Redis) -> None:
    """Once each, however often the gateway repeats the reply."""
    assert client.ping()
    child = threelane_child("callbacks", tmp_path, base_environment)
    try:
        for body in (
            picture(1),
            picture(1),
            picture(2),
            picture(3, contentType="audio/ogg; codecs=opus"),
            picture(4, contentType="x"),
        ):
            assert 200 == push(url_of(child), body)[0]
        page = urlopen(child.event("metrics")["url"]).read().decode()
        series = [line.split() for line in page.splitlines() if line.startswith("threelane_reply_media_total{")]
        counted = {name.split('"')[1]: float(value) for name, value in series}
        assert {"image": 2, "audio": 1, "other": 1, "video": 0, "application": 0, "text": 0} == counted
    finally:
        child.stop()
