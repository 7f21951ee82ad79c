"""Countries: each list refuses the others at intake, and the first message to a new country raises an alarm."""

from __future__ import annotations

import json
from collections.abc import Iterator

import msgspec
import pytest
import redis
import typer
from prometheus_client import generate_latest
from prometheus_client.core import CollectorRegistry
from typer.testing import CliRunner

from tests.integration.http_api import Api
from tests.properties.system import System
from tests.servers import RedisServer
from threelane import Accepted, Producer, ProducerSettings, Refused
from threelane.contract.countries import parse_countries
from threelane.interfaces.command import countries as cli_countries
from threelane.interfaces.command.producers import producers
from threelane.operations import damage, doctor
from threelane.operations.exporter import Fleet
from threelane.store import access, countries, keys, registry
from threelane.store.countries import FirstMessage, Sighting
from threelane.worker.policy.legacy import LEGACY

ZA, NA, ZW, US, CA = "27831234567", "264811234567", "263711234567", "12025550133", "14165550133"
SPELT = (ZW, f"+{ZW}", f"00{ZW}", "+263 71 123 4567", "(+263) 71-123-4567", "\uff0b263711234567", "26371123456\u0667")


@pytest.fixture
def shop(redis_server: RedisServer, client: redis.Redis) -> Iterator[Producer]:
    assert client.ping()
    with Producer(ProducerSettings(redis_url=redis_server.url, producer="shop")) as made:
        yield made


def outcomes(producer: Producer, *numbers: str) -> list[str]:
    """Return for each number how it was answered: accepted, or code, field and owner."""
    rows = [{"to": number, "text": "Hello"} for number in numbers]
    found = [*producer.send_rows(rows)] + [producer.try_send(number, "Hello") for number in numbers]
    shown = ["accepted" if isinstance(one, Accepted) else _refusal(one) for one in found]
    assert shown[: len(numbers)] == shown[len(numbers) :]
    return shown[: len(numbers)]


def rehearsed(producer: Producer, *rows: dict[str, object]) -> list[str]:
    """Return for each row how a dry run answers it."""
    found = producer.rehearse([{"text": "Hello"} | row for row in rows])
    return [_refusal(one) if isinstance(one, Refused) else "accepted" for one in found]


def _refusal(answer: object) -> str:
    assert isinstance(answer, Refused), answer
    return f"{answer.code} {answer.field} {answer.owner}"


def test_a_producer_sends_only_to_its_countries(shop: Producer, client: redis.Redis) -> None:
    """In the library as well; the answer names the list and the command that changes it."""
    registry.put(client, "shop", countries=parse_countries("ZA,NA"))

    assert ["accepted", "accepted", "105 to operator"] == outcomes(shop, ZA, NA, ZW)
    refused = shop.try_send(ZW, "Hello")
    assert isinstance(refused, Refused)
    assert "ZW (Zimbabwe), and the list of the producer 'shop' allows only NA,ZA" in refused.problem
    assert "threelane producers set shop --countries NA,ZA,ZW" in refused.remedy
    assert 3 == int(client.hget(keys.TALLY, "refused:105") or 0)
    assert ["105"] == [one.code for one in shop.rehearse([{"to": ZW, "text": "Hello"}]) if isinstance(one, Refused)]

    registry.put(client, "shop", bypass=True)  # another setting leaves the list as it is
    assert ["105 to operator"] == outcomes(shop, ZW)
    registry.put(client, "shop", countries=())
    assert ["accepted"] == outcomes(shop, ZW)


@pytest.mark.parametrize("spelling", SPELT)
def test_no_spelling_leads_past_a_list(shop: Producer, client: redis.Redis, spelling: str) -> None:
    registry.put(client, "shop", countries=parse_countries("ZA"))
    answer = shop.try_send(spelling, "Hello")
    assert isinstance(answer, Refused)
    assert "105" == answer.code
    assert 0 == client.zcard(keys.QUEUED[3])


def test_the_list_is_that_of_the_messages_own_producer(shop: Producer, client: redis.Redis) -> None:
    """A message may name another producer than its process."""
    registry.put(client, "bank", countries=parse_countries("US"))
    rows = [{"to": to, "text": "Hello", "producer": name} for name in ("bank", "shop") for to in (US, CA)]
    assert [True, False, True, True] == [one.accepted for one in shop.send_rows(rows)]


def test_a_repeated_message_is_answered_as_the_first_time(shop: Producer, client: redis.Redis) -> None:
    """A list that changed meanwhile must not look as if the message was never taken."""
    first = shop.send(ZW, "Hello", client_message_id="1")
    registry.put(client, "shop", countries=parse_countries("ZA"))
    assert (True, first.id) == ((again := shop.send(ZW, "Hello", client_message_id="1")).repeated, again.id)


def test_an_unreadable_list_refuses(shop: Producer, client: redis.Redis) -> None:
    """It is there to stop messages, and nobody knows what an unreadable row allowed."""
    unreadable = (b'{"countries":["ZA"],"rate":1e999}', b'{"countries":"ZA"}', b"garbage", b'"ZA"', b"",
                  b'{"countries":{"ZA":1}}', b'{"countries":{}}', b'{"countries":[1]}', b'{"countries":[null]}',
                  b'{"bypass":1}')  # fmt: skip
    for row in unreadable:
        client.hset(keys.RIGHTS, "shop", row)
        assert ["105 to operator"] == outcomes(shop, f"+{ZA}"), row
        assert ["105 to operator"] == rehearsed(shop, {"to": f"+{ZA}"}), row
    client.hset(keys.RIGHTS, "shop", b'{"bypass":false}')
    assert ["accepted"] == outcomes(shop, f"+{ZA}") == rehearsed(shop, {"to": f"+{ZA}"})


def test_rights_of_another_type_refuse_until_they_are_restored(
    shop: Producer, client: redis.Redis, redis_server: RedisServer
) -> None:
    """A list that is gone must not become leave to send anywhere, not even by the command that removes the damage."""
    registry.put(client, "shop", countries=parse_countries("ZA"))
    client.set(keys.RIGHTS, "x")
    assert (
        ["105 to operator"] * 2
        == outcomes(shop, f"+{ZA}", f"+{ZW}")
        == rehearsed(shop, {"to": f"+{ZA}"}, {"to": f"+{ZW}"})
    )
    with Producer(ProducerSettings(redis_url=redis_server.url)) as unnamed:
        assert ["accepted"] == outcomes(unnamed, f"+{ZW}")
    (found,) = damage.find(client)
    assert ("threelane damaged remove tl:rights", True) == (found.command, "damaged" in found.effect)

    client.rename(keys.PRODUCERS, "tl:kept")
    client.set(keys.PRODUCERS, "x")
    with pytest.raises(ValueError, match="restored from tl:producers"):
        damage.remove(client, keys.RIGHTS, "")
    client.rename("tl:kept", keys.PRODUCERS)
    assert damage.remove(client, keys.RIGHTS, "")
    assert (
        ["accepted", "105 to operator"]
        == outcomes(shop, f"+{ZA}", f"+{ZW}")
        == rehearsed(shop, {"to": f"+{ZA}"}, {"to": f"+{ZW}"})
    )
    client.hset(keys.RIGHTS, "shop", b"garbage")
    assert b"garbage" == damage.remove(client, keys.RIGHTS, "shop")
    assert ["accepted", "105 to operator"] == outcomes(shop, f"+{ZA}", f"+{ZW}")


def test_a_dry_run_refuses_the_country_before_the_missing_right_as_accept_does(
    shop: Producer, client: redis.Redis
) -> None:
    registry.put(client, "shop", countries=parse_countries("ZA"))
    notices = [{"to": to, "text": "Hello", "legalNotice": True} for to in (ZA, ZW)]
    accepted = [_refusal(one) for one in shop.send_rows(notices)]
    assert accepted == rehearsed(shop, *notices)
    assert "105 to operator" == accepted[1]


def test_an_installation_sends_only_to_its_countries(redis_server: RedisServer, client: redis.Redis) -> None:
    assert client.ping()
    with Producer(ProducerSettings(redis_url=redis_server.url, countries="ZA,other")) as made:
        assert ["accepted", "accepted", "105 to operator"] == outcomes(made, ZA, "881612345678", ZW)
        refused = made.try_send(ZW, "Hello")
        assert isinstance(refused, Refused)
        assert "THREELANE_COUNTRIES=ZA,ZW,other" in refused.remedy


def test_a_key_sends_only_to_its_countries(api: Api) -> None:
    """Alone and in a list, over HTTP."""
    key = api.key("shop", countries=("ZA", "NA"))
    assert 201 == api.request("POST", "/v1/messages", {"to": ZA, "text": "Hello"}, key).status
    refused = api.request("POST", "/v1/messages", {"to": f"+{ZW}", "text": "Hello"}, key)
    assert (403, "105", "to") == (refused.status, refused.body["code"], refused.body["field"])
    listed = api.request(
        "POST", "/v1/messages/bulk", {"messages": [{"to": to, "text": "Hi"} for to in (ZW, NA)]}, key
    ).body["verdicts"]
    assert ["105", None] == [(one.get("refusal") or {}).get("code") for one in listed]


def sent_to(system: System, to: str, producer: str = "shop") -> None:
    (answer,) = system.accept([system.draft(to=to, producer=producer)])
    assert isinstance(answer, Accepted)


def new(system: System) -> dict[str, str]:
    return {name: one.producer for name, one in countries.new(system.sync, system.now).items()}


def test_the_first_message_to_a_new_country_is_an_alarm_for_a_day(
    system: System, caplog: pytest.LogCaptureFixture
) -> None:
    """Metric, doctor and log name it once; the countries of the first week are no alarm."""
    sent_to(system, ZA)
    sent_to(system, NA)
    assert {} == new(system)
    system.now += countries.NEW_MS * 7
    sent_to(system, ZA)
    assert {} == new(system)

    sent_to(system, ZW, "bank")
    sent_to(system, ZW)
    system.now += 60_000
    assert {"ZW": "bank"} == new(system)
    assert ["ZW"] == [one.__dict__["fields"]["country"] for one in caplog.records if one.msg == "new_country"]
    (found,) = (one for one in doctor.diagnose(system.sync, system.now, LEGACY) if one.what == "new country")
    assert "ZW (Zimbabwe) got its first message 1 minutes ago, from bank" == found.detail
    assert "threelane countries allow ZW" in found.step

    system.now += countries.NEW_MS
    assert {} == new(system)


def test_a_refused_message_is_no_first_message(system: System) -> None:
    countries.stop_learning(system.sync, system.now)
    registry.put(system.sync, "shop", countries=("ZA",))
    system.accept([system.draft(to=ZW, producer="shop")])
    assert {} == countries.read_all(system.sync)


def test_an_operator_can_allow_a_country_before_and_after_the_alarm(system: System) -> None:
    countries.stop_learning(system.sync, system.now)
    countries.allow(system.sync, ["NA"])
    for to in (NA, ZW):
        sent_to(system, to)
    assert {"ZW": "shop"} == new(system)
    countries.allow(system.sync, ["ZW", "NA"])
    assert {} == new(system)
    known = countries.read_all(system.sync)["ZW"]
    assert FirstMessage(first=system.now, producer="shop", state=Sighting.ALLOWED) == known


def test_countries_that_were_charged_for_before_are_no_alarm(system: System) -> None:
    """An installation that is upgraded has sent to them, and a monthly list may come after the time of learning."""
    system.sync.hset(keys.PRICES, "ZW", 1_000_000)
    countries.stop_learning(system.sync, system.now)
    for to in (ZW, NA):
        sent_to(system, to)
    assert {"NA": "shop"} == new(system)


def test_a_damaged_table_of_countries_stops_no_message(system: System) -> None:
    client = system.sync
    countries.stop_learning(client, system.now)
    client.hset(keys.COUNTRIES, "ZA", "garbage")
    sent_to(system, ZA)
    assert ["ZA"] == [one.row for one in damage.find(client)]
    client.delete(keys.COUNTRIES)
    client.set(keys.COUNTRIES, "x")
    sent_to(system, ZA)
    assert {} == new(system)


def test_a_process_looks_a_country_up_once_a_minute(shop: Producer, client: redis.Redis) -> None:
    """A message costs Redis nothing for this: the hash may be gone, and no one looks."""
    outcomes(shop, ZA)
    client.delete(keys.COUNTRIES)
    outcomes(shop, ZA)
    assert 0 == client.exists(keys.COUNTRIES)


def test_the_exporter_counts_new_countries(redis_server: RedisServer, client: redis.Redis) -> None:
    seconds, _ = client.time()
    row = msgspec.json.encode(FirstMessage(first=int(seconds) * 1000, producer="shop"))
    client.hset(keys.COUNTRIES, mapping={"ZW": row, "*": "1"})
    registered = CollectorRegistry()
    registered.register(Fleet(client))
    assert "threelane_new_countries 1.0" in generate_latest(registered).decode().splitlines()


def test_the_commands_list_allow_and_watch(
    redis_server: RedisServer, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unknown country is refused with what was meant, and nothing is written."""
    monkeypatch.setenv("THREELANE_REDIS_URL", redis_server.url)
    monkeypatch.setenv("COLUMNS", "200")

    def run(app: typer.Typer, *words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, words)
        return done.exit_code, done.output

    row = msgspec.json.encode(FirstMessage(first=1_750_000_000_000, producer="shop"))
    client.hset(keys.COUNTRIES, mapping={"ZW": row, "*": "1"})
    code, shown = run(cli_countries.app, "list")
    assert (0, 1, 1) == (code, shown.count("ZW (Zimbabwe)"), shown.count("shop"))
    assert (2, True) == ((refused := run(cli_countries.app, "allow", "UK"))[0], "did you mean GB" in refused[1])
    assert 0 == run(cli_countries.app, "allow", "ZW,NA")[0]
    assert 0 == run(cli_countries.app, "watch")[0]
    listed = json.loads(run(cli_countries.app, "list", "--json")[1])
    assert [("ZW", "allowed"), ("NA", "allowed")] == [(one["country"], one["state"]) for one in listed["countries"]]
    assert 1 < listed["learning_until"]

    assert (2, True) == ((refused := run(producers, "set", "shop", "--countries", ""))[0], "no country" in refused[1])
    assert (0, True) == (
        (done := run(producers, "set", "shop", "--countries", "za NA"))[0],
        "countries NA,ZA" in done[1],
    )
    assert ("NA", "ZA") == (registry.rights(client, "shop") or registry.Registration()).countries
    made = run(producers, "key", "make", "shop", "--any", "--countries", "ZA")
    assert (0, True) == (made[0], "countries ZA" in made[1])
    assert [("ZA",)] == [one.countries for one in access.list_keys(client, "shop")]
    assert 0 == run(producers, "set", "shop", "--countries", "any")[0]
    assert registry.Registration() == registry.rights(client, "shop")
