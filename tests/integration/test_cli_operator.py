"""The operator's levers as they are typed: dead letters, holds, prefixes, the doctor, one message's story."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from tests.properties.system import System, open_system
from tests.servers import RedisServer, free_port, typed
from threelane.contract.prices import CREDIT
from threelane.runtime.exits import Exit
from threelane.store import keys, missing, suppression
from threelane.store.states import Status
from threelane.store.tally import Count
from threelane.worker.account import balance, hold
from threelane.worker.dead import redrive as dead_letters
from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind
from threelane.worker.inbound.report import StatusReport
from threelane.worker.send.settle import Settlement

ZA = "27831234567"


@pytest.fixture
def system(redis_server: RedisServer, client: redis.Redis) -> Iterator[System]:
    assert client.ping()
    with open_system(redis_server) as made:
        made.now = int(client.time()[0]) * 1000
        yield made


@pytest.fixture
def environment(redis_server: RedisServer) -> dict[str, str]:
    return {"THREELANE_REDIS_URL": redis_server.url, "COLUMNS": "200"}


def dead(system: System, code: str, **fields: Any) -> str:
    draft = system.draft(**fields)
    system.accept([draft])
    system.attempt(draft.message.id, AttemptOutcome(OutcomeKind.REFUSED, code=code), draft.message.lane)
    return draft.message.id


def test_dead_letters_are_listed_shown_rehearsed_and_redriven(
    system: System, environment: dict[str, str], client: redis.Redis
) -> None:
    """By code, owner, producer and lane; the dry run does nothing."""
    of_shop = dead(system, "113", producer="shop")
    others = [dead(system, "302", lane=1) for _ in range(3)]
    listed = json.loads(typed("dead", "list", "--owner", "producer", "--json", environment=environment).stdout)
    assert {of_shop, *others} == {one["id"] for one in listed}
    assert [] == json.loads(typed("dead", "list", "--owner", "gateway", "--json", environment=environment).stdout)
    assert of_shop in typed("dead", "list", "--producer", "shop", environment=environment).stdout
    assert "too_many_parts" in typed("dead", "show", of_shop, environment=environment).stdout

    reported = json.loads(
        typed("dead", "redrive", "--lane", "1", "--dry-run", "--json", environment=environment).stdout
    )
    assert (3, 3, 3 * CREDIT, True) == tuple(
        reported[name] for name in ("messages", "parts", "estimate_millionths", "dry_run")
    )
    assert 4 == client.zcard(keys.DEAD)
    completed = typed("dead", "redrive", "--lane", "1", "--dry-run", environment=environment)
    assert "3 would be redriven (3 parts, about 3.00 credits): 302 (3)" in completed.stdout

    done = typed("dead", "redrive", "--lane", "1", "--a-second", "1000", "--json", environment=environment)
    assert {"redriven": 3, "expired": 0, "over_budget": 0} == json.loads(done.stdout)
    assert (1, 3) == (client.zcard(keys.DEAD), client.zcard(keys.QUEUED[1]))


def test_a_redrive_that_matches_nothing_has_an_exit_code_of_its_own(
    system: System, environment: dict[str, str]
) -> None:
    """A script sees that the filter is wrong; the hold that ``resume --redrive`` lifts is lifted all the same."""
    letter = dead(system, "113")
    for words in (["redrive", "301"], ["dead", "redrive", "--batch", "no-such-batch"]):
        for more in ([], ["--dry-run"], ["--json"]):
            done = typed(*words, *more, environment=environment)
            assert (Exit.NO_MATCH, "no dead letter matches\n") == (done.returncode, done.stderr)
    assert Exit.OK == typed("resume", "--redrive", "301", environment=environment).returncode
    assert Exit.OK == typed("redrive", "113", "--dry-run", environment=environment).returncode
    assert letter in typed("dead", "list", environment=environment).stdout


def test_an_empty_filter_is_refused(system: System, environment: dict[str, str]) -> None:
    """A shell variable without a value would make the command one for all messages."""
    dead(system, "113")
    for words in (
        ["redrive", ""],
        ["dead", "redrive", "--code", "", "--lane", "3"],
        ["cancel", "--batch", "", "--lane", "3"],
    ):
        done = typed(*words, environment=environment)
        assert Exit.USAGE == done.returncode
        assert "it is empty" in done.stderr


def test_messages_in_doubt_or_ended_are_not_redriven(
    system: System, environment: dict[str, str], client: redis.Redis
) -> None:
    """By id each has its reason; nothing but the dead letter moves."""
    letter = dead(system, "113")
    ids = {}
    for name, outcome in (
        ("in_doubt", AttemptOutcome(OutcomeKind.LOST)),
        ("under_way", AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id="g")),
    ):
        draft = system.draft()
        system.accept([draft])
        system.attempt(draft.message.id, outcome)
        ids[name] = draft.message.id
    ids["ended"] = dead(system, "113")
    system.cancel([ids["ended"]])
    ids["unknown"] = "0" * 32
    before = system.glance(list(ids.values()))
    completed = typed("dead", "redrive", letter, *ids.values(), "--json", environment=environment)
    answers = {one["id"]: one["answer"] for one in json.loads(completed.stdout)}
    assert (1, {letter: "redriven"} | {message_id: name for name, message_id in ids.items()}) == (
        completed.returncode,
        answers,
    )
    assert before.records == system.glance(list(ids.values())).records
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
def test_a_redrive_without_a_criterion_is_refused(environment: dict[str, str], words: list[str]) -> None:
    """Exit code 2, and what would be right."""
    completed = typed("dead", *words, environment=environment)
    assert (2, "") == (completed.returncode, completed.stdout)
    assert completed.stderr


def test_a_redrive_is_paced(system: System) -> None:
    """So many a second, by a clock that the test holds."""
    for _ in range(25):
        dead(system, "113")
    slept: list[float] = []
    lots = dead_letters.redrive_paced(
        system.sync, Nothing(), dead_letters.Filter(code="113"), lambda: system.now, a_second=10, sleep=slept.append
    )
    assert [10, 10, 5] == [lot["redriven"] for lot in lots]
    assert [1.0, 1.0, 0.5] == slept


class Nothing:
    """Publishes no nudge."""

    def publish(self, lane: int, ids: list[str], account: str = "") -> None:
        """Do nothing."""


def test_something_is_held_by_hand_and_resumed(
    environment: dict[str, str], client: redis.Redis, system: System
) -> None:
    """With a cause; an existing hold is reported."""
    completed = typed("hold", "sender:ACME", "--cause", "wrong link [b]", environment=environment)
    assert (0, "sender:ACME is on hold until threelane resume sender:ACME\n") == (
        completed.returncode,
        completed.stdout,
    )
    completed = typed("pause", "3", "--cause", "newsletter", "--minutes", "30", "--json", environment=environment)
    assert ("lane:3", "newsletter", None) == tuple(
        json.loads(completed.stdout)[name] for name in ("scope", "cause", "replaced")
    )
    again = typed("hold", "sender:ACME", "--cause", "still", environment=environment)
    assert "replaces the hold by_hand wrong link [b]" in again.stdout
    assert (b"1", b"1") == (client.hget(keys.TALLY, "held:sender"), client.hget(keys.TALLY, "held:lane"))
    listed = json.loads(typed("holds", "--json", environment=environment).stdout)
    assert {"sender:ACME": 0, "lane:3": json.loads(completed.stdout)["until"]} == {
        s: one["until"] for s, one in listed.items()
    }

    assert "lane:3 resumed" in typed("resume", "3", environment=environment).stdout
    assert {"scope": "sender:ACME", "resumed": True} == json.loads(
        typed("resume", "sender:ACME", "--json", environment=environment).stdout
    )
    assert {} == hold.holds(client, system.now)


def test_a_hold_by_hand_holds_and_its_resume_lets_go(system: System) -> None:
    """A lane as a whole, and a prefix among others."""
    draft = system.draft(to="27831234567")
    system.accept([draft])
    hold.put(system.sync, "lane:3", "test", system.now)
    assert system.claim(3, [draft.message.id], "one").held
    hold.resume(system.sync, "lane:3", system.now)
    hold.put(system.sync, "prefix:2783", "test", system.now, system.now + 60_000)
    assert [] == system.claim(3, [draft.message.id], "two").claimed
    system.now += 60_001
    system.release()
    assert 1 == len(system.claim(3, [draft.message.id], "three").claimed)


def test_a_manual_hold_is_lifted_only_manually(system: System) -> None:
    """Neither credit that is there again nor other credentials end it, nor a hold of the gateway's that came later."""
    refused = system.take()
    (claimed,) = system.claim(3, [refused], "token").claimed
    hold.put(system.sync, "account", "audit", system.now)
    assert not system.run(balance.lift(system.client, system.now))
    assert not hold.is_of_settings(hold.holds(system.sync, system.now)["account"])
    outcome = AttemptOutcome(OutcomeKind.REFUSED, "301", "No credit left")
    assert [True] == system.settle([Settlement(claimed, outcome, system.judge(claimed, outcome))])
    assert "audit" == hold.holds(system.sync, system.now)["account"].cause
    assert hold.resume(system.sync, "account", system.now)


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
def test_an_invalid_hold_is_refused(
    environment: dict[str, str], client: redis.Redis, words: list[str], sentence: str
) -> None:
    """Exit code 2, nothing done, and what would be right."""
    completed = typed(*words, environment=environment)
    assert (2, "") == (completed.returncode, completed.stdout)
    assert sentence in completed.stderr
    assert not client.exists(keys.HOLDS)


def test_a_prefix_shows_its_hold_its_price_and_whether_it_is_sent_to(
    environment: dict[str, str], client: redis.Redis, system: System
) -> None:
    """One, or all that there are."""
    hold.put(client, "prefix:2783", "down", system.now)
    client.hset(keys.PRICES, "ZA", CREDIT // 4)
    more = environment | {"THREELANE_PRICES": "2799=0.5,*=1", "THREELANE_ALLOW_ONLY": "27831234567,2799*"}
    one = json.loads(typed("prefix", "27831", "--json", environment=more).stdout)
    assert ("ZA", 0.25, ["prefix:2783"], "some") == tuple(
        one[name] for name in ("country", "price", "held_by", "allowed")
    )
    assert (
        "2799 (ZA): not on hold, 0.5 credits per part, allowed: yes" in typed("prefix", "2799", environment=more).stdout
    )
    printed = typed("prefix", environment=more).stdout
    assert "prefix:2783 is on hold: by_hand down" in printed
    assert "ZA costs 0.25 credits per part, from the last charge" in printed


def test_the_doctor_lists_each_finding_with_its_owner_and_the_command_that_fixes_it(
    system: System, environment: dict[str, str], client: redis.Redis
) -> None:
    """No worker, a hold, dead letters by owner, a silent endpoint; each with the command that helps."""
    dead(system, "113")
    dead(system, "301")
    for outcome in (None, AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id="g"), AttemptOutcome(OutcomeKind.LOST)):
        draft = system.draft(lane=1)
        system.accept([draft])
        if outcome:
            hold.resume(client, "account", system.now)
            client.delete(keys.RATE)
            system.attempt(draft.message.id, outcome, lane=1)
    hold.put(client, "account", "audit", system.now)
    client.zadd(keys.QUEUED[1], {draft.message.id: 1, "x" * 32: 1})
    completed = typed("doctor", "--json", environment=environment)
    findings = {(one["what"], one["grade"], one["owner"]): one for one in json.loads(completed.stdout)}
    assert 5 == completed.returncode
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


def test_the_doctor_reports_messages_without_a_nudge(
    system: System, environment: dict[str, str], client: redis.Redis
) -> None:
    """Each kind with what to check; what is older than a quarter of an hour is not a problem of now."""
    missing.count(client, Count.UNPUBLISHED, {1: 3}, system.now)
    missing.count(client, Count.FOUND, {1: 2}, system.now - 5_000)
    missing.count(client, Count.SWEPT, {3: 4}, system.now - missing.RECENT_MS)
    missing.count(client, Count.SWEPT_AGAIN, {2: 1}, system.now)
    completed = typed("doctor", "--json", environment=environment)
    found = [one for one in json.loads(completed.stdout) if one["what"] == "nudges"]

    assert [("warning", "lane 1: 3"), ("warning", "lane 1: 2"), ("error", "lane 2: 1")] == [
        (one["grade"], one["detail"].partition(" messages")[0]) for one in found
    ]
    assert " s ago" in found[1]["detail"]
    assert "threelane check" in found[0]["step"]
    assert {"operator"} == {one["owner"] for one in found}


def test_the_doctor_finds_nothing_where_nothing_is_wrong(
    system: System, environment: dict[str, str], client: redis.Redis
) -> None:
    """A worker that reports, lanes that are fetched, an endpoint that gets callbacks."""
    client.zadd(keys.WORKERS, {"w": system.now})
    report = {"beat": system.now, "fetched": system.now, "lanes": "1,2,3", "rate": 100, "incarnation": "a"}
    client.hset(keys.worker("w"), mapping=report)
    client.set(keys.HEARD, system.now)
    client.hset(keys.BALANCE, mapping={"credits": CREDIT, "left": CREDIT, "at": system.now})
    credentials = {f"THREELANE_CLICKATELL_{name}": "x" for name in ("API_ID", "USER", "PASSWORD")}
    guarded = credentials | {"THREELANE_CALLBACK_SECRET": "a1b2c3d4e5f60718"}
    client.config_set("maxmemory", "1gb")
    try:
        completed = typed("doctor", "--json", environment=environment | guarded)
    finally:
        client.config_set("maxmemory", "0")
    assert (0, {"ok"}) == (completed.returncode, {one["grade"] for one in json.loads(completed.stdout)}), (
        completed.stdout
    )


def test_the_doctor_reports_why_a_worker_sends_nothing_and_proposes_no_restart(
    system: System, environment: dict[str, str], client: redis.Redis
) -> None:
    """A restart would neither correct a password nor bring the broker back; top shows the same reason."""
    reason = "login: Clickatell refuses the credentials (001)"
    for name, more in (("w1", {"not_ready": reason, "incarnation": "a"}), ("old", {})):
        client.zadd(keys.WORKERS, {name: system.now})
        client.hset(keys.worker(name), mapping={"beat": system.now, "fetched": system.now, "lanes": "1,2,3", **more})
    found = json.loads(typed("doctor", "--json", environment=environment).stdout)
    workers = {one["what"]: one for one in found if one["what"] == "worker"}
    (earlier,) = [one for one in found if one["what"] == "workers" and one["grade"] == "warning"]

    assert f"worker w1 is not ready: {reason}" == workers["worker"]["detail"]
    assert (
        "remove the reason; unless that is a setting of the worker, it goes on without a restart"
        == workers["worker"]["step"]
    )
    assert earlier["detail"].startswith("old: an earlier version")
    shown = json.loads(typed("top", "--json", environment=environment).stdout)["workers"]
    assert {"w1": reason, "old": ""} == {one["name"]: one["fault"] for one in shown}


def test_the_doctor_names_messages_that_made_our_code_fail(
    system: System, environment: dict[str, str], client: redis.Redis
) -> None:
    """Their cause is in the code, so the operator reports them before a redrive."""
    dead(system, "301")
    (message_id,) = client.zrange(keys.DEAD, 0, -1)
    client.hset(keys.record(message_id.decode()), mapping={"code": "internal_error", "reason": "internal_error"})
    found = json.loads(typed("doctor", "--json", environment=environment).stdout)
    (poison,) = [one for one in found if one["what"] == "dead letters"]

    assert "1 made the code of Threelane or of an added gateway fail (internal_error)" == poison["detail"]
    assert "threelane dead redrive --code internal_error" in poison["step"]


def test_the_doctor_reports_a_missing_redis(environment: dict[str, str]) -> None:
    """Exit code 3, and no password."""
    url = f"redis://:hunter2@127.0.0.1:{free_port()}/0"
    completed = typed("doctor", environment=environment | {"THREELANE_REDIS_URL": url, "COLUMNS": "400"})
    assert 3 == completed.returncode
    assert "start Redis, or correct THREELANE_REDIS_URL" in " ".join(completed.stdout.split())
    assert "hunter2" not in completed.stdout + completed.stderr


def test_a_message_is_listed_searched_for_and_explained(system: System, environment: dict[str, str]) -> None:
    """As a person types it; numbers are masked for people, and the text is nowhere."""
    draft = system.draft(text="Your code is 4711", batch="june", clientMessageId="order1", lane=1)
    system.accept([draft])
    system.attempt(draft.message.id, AttemptOutcome(OutcomeKind.REFUSED, code="901", text="[b] busy"), lane=1)
    for words in (["list", "--batch", "june"], ["search", "order1"], ["list", "--state", "scheduled", "--to", ZA]):
        completed = typed(*words, environment=environment)
        assert (0, True) == (completed.returncode, draft.message.id in completed.stdout), words
        assert ZA not in completed.stdout
        assert [draft.message.id] == [
            one["id"] for one in json.loads(typed(*words, "--json", environment=environment).stdout)
        ]
    completed = typed("explain", draft.message.id, environment=environment)
    assert 0 == completed.returncode
    for part in ("accepted", "first attempt", "internal_error", "retry", "estimated 1", "[b] busy", "not recorded"):
        assert part in completed.stdout
    story = json.loads(typed("explain", draft.message.id, "--json", environment=environment).stdout)
    assert ("901", "retry") == (story["rule"]["code"], story["pending"]["cause"])
    assert "4711" not in completed.stdout + json.dumps(story)
    assert "no message matches" in typed("list", "--batch", "july", environment=environment).stdout
    for words in (["explain", "nothing"], ["search", "nothing"], ["status", "nothing"]):
        assert 6 == typed(*words, environment=environment).returncode


def test_an_old_refusal_of_a_delivered_message_is_shown_as_history(system: System, environment: dict[str, str]) -> None:
    """It is of an earlier attempt: "is delivered: 301 no_credit" would be no outcome."""
    draft = system.draft(lane=1)
    system.accept([draft])
    message = draft.message.id
    system.attempt(message, AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id="a1" * 16), lane=1)
    system.sync.hset(keys.record(message), mapping={"code": "301", "reason": "no_credit"})
    system.receive([StatusReport(message, "a1" * 16, "004", Status.DELIVERED)])
    lines = typed("explain", message, environment=environment).stdout.splitlines()
    assert f"{message} is delivered" == lines[0]
    assert ["earlier attempt failed: 301 no_credit"] == [" ".join(one.split()) for one in lines if "earlier att" in one]
    assert "no_credit" not in typed("search", message, environment=environment).stdout


def test_what_a_gateway_or_a_recipient_wrote_has_no_effect_on_the_terminal(
    system: System, environment: dict[str, str], client: redis.Redis
) -> None:
    """It could clear the screen, change the title or reverse the line; an operator sees escapes instead."""
    evil = "[/red] \x1b[2J\x9b2J \x1b]0;title\x07 \u202e \u2028"
    draft = system.draft()
    system.accept([draft])
    outcome = AttemptOutcome(OutcomeKind.REFUSED, code="113", text=evil)
    system.attempt(draft.message.id, outcome, draft.message.lane)
    suppression.add(client, [(ZA, suppression.Entry(source="STOP", evidence=evil, first=1, last=1))])

    printed = "".join(
        typed(*command, environment=environment).stdout
        for command in (
            ("dead", "list"),
            ("dead", "show", draft.message.id),
            ("explain", draft.message.id),
            ("suppress", "why", ZA),
            ("suppress", "list"),
            ("suppress", "export"),
            ("top", "--once"),
            ("dead", "show", draft.message.id, "--json"),
        )
    )
    assert [] == [one for one in printed if one != "\n" and not one.isprintable()]
    assert r"\x1b[2J\x9b2J" in printed
    assert r"\u202e" in printed
