"""How a bare number is read: the message, its key, its producer or the installation decides, in this order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis
from typer.testing import CliRunner

from tests.integration.http_api import Api
from tests.integration.test_api_access import threelane
from tests.servers import RedisServer
from threelane import Producer, ProducerSettings, Refused
from threelane.contract.reading import E164
from threelane.interfaces.command.line import app
from threelane.producer.readings import FRESH_MS
from threelane.runtime.exits import Exit
from threelane.runtime.settings import InvalidSettings
from threelane.store import keys, registry, suppression
from threelane.store.find import Filter, search

__all__ = ["threelane"]
NATIONAL, ZA, GB = "083 123 4567", "27831234567", "447831234567"
BARE: Any = {"text": "Hello"}


def settings(server: RedisServer, **more: Any) -> ProducerSettings:
    return ProducerSettings(redis_url=server.url, producer="shop", **more)


def recipients(client: redis.Redis) -> list[str]:
    return sorted(one.to for one in search(client, Filter()))


def test_the_closest_setting_decides(client: redis.Redis, redis_server: RedisServer) -> None:
    """Installation, producer, process and message, each closer than the one before."""
    registry.put(client, "shop", numbers="national:GB")
    installation = settings(redis_server, numbers="national", country="DE")
    with Producer(installation) as shop, Producer(installation, numbers="national:ZA") as own:
        other = shop.send_rows([{"to": "0151 23456789", **BARE, "producer": "other"}])
        assert [True] == [one.accepted for one in other]
        assert [True] == [one.accepted for one in shop.send_many([{"to": "07831234567", **BARE}])]
        own.send(NATIONAL, "Hello")
        own.send("07831234568", "Hello", country="GB")

    assert sorted(["4915123456789", GB, ZA, "447831234568"]) == recipients(client)


def test_international_is_the_default_of_the_library(client: redis.Redis, redis_server: RedisServer) -> None:
    """Clickatell's own form; what is none is refused, with the field, the right form and the owner."""
    with Producer(settings(redis_server)) as shop:
        shop.send(ZA, "Hello")
        with pytest.raises(Refused) as refused:
            shop.send(NATIONAL, "Hello")

    assert ("105", "to", "producer") == (refused.value.code, refused.value.field, refused.value.owner)
    assert [ZA] == recipients(client)


def test_a_change_of_a_producer_is_read_within_a_minute(client: redis.Redis, redis_server: RedisServer) -> None:
    """One look-up a minute costs nothing; a longer one would need a restart."""
    with Producer(settings(redis_server)) as shop:
        assert isinstance(shop.try_send(NATIONAL, "Hello"), Refused)
        registry.put(client, "shop", numbers="national:ZA")
        remembered = shop._enqueuer._drafter._readings._producers
        remembered["shop"] = (remembered["shop"][0] - FRESH_MS, remembered["shop"][1])
        shop.send(NATIONAL, "Hello")

    assert [ZA] == recipients(client)


@pytest.mark.parametrize("row", [b"damaged", b'{"bypass":false,"numbers":"local"}'])
def test_a_setting_that_cannot_be_read_requires_a_plus(client: redis.Redis, row: bytes) -> None:
    """Damage and the settings of a later version are no reason to guess."""
    client.hset(keys.RIGHTS, "shop", row)

    assert [E164] == registry.readings(client, ["shop"])


def test_rows_of_earlier_versions_have_no_reading(client: redis.Redis) -> None:
    """A running fleet is upgraded process by process."""
    client.hset(keys.RIGHTS, "shop", b'{"bypass":true}')

    assert [None] == registry.readings(client, ["shop"])
    assert registry.rights(client, "shop").bypass


def test_a_key_has_its_own_reading_for_all_its_requests(api: Api, client: redis.Redis) -> None:
    """Messages, the suppression list and searches of one key mean the same person."""
    registry.put(client, "shop", numbers="national:GB")
    own, producers = api.key(numbers="national:ZA", suppression=True, viewer=True, texts=True), api.key()

    assert 201 == api.request("POST", "/v1/messages", {"to": NATIONAL, **BARE}, own).status
    assert 201 == api.request("POST", "/v1/messages", {"to": "07831234567", **BARE}, producers).status
    assert 201 == api.request("POST", "/v1/messages", {"to": 831234568.0, **BARE}, own).status
    assert 201 == api.request("POST", "/v1/messages", {"to": "+15005550006", **BARE}, own).status
    assert sorted([ZA, GB, "27831234568", "15005550006"]) == recipients(client)

    assert [ZA] == [one["to"] for one in api.request("POST", "/v1/messages/search", {"to": NATIONAL}, own).body]
    assert 200 == api.request("POST", "/v1/suppressions", {"number": NATIONAL}, own).status
    assert [ZA] == [one.number for one in suppression.every(client)]
    assert 1 == api.request("POST", "/v1/suppressions/lift", {"number": NATIONAL}, own).body["lifted"]
    refused = api.request("POST", "/v1/suppressions", {"number": ZA}, own)
    assert (422, "number") == (refused.status, refused.body["field"])
    assert "write +27831234567" in refused.body["remedy"]
    assert "national:ZA" == api.request("GET", "/v1/key", key=own).body["numbers"]


def test_the_command_line_sets_the_readings(threelane: Any, client: redis.Redis) -> None:
    """For a producer and a key; a wrong one is refused and changes nothing."""
    assert 0 == threelane("producers", "set", "shop", "--numbers", "National:za").exit_code
    assert "national:ZA" == (registry.read(client, "shop") or registry.Registration()).numbers
    assert b"national:ZA" in (client.hget(keys.RIGHTS, "shop") or b"")
    made = threelane("producers", "key", "make", "shop", "--any", "--numbers", "e164")
    assert "numbers e164" in made.output
    for words in (("set", "shop"), ("key", "make", "shop", "--any")):
        wrong = threelane("producers", *words, "--numbers", "national:UK")
        assert Exit.USAGE == wrong.exit_code
        assert "did you mean GB (Britain (UK))? Write the two letters" in wrong.output.replace("\n", " ")
    assert 0 == threelane("producers", "set", "shop", "--rate", "5").exit_code
    assert "national:ZA" == (registry.read(client, "shop") or registry.Registration()).numbers
    assert 0 == threelane("producers", "set", "shop", "--numbers", "default").exit_code
    assert [None] == registry.readings(client, ["shop"])


def test_commands_read_the_numbers_in_their_arguments_as_the_installation_does(
    client: redis.Redis, redis_server: RedisServer
) -> None:
    """An operator who suppresses or erases means the person whom the installation would text."""
    environment = {"THREELANE_REDIS_URL": redis_server.url, "THREELANE_NUMBERS": "national:ZA"}

    def run(*words: str) -> Any:
        return CliRunner().invoke(app, words, env=environment)

    assert 0 == run("send", NATIONAL, "Hello").exit_code
    assert "27831" in run("search", NATIONAL).output
    assert "27831" in run("search", ZA).output
    assert "27831" in run("list", "--to", NATIONAL).output
    assert "ZA" in run("windows", "try", "lane:3", "--to", NATIONAL, "--json").output
    assert 0 == run("send", NATIONAL, "Later", "--delay", "800").exit_code
    assert "27831" in run("schedule", "list", "--to", NATIONAL).output
    assert Exit.USAGE == run("schedule", "list", "--to", ZA).exit_code
    assert 0 == run("limits", "explain", NATIONAL).exit_code
    assert "2 cancelled" in run("cancel", "--to", NATIONAL).output
    assert 0 == run("suppress", "add", NATIONAL).exit_code
    assert [ZA] == [one.number for one in suppression.every(client)]
    refused = run("suppress", "remove", ZA)
    assert Exit.USAGE == refused.exit_code
    assert "+27831234567" in refused.output
    assert 0 == run("suppress", "remove", f"+{ZA}").exit_code
    assert 0 == run("erase", NATIONAL).exit_code


def test_a_producer_cancels_and_finds_by_the_number_that_it_sends_to(
    client: redis.Redis, redis_server: RedisServer
) -> None:
    """The same digits, as a number of another country, are another person's, whose messages stay."""
    with Producer(ProducerSettings(redis_url=redis_server.url), numbers="national:DE") as shop:
        own, other = (shop.send(to, "Hello", delay=800) for to in ("15123456791", "+15123456791"))
        assert [own.id] == [one.id for one in shop.scheduled(to="015123456791")]
        assert [own.id] == [one.id for one in shop.cancel_all(to="15123456791")]
        assert [other.id] == [one.id for one in shop.scheduled()]


def test_a_wrong_reading_of_a_process_is_reported(redis_server: RedisServer) -> None:
    """With the right forms, before anything is sent."""
    with pytest.raises(InvalidSettings, match=r"numbers: .*write international, national:COUNTRY"):
        Producer(settings(redis_server), numbers="local")


def test_names_are_refused_at_intake_for_the_listed_countries(
    client: redis.Redis, redis_server: RedisServer, tmp_path: Path
) -> None:
    """Before a credit is spent; elsewhere, and without the file, they are taken."""
    path = tmp_path / "senders.toml"
    path.write_text('numeric_only = ["US"]')
    with Producer(settings(redis_server, senders_file=path)) as shop, Producer(settings(redis_server)) as without:
        refused = shop.try_send("+12025550133", "Hello", sender="ACME")
        shop.send("+27831234567", "Hello", sender="ACME")
        without.send("+12025550133", "Hello", sender="ACME")

    assert isinstance(refused, Refused)
    assert ("106", "sender") == (refused.code, refused.field)
    assert [ZA, "12025550133"] == sorted(recipients(client), reverse=True)


def test_a_registration_of_an_earlier_version_is_read(client: redis.Redis) -> None:
    """It lacks the field; other fields of later versions are ignored."""
    client.hset(keys.PRODUCERS, "shop", msgspec.json.encode({"bypass": True, "later": 1}))

    assert registry.read(client, "shop") == registry.Registration(bypass=True)
