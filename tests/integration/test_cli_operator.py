"""The operator's levers as they are typed: dead letters, holds, prefixes, the doctor, one message's story."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from tests.properties.house import House, a_house
from tests.servers import RedisServer, free_port, typed
from threelane.contract.prices import CREDIT
from threelane.store import keys
from threelane.worker.account import balance, hold
from threelane.worker.account.hold import Hold
from threelane.worker.dead import redrive as dead_letters
from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind
from threelane.worker.send.settle import hold_all

ZA = "27831234567"


@pytest.fixture
def house(redis_server: RedisServer, client: redis.Redis) -> Iterator[House]:
    assert client.ping()
    with a_house(redis_server) as made:
        made.now = int(client.time()[0]) * 1000
        yield made


@pytest.fixture
def environment(redis_server: RedisServer) -> dict[str, str]:
    return {"THREELANE_REDIS_URL": redis_server.url, "COLUMNS": "200"}


def dead(house: House, code: str, **said: Any) -> str:
    draft = house.draft(**said)
    house.accept([draft])
    house.attempt(draft.message.id, AttemptOutcome(OutcomeKind.REFUSED, code=code), draft.message.lane)
    return draft.message.id


def test_dead_letters_are_listed_shown_rehearsed_and_redriven(
    house: House, environment: dict[str, str], client: redis.Redis
) -> None:
    """By code, owner, producer and lane; the dry run does nothing."""
    of_shop = dead(house, "113", producer="shop")
    others = [dead(house, "302", lane=1) for _ in range(3)]
    listed = json.loads(typed("dead", "list", "--owner", "producer", "--json", environment=environment).stdout)
    assert {of_shop, *others} == {one["id"] for one in listed}
    assert [] == json.loads(typed("dead", "list", "--owner", "gateway", "--json", environment=environment).stdout)
    assert of_shop in typed("dead", "list", "--producer", "shop", environment=environment).stdout
    assert "too_many_parts" in typed("dead", "show", of_shop, environment=environment).stdout

    told = json.loads(typed("dead", "redrive", "--lane", "1", "--dry-run", "--json", environment=environment).stdout)
    assert (3, 3, 3 * CREDIT, True) == tuple(
        told[name] for name in ("messages", "parts", "estimate_millionths", "dry_run")
    )
    assert 4 == client.zcard(keys.DEAD)
    told_ = typed("dead", "redrive", "--lane", "1", "--dry-run", environment=environment)
    assert "3 would be redriven (3 parts, about 3.00 credits): 302 (3)" in told_.stdout

    done = typed("dead", "redrive", "--lane", "1", "--a-second", "1000", "--json", environment=environment)
    assert {"redriven": 3, "expired": 0, "over_budget": 0} == json.loads(done.stdout)
    assert (1, 3) == (client.zcard(keys.DEAD), client.zcard(keys.QUEUED[1]))


def test_what_is_in_doubt_or_has_ended_is_not_redriven(
    house: House, environment: dict[str, str], client: redis.Redis
) -> None:
    """By id each is told why; nothing but the dead letter moves."""
    letter = dead(house, "113")
    ids = {}
    for name, outcome in (
        ("in_doubt", AttemptOutcome(OutcomeKind.LOST)),
        ("under_way", AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id="g")),
    ):
        draft = house.draft()
        house.accept([draft])
        house.attempt(draft.message.id, outcome)
        ids[name] = draft.message.id
    ids["ended"] = dead(house, "113")
    house.cancel([ids["ended"]])
    ids["unknown"] = "0" * 32
    before = house.glance(list(ids.values()))
    told = typed("dead", "redrive", letter, *ids.values(), "--json", environment=environment)
    answers = {one["id"]: one["answer"] for one in json.loads(told.stdout)}
    assert (1, {letter: "redriven"} | {message_id: name for name, message_id in ids.items()}) == (
        told.returncode,
        answers,
    )
    assert before.records == house.glance(list(ids.values())).records
    assert "it may have been sent" in typed("dead", "redrive", ids["in_doubt"], environment=environment).stdout
    assert 6 == typed("dead", "redrive", "nothing", environment=environment).returncode
    assert 6 == typed("dead", "show", ids["ended"], environment=environment).returncode


@pytest.mark.parametrize(
    "words",
    [
        ["redrive"],
        ["redrive", "0" * 32, "--all"],
        ["redrive", "0" * 32, "--dry-run"],
        ["redrive", "--to", "083"],
        ["redrive", "--after", "yesterday"],
        ["list", "--owner", "nobody"],
        ["list", "--lane", "4"],
    ],
)
def test_a_redrive_that_does_not_say_what_is_refused(environment: dict[str, str], words: list[str]) -> None:
    """Exit code 2, and what would be right."""
    told = typed("dead", *words, environment=environment)
    assert (2, "") == (told.returncode, told.stdout)
    assert told.stderr


def test_a_redrive_is_paced(house: House) -> None:
    """So many a second, by a clock that the test holds."""
    for _ in range(25):
        dead(house, "113")
    slept: list[float] = []
    lots = dead_letters.redrive_paced(
        house.sync, Nothing(), dead_letters.Filter(code="113"), lambda: house.now, a_second=10, sleep=slept.append
    )
    assert [10, 10, 5] == [lot["redriven"] for lot in lots]
    assert [1.0, 1.0, 0.5] == slept


class Nothing:
    """Nudges nobody."""

    def publish(self, lane: int, ids: list[str]) -> None:
        """Do nothing."""


def test_something_is_held_by_hand_and_resumed(environment: dict[str, str], client: redis.Redis, house: House) -> None:
    """With a cause; what is on hold already is told."""
    told = typed("hold", "sender:ACME", "--cause", "wrong link [b]", environment=environment)
    assert (0, "sender:ACME is on hold until threelane resume sender:ACME\n") == (told.returncode, told.stdout)
    told = typed("pause", "3", "--cause", "newsletter", "--minutes", "30", "--json", environment=environment)
    assert ("lane:3", "newsletter", None) == tuple(
        json.loads(told.stdout)[name] for name in ("scope", "cause", "replaced")
    )
    again = typed("hold", "sender:ACME", "--cause", "still", environment=environment)
    assert "replaces the hold by_hand wrong link [b]" in again.stdout
    assert (b"1", b"1") == (client.hget(keys.TALLY, "held:sender"), client.hget(keys.TALLY, "held:lane"))
    listed = json.loads(typed("holds", "--json", environment=environment).stdout)
    assert {"sender:ACME": 0, "lane:3": json.loads(told.stdout)["until"]} == {
        s: one["until"] for s, one in listed.items()
    }

    assert "lane:3 resumed" in typed("resume", "3", environment=environment).stdout
    assert {"scope": "sender:ACME", "resumed": True} == json.loads(
        typed("resume", "sender:ACME", "--json", environment=environment).stdout
    )
    assert {} == hold.holds(client, house.now)


def test_a_hold_by_hand_holds_and_its_resume_lets_go(house: House) -> None:
    """A lane as a whole, and a prefix among others."""
    draft = house.draft(to="27831234567")
    house.accept([draft])
    hold.put(house.sync, "lane:3", "test", house.now)
    assert house.claim(3, [draft.message.id], "one").held
    hold.resume(house.sync, "lane:3", house.now)
    hold.put(house.sync, "prefix:2783", "test", house.now, house.now + 60_000)
    assert [] == house.claim(3, [draft.message.id], "two").claimed
    house.now += 60_001
    house.release()
    assert 1 == len(house.claim(3, [draft.message.id], "three").claimed)


def test_what_was_held_by_hand_is_lifted_by_hand_alone(house: House) -> None:
    """Neither credit that is there again nor other credentials end it, nor a hold of the gateway's that came later."""
    hold.put(house.sync, "account", "audit", house.now)
    assert not house.run(balance.lift(house.client, house.now))
    assert not house.run(hold.lift_for(house.client, "others", house.now))
    house.run(hold_all(house.client, [Hold("account", "301", "no_credit")], house.now))
    assert "audit" == hold.holds(house.sync, house.now)["account"].cause
    assert hold.resume(house.sync, "account", house.now)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["hold", "everything", "--cause", "x"], "cannot be on hold; write account"),
        (["hold", "lane:4", "--cause", "x"], "cannot be on hold"),
        (["hold", "prefix:", "--cause", "x"], "cannot be on hold"),
        (["hold", "sender:a|b", "--cause", "x"], "cannot be on hold"),
        (["pause", "4", "--cause", "x"], "cannot be on hold"),
        (["hold", "account", "--cause", " "], "a hold needs a cause"),
        (["hold", "account"], "Missing option '--cause'"),
        (["resume", "lane:x"], "cannot be on hold"),
        (["prefix", "letters"], "cannot be on hold"),
    ],
)
def test_a_hold_that_makes_no_sense_is_refused(
    environment: dict[str, str], client: redis.Redis, words: list[str], sentence: str
) -> None:
    """Exit code 2, nothing done, and what would be right."""
    told = typed(*words, environment=environment)
    assert (2, "") == (told.returncode, told.stdout)
    assert sentence in told.stderr
    assert not client.exists(keys.HOLDS)


def test_a_prefix_tells_its_hold_its_price_and_whether_it_is_sent_to(
    environment: dict[str, str], client: redis.Redis, house: House
) -> None:
    """One, or all that there are."""
    hold.put(client, "prefix:2783", "down", house.now)
    client.hset(keys.PRICES, "ZA", CREDIT // 4)
    more = environment | {"THREELANE_PRICES": "2799=0.5,*=1", "THREELANE_ALLOW_ONLY": "27831234567,2799*"}
    one = json.loads(typed("prefix", "27831", "--json", environment=more).stdout)
    assert ("ZA", 0.25, ["prefix:2783"], "some") == tuple(
        one[name] for name in ("country", "price", "held_by", "allowed")
    )
    assert (
        "2799 (ZA): not on hold, 0.5 credits per part, allowed: yes" in typed("prefix", "2799", environment=more).stdout
    )
    told = typed("prefix", environment=more).stdout
    assert "prefix:2783 is on hold: by_hand down" in told
    assert "ZA costs 0.25 credits per part, from the last charge" in told


def test_the_doctor_tells_what_is_wrong_whose_it_is_and_what_helps(
    house: House, environment: dict[str, str], client: redis.Redis
) -> None:
    """No worker, a hold, dead letters by owner, a silent door; each with the command that helps."""
    dead(house, "113")
    dead(house, "301")
    for outcome in (None, AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id="g"), AttemptOutcome(OutcomeKind.LOST)):
        draft = house.draft(lane=1)
        house.accept([draft])
        if outcome:
            hold.resume(client, "account", house.now)
            client.delete(keys.RATE)
            house.attempt(draft.message.id, outcome, lane=1)
    hold.put(client, "account", "audit", house.now)
    client.zadd(keys.QUEUED[1], {draft.message.id: 1, "x" * 32: 1})
    told = typed("doctor", "--json", environment=environment)
    findings = {(one["what"], one["grade"], one["owner"]): one for one in json.loads(told.stdout)}
    assert 5 == told.returncode
    for what, grade, owner, step in (
        ("workers", "error", "operator", "threelane worker"),
        ("lane 1", "warning", "operator", "threelane holds"),
        ("hold", "error", "operator", "threelane resume"),
        ("in doubt", "warning", "gateway", "threelane list --state in_doubt"),
        ("callback endpoint", "warning", "operator", "threelane callbacks"),
        ("dead letters", "warning", "producer", "threelane dead list --owner producer --code 113"),
        ("dead letters", "warning", "operator", "threelane dead redrive --code 301"),
    ):
        assert step in findings[what, grade, owner]["step"], (what, findings)
    assert "operator" in typed("doctor", environment=environment).stdout


def test_the_doctor_finds_nothing_where_nothing_is_wrong(
    house: House, environment: dict[str, str], client: redis.Redis
) -> None:
    """A worker that reports, lanes that are fetched, a door that hears."""
    client.zadd(keys.WORKERS, {"w": house.now})
    client.hset(keys.worker("w"), mapping={"beat": house.now, "fetched": house.now, "lanes": "1,2,3", "rate": 100})
    client.set(keys.HEARD, house.now)
    client.hset(keys.BALANCE, mapping={"credits": CREDIT, "left": CREDIT, "at": house.now})
    credentials = {f"THREELANE_CLICKATELL_{name}": "x" for name in ("API_ID", "USER", "PASSWORD")}
    guarded = credentials | {"THREELANE_CALLBACK_SECRET": "a1b2c3d4e5f60718"}
    client.config_set("maxmemory", "1gb")
    try:
        told = typed("doctor", "--json", environment=environment | guarded)
    finally:
        client.config_set("maxmemory", "0")
    assert (0, {"ok"}) == (told.returncode, {one["grade"] for one in json.loads(told.stdout)}), told.stdout


def test_the_doctor_without_redis_tells_so(environment: dict[str, str]) -> None:
    """Exit code 3, and no password."""
    url = f"redis://:hunter2@127.0.0.1:{free_port()}/0"
    told = typed("doctor", environment=environment | {"THREELANE_REDIS_URL": url})
    assert 3 == told.returncode
    assert "start Redis, or correct THREELANE_REDIS_URL" in " ".join(told.stdout.split())
    assert "hunter2" not in told.stdout + told.stderr


def test_a_message_is_listed_searched_for_and_explained(house: House, environment: dict[str, str]) -> None:
    """As a person asks; numbers are masked for people, and the text is nowhere."""
    draft = house.draft(text="Your code is 4711", batch="june", clientMessageId="order1", lane=1)
    house.accept([draft])
    house.attempt(draft.message.id, AttemptOutcome(OutcomeKind.REFUSED, code="901", text="[b] busy"), lane=1)
    for words in (["list", "--batch", "june"], ["search", "order1"], ["list", "--state", "scheduled", "--to", ZA]):
        told = typed(*words, environment=environment)
        assert (0, True) == (told.returncode, draft.message.id in told.stdout), words
        assert ZA not in told.stdout
        assert [draft.message.id] == [
            one["id"] for one in json.loads(typed(*words, "--json", environment=environment).stdout)
        ]
    told = typed("explain", draft.message.id, environment=environment)
    assert 0 == told.returncode
    for part in ("accepted", "first attempt", "internal_error", "retry", "estimated 1", "[b] busy", "not recorded"):
        assert part in told.stdout
    story = json.loads(typed("explain", draft.message.id, "--json", environment=environment).stdout)
    assert ("901", "retry") == (story["rule"]["code"], story["pending"]["cause"])
    assert "4711" not in told.stdout + json.dumps(story)
    assert "no message matches" in typed("list", "--batch", "july", environment=environment).stdout
    for words in (["explain", "nothing"], ["search", "nothing"], ["status", "nothing"]):
        assert 6 == typed(*words, environment=environment).returncode
