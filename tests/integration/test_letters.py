"""Letters beyond ASCII: a message that each charset setting sends arrives at the gateway as it was written."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis

from tests.integration.conftest import Workers, taken
from tests.servers import RedisServer
from threelane import Producer, ProducerSettings, Status
from threelane.contract.text import GSM_7
from threelane.runtime.settings import InvalidSettings, load
from threelane.sandbox.running import Running
from threelane.store.status import MessageStatus

Until = Callable[..., MessageStatus]
LETTERS = "".join(sorted(letter for letter in GSM_7 if letter.isprintable()))
TEXTS = ("Ça coûte 3 €", "Ω" * 71, "é" * 160, LETTERS, "ж😀")


@pytest.mark.parametrize("charset", ["windows-1252", "ucs-2"])
def test_texts_arrive_as_they_were_written_in_as_many_parts_as_were_accepted(
    client: redis.Redis,
    redis_server: RedisServer,
    workers: Workers,
    sandbox: Running,
    until: Until,
    charset: str,
) -> None:
    """With the same setting at intake and at the worker; what `utf-8` accepted before arrives as well."""
    assert client.ping()
    earlier = ProducerSettings(redis_url=redis_server.url)
    settings = ProducerSettings(redis_url=redis_server.url, gateway_charset=charset)
    with Producer(earlier) as before, Producer(settings) as producer:
        answers = [one.send("27999500001", text) for text in TEXTS for one in (before, producer)]
        workers.start(gateway="http", gateway_charset=charset)
        for answer in answers:
            until(answer.id, Status.SENT, Status.DELIVERED)
    found = taken(sandbox)

    expected = [(text, answer.parts) for text, answer in zip((t for t in TEXTS for _ in "12"), answers, strict=True)]
    assert expected == [(found[answer.id][0]["text"], found[answer.id][0]["parts"]) for answer in answers]


def test_the_setting_is_one_of_three(redis_server: RedisServer) -> None:
    """A charset of another name would garble every text in silence."""
    with pytest.raises(InvalidSettings, match=r"THREELANE_GATEWAY_CHARSET.*'utf-8', 'windows-1252' or 'ucs-2'"):
        load(ProducerSettings, redis_url=redis_server.url, gateway_charset="latin-9")
