"""Inferred holds: codes of single messages hold a sender or a prefix only as far as they prove, and not for long."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from random import Random

import msgspec
import pytest
import redis

from tests.integration.conftest import Workers, attempts
from tests.properties.system import System
from tests.servers import RedisServer, typed, wait_until
from threelane import Accepted, Producer, Status
from threelane.contract import phone
from threelane.sandbox.running import Running
from threelane.store import keys
from threelane.worker.account import hold
from threelane.worker.account.hold import Evidence, Held
from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind
from threelane.worker.send.claim import Claimed
from threelane.worker.send.settle import Settlement

NO_ROUTE = AttemptOutcome(OutcomeKind.REFUSED, "114")
TAKEN = AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id="g" * 32)
ZA, GB, US = "27831234567", "447700900123", "12025550123"
ALL = "prefix:2783123"
PREFIX = f"{ALL}@-"  # of messages without a producer
MINUTE = 60_000
CREDENTIALS = {f"THREELANE_CLICKATELL_{name}": "sandbox" for name in ("API_ID", "USER", "PASSWORD")}


def neighbour(number: int) -> str:
    """Return a number of the prefix."""
    return f"2783123{number:04d}"


def taken_in(system: System, lane: int = 3, **fields: object) -> str:
    (answer,) = system.accept([system.draft(userPriorityQueue=lane, **fields)])
    assert isinstance(answer, Accepted)
    return answer.id


def claimed(system: System, message_id: str, lane: int = 3) -> Claimed | None:
    """Return the claim of a message, or None if something holds it."""
    found = system.claim(lane, [message_id], f"token of {message_id}").claimed
    return found[0] if found else None


def goes(system: System, lane: int = 3, **fields: object) -> bool:
    """Return whether a new message is claimed."""
    return claimed(system, taken_in(system, lane, **fields), lane) is not None


def tries(system: System, outcome: AttemptOutcome, lane: int = 3, **fields: object) -> None:
    """Make an attempt at a new message."""
    system.attempt(taken_in(system, lane, **fields), outcome, lane)


def refuse(system: System, numbers: Sequence[str], outcome: AttemptOutcome = NO_ROUTE, **fields: object) -> None:
    for number in numbers:
        tries(system, outcome, to=number, **fields)


def held(system: System) -> dict[str, Held]:
    return hold.holds(system.sync, system.now)


def test_one_number_without_a_route_holds_no_other(system: System) -> None:
    """114 concerns that number: a prefix has ten thousand others, and a code to each of them is waited for."""
    refuse(system, [neighbour(0)])
    assert {} == held(system)
    assert [True] * 30 == [goes(system, lane, to=neighbour(number)) for lane in (1, 2, 3) for number in range(1, 11)]


def test_failures_of_the_same_number_hold_no_other(system: System) -> None:
    """Ten failures of one number prove nothing about another."""
    refuse(system, [neighbour(0)] * 10)
    assert {} == held(system)


def test_some_failures_among_many_successes_hold_nothing(system: System) -> None:
    """Five wrong numbers in a list of five hundred are five dead letters, in whatever order they come."""
    random = Random(7)
    outcomes = [NO_ROUTE] * 5 + [TAKEN] * 495
    random.shuffle(outcomes)
    for start in range(0, 500, 50):
        ids = [taken_in(system, to=neighbour(start + place)) for place in range(50)]
        claims = system.claim(3, ids, "token").claimed
        ends = zip(claims, outcomes[start : start + 50], strict=True)
        system.settle([Settlement(one, outcome, system.judge(one, outcome)) for one, outcome in ends])
        assert {} == held(system)


def test_successes_of_the_same_request_count_before_the_failures(system: System) -> None:
    """Five of a hundred fail in one answer, as on the XML API: most there did not."""
    ids = [taken_in(system, to=neighbour(number)) for number in range(99)]
    claims = system.claim(3, ids, "token").claimed
    ends = [(one, NO_ROUTE if place < 5 else TAKEN) for place, one in enumerate(claims)]
    system.settle([Settlement(one, outcome, system.judge(one, outcome)) for one, outcome in ends])
    assert {} == held(system)


def test_failures_that_are_minutes_apart_hold_nothing(system: System) -> None:
    """A wrong number now and then is what every list has."""
    for number in range(10):
        refuse(system, [neighbour(number)])
        system.now += 3 * MINUTE
    assert {} == held(system)


def test_several_numbers_without_a_route_hold_their_prefix_for_minutes(system: System) -> None:
    """Lanes 2 and 3 wait, codes try their luck; the numbers beside the prefix have nothing to do with it."""
    refuse(system, [neighbour(number) for number in range(5)])
    ((scope, one),) = held(system).items()
    assert (PREFIX, "114", system.now + 5 * MINUTE) == (scope, one.code, one.until)
    assert Evidence(messages=5, tried=5, numbers=5, since=system.now) == one.evidence
    assert [True, False, False] == [goes(system, lane, to=neighbour(9)) for lane in (1, 2, 3)]
    assert goes(system, to="27831249999"), "beside it"
    system.now += 5 * MINUTE
    assert goes(system, to=neighbour(9)), "its time is over"


def test_one_message_an_interval_tests_a_prefix_on_hold_and_an_acceptance_lifts_it(system: System) -> None:
    """A network that is back is known after a minute, not after the hold's time; the messages that wait go then."""
    refuse(system, [neighbour(number) for number in range(5)])
    waits = [taken_in(system, to=neighbour(number)) for number in range(10, 15)]
    assert [None] * 5 == [claimed(system, one) for one in waits]
    system.now += MINUTE
    assert {3: 5} == {lane: len(ids) for lane, ids in system.release().items()}
    probes = [one for one in (claimed(system, one) for one in waits) if one]
    assert 1 == len(probes)
    system.settle([Settlement(probes[0], TAKEN, system.judge(probes[0], TAKEN))])
    assert {} == held(system)
    assert (1, 1) == (system.glance([]).tally["hold_probed:prefix"], system.glance([]).tally["healed:prefix"])
    system.now += MINUTE
    system.release()
    assert 4 == len([one for one in waits if claimed(system, one)])
    assert not system.sync.exists(keys.SUSPECTS), "what was learned before proves nothing any more"


def test_a_probe_that_fails_renews_the_hold(system: System) -> None:
    """For its whole time from then, with what it adds to the evidence."""
    refuse(system, [neighbour(number) for number in range(5)])
    since = system.now
    system.now += 2 * MINUTE
    refuse(system, [neighbour(5)])
    one = held(system)[PREFIX]
    assert (since, system.now + 5 * MINUTE) == (one.since, one.until)
    assert Evidence(messages=6, tried=6, numbers=6, since=since) == one.evidence
    assert not goes(system, to=neighbour(6)), "the next probe is due a minute later"


@pytest.mark.parametrize(("outcome", "is_held"), [(TAKEN, False), (NO_ROUTE, True)])
def test_a_code_to_a_prefix_on_hold_is_its_probe(system: System, outcome: AttemptOutcome, is_held: bool) -> None:
    """What lane 1 sends there is evidence, and no newsletter needs to be tried beside it."""
    refuse(system, [neighbour(number) for number in range(5)])
    system.now += MINUTE
    code = claimed(system, taken_in(system, 1, to=neighbour(7)), 1)
    assert code
    assert not goes(system, to=neighbour(8)), "the code is the probe of this minute"
    system.settle([Settlement(code, outcome, system.judge(code, outcome))])
    assert is_held is (PREFIX in held(system))


def test_a_message_claimed_before_the_hold_does_not_lift_it(system: System) -> None:
    """Its response came late: it proves no more about the present than those that failed."""
    early = claimed(system, taken_in(system, to=neighbour(9)))
    assert early
    system.now += 1
    refuse(system, [neighbour(number) for number in range(5)])
    system.settle([Settlement(early, TAKEN, system.judge(early, TAKEN))])
    assert [PREFIX] == list(held(system))


@pytest.mark.parametrize("code", ["106", "123"])
def test_a_country_that_refuses_a_sender_holds_it_there_alone(system: System, code: str) -> None:
    """Other countries, other senders and lane 1 go on; it heals without an operator."""
    refused = AttemptOutcome(OutcomeKind.REFUSED, code)
    refuse(system, [US], refused, sender="ACME")
    ((scope, one),) = held(system).items()
    assert ("sender:ACME:US@-", 0, Evidence(1, 1, 1, system.now)) == (scope, one.until, one.evidence)
    assert [True, True] == [goes(system, to=number, sender="ACME") for number in (ZA, GB)]
    assert [True, True] == [goes(system, to=US, sender="OTHER"), goes(system, to=US)]
    assert [True, False, False] == [goes(system, lane, to=US, sender="ACME") for lane in (1, 2, 3)]
    system.now += 10 * MINUTE
    tries(system, refused, to=US, sender="ACME")
    assert Evidence(2, 2, 1, one.since) == held(system)["sender:ACME:US@-"].evidence
    assert not goes(system, to=US, sender="ACME")
    system.now += 10 * MINUTE
    tries(system, TAKEN, to=US, sender="ACME")
    assert {} == held(system)


@pytest.mark.parametrize("scope", ["sender:ACME", "sender:ACME:ZA", ALL, "prefix:27", "lane:1", "account"])
def test_a_hold_of_an_operator_applies_to_lane_1(system: System, scope: str) -> None:
    """It was set on purpose: no code, no probe and no acceptance passes or lifts it, at any time."""
    early = [claimed(system, taken_in(system, lane, sender="ACME"), lane) for lane in (1, 3)]
    hold.put(system.sync, scope, "wrong link", system.now)
    system.settle([Settlement(one, TAKEN, system.judge(one, TAKEN)) for one in early if one])
    for _ in range(3):
        assert not goes(system, 1, sender="ACME")
        system.now += 60 * MINUTE
    assert [hold.BY_HAND] == [one.code for one in held(system).values()]


def test_no_code_replaces_the_hold_of_an_operator(system: System) -> None:
    """It would give lane 1 a way past it, and end it with a probe."""
    early = [claimed(system, taken_in(system, to=neighbour(number))) for number in range(6)]
    hold.put(system.sync, ALL, "wrong link", system.now, system.now + MINUTE)
    system.settle([Settlement(one, NO_ROUTE, system.judge(one, NO_ROUTE)) for one in early if one])
    assert hold.BY_HAND == held(system)[ALL].code
    assert not goes(system, 1)


@pytest.mark.parametrize(("scope", "code", "until"), [(ALL, "114", 3600_000), ("sender:ACME", "106", 0)])
def test_a_hold_of_an_older_version_is_an_inferred_one(system: System, scope: str, code: str, until: int) -> None:
    """It has no evidence and no probes: lane 1 ignores it, and the next message tests it."""
    until = system.now + until if until else 0
    system.sync.hset(keys.HOLDS, scope, f'{{"code":"{code}","cause":"x","since":{system.now},"until":{until}}}')
    assert [True, False] == [goes(system, lane, sender="ACME") for lane in (1, 3)]
    system.now += MINUTE
    tries(system, TAKEN, sender="ACME")
    assert {} == held(system)


class OldHeld(msgspec.Struct, frozen=True):
    """A hold as older workers read it."""

    code: str
    cause: str
    since: int
    until: int
    credentials: str = ""


def test_an_older_worker_reads_the_new_holds(system: System) -> None:
    """A fleet is upgraded one worker after the other."""
    refuse(system, [neighbour(number) for number in range(5)])
    refuse(system, [GB], AttemptOutcome(OutcomeKind.REFUSED, "301"))
    system.now += MINUTE
    stored = {
        scope.decode(): msgspec.json.decode(entry, type=OldHeld)
        for scope, entry in system.sync.hgetall(keys.HOLDS).items()  # type: ignore[union-attr]
    }
    assert {
        PREFIX: ("114", "cannot_route", system.now - MINUTE, system.now + 4 * MINUTE),
        "account": ("301", "no_credit", system.now - MINUTE, 0),
    } == {scope: (one.code, one.cause, one.since, one.until) for scope, one in stored.items()}


def test_each_report_shows_what_a_hold_was_learned_from(system: System, redis_server: RedisServer) -> None:
    """Code, messages, different numbers, since when: for people and for programs."""
    system.now = int(time.time() * 1000)
    refuse(system, [neighbour(number) for number in (0, 0, 1, 2, 3, 4)])
    waits = taken_in(system, to=neighbour(9))
    assert claimed(system, waits) is None
    environment = {"THREELANE_REDIS_URL": redis_server.url, "COLUMNS": "250"} | CREDENTIALS
    words = "6 messages to 5 numbers"
    for command in (("holds",), ("doctor",), ("explain", waits), ("top", "--once")):
        assert words in " ".join(typed(*command, environment=environment).stdout.split()), command
    expected = {"messages": 6, "tried": 6, "numbers": 5, "since": system.now}
    for command in (("holds", "--json"), ("health", "--json", "--worker", "web")):
        found = json.loads(typed(*command, environment=environment).stdout)
        assert expected == found.get("holds", found)[PREFIX]["evidence"]


NUMBERS = [neighbour(number) for number in range(5)]


def test_the_failures_of_one_producer_hold_no_other(system: System) -> None:
    """One refused message, or five wrong numbers, of any key must not stop what others send."""
    refuse(system, NUMBERS, producer="a")
    refuse(system, [US], AttemptOutcome(OutcomeKind.REFUSED, "106"), sender="ACME", producer="a")
    assert {f"{ALL}@a", "sender:ACME:US@a"} == held(system).keys()
    for named in ({"producer": "b"}, {"producer": "a/b"}, {}):
        for lane in (1, 2, 3):
            assert goes(system, lane, to=neighbour(9), **named)
            assert goes(system, lane, to=US, sender="ACME", **named)
    assert [False, True] == [goes(system, lane, to=neighbour(9), producer="a") for lane in (2, 1)]
    assert [False, True] == [goes(system, lane, to=US, sender="ACME", producer="a") for lane in (2, 1)]


def test_what_two_producers_show_holds_all(system: System) -> None:
    """The prefix, and not one list, is the cause: nobody else has to fail first. It shows the evidence of both."""
    refuse(system, NUMBERS, producer="a")
    refuse(system, NUMBERS[:4], producer="b")
    assert {f"{ALL}@a"} == held(system).keys(), "the second has failed less than a hold needs"
    refuse(system, NUMBERS[4:], producer="b")
    found = held(system)
    assert {ALL, f"{ALL}@a", f"{ALL}@b"} == found.keys()
    assert Evidence(messages=10, tried=10, numbers=10, since=system.now) == found[ALL].evidence
    assert [True, False] == [goes(system, lane, to=neighbour(9), producer="c") for lane in (1, 3)]


def test_an_accepted_message_lifts_the_hold_of_all_and_that_of_its_producer(system: System) -> None:
    """The other producers' own holds heal by their own probes."""
    for producer in ("a", "b"):
        refuse(system, NUMBERS, producer=producer)
    system.now += MINUTE
    tries(system, TAKEN, to=neighbour(7), producer="b")
    assert {f"{ALL}@a"} == held(system).keys()
    assert goes(system, to=neighbour(9), producer="c")


def test_a_producer_that_keeps_failing_uses_up_no_probe_of_others(system: System) -> None:
    """Its messages test its own hold; the first message of another tests the one of all."""
    for producer in ("a", "b"):
        refuse(system, NUMBERS, producer=producer)
    system.now += MINUTE
    assert goes(system, to=neighbour(7), producer="a")
    assert goes(system, to=neighbour(8), producer="c")
    assert not goes(system, to=neighbour(9), producer="c"), "that was the probe of this minute"


def test_resume_lifts_the_holds_of_all_producers_or_of_one(system: System) -> None:
    """An operator who resumes a prefix wants it to go, whoever failed there."""
    for producer in ("a", "x:y"):
        refuse(system, NUMBERS, producer=producer)
    assert hold.resume(system.sync, hold.parse_resumable(f"{ALL}@x:y"), system.now)
    assert {ALL, f"{ALL}@a"} == held(system).keys()
    assert hold.resume(system.sync, hold.parse_resumable(ALL), system.now)
    assert {} == held(system)
    assert not system.sync.exists(keys.SUSPECTS)


def test_the_holds_of_a_producer_are_bounded(system: System) -> None:
    """Each claim reads all holds: a producer that invents sender IDs must not slow it down for everybody."""
    for number in range(60):
        refuse(system, [US], AttemptOutcome(OutcomeKind.REFUSED, "106"), sender=f"ACME{number}", producer="a")
        system.now += 1
    refuse(system, [US], AttemptOutcome(OutcomeKind.REFUSED, "106"), sender="ACME", producer="b")
    assert 50 == len([scope for scope in held(system) if scope.endswith("@a")])
    assert {"sender:ACME59:US@a", "sender:ACME:US@b"} <= held(system).keys()


def test_explain_shows_that_a_code_waits_for_no_inferred_hold(system: System) -> None:
    """The prefix is on hold, for newsletters."""
    refuse(system, [neighbour(number) for number in range(5)])
    assert [PREFIX, ""] == [hold.stopping(held(system), lane, "", neighbour(9)) for lane in (3, 1)]
    hold.put(system.sync, "sender:ACME:ZA", "wrong link", system.now)
    found = [hold.stopping(held(system), 1, "ACME", to) for to in (neighbour(9), GB)]
    assert ["sender:ACME:ZA", ""] == found


@pytest.mark.parametrize(
    ("raw", "scope"),
    [
        ("sender:ACME", "sender:ACME"),
        ("sender:ACME:gb", "sender:ACME:GB"),
        ("sender:ACME:other", "sender:ACME:other"),
        ("sender:ACME:UK", None),  # which is GB
        ("sender:ACME:GB:ZA", None),
        ("sender::GB", None),
    ],
)
def test_a_sender_s_scope_may_name_a_country(raw: str, scope: str | None) -> None:
    """One that exists: a hold of another would stop nothing."""
    if scope is None:
        with pytest.raises(ValueError, match="sender:ACME:GB"):
            hold.parse_scope(raw)
    else:
        assert scope == hold.parse_scope(raw)


def test_evidence_is_forgotten_after_minutes(system: System, client: redis.Redis) -> None:
    """It has digests of numbers, and successes are counted as long as there is some."""
    refuse(system, [neighbour(0)])
    assert 0 < client.pttl(keys.SUSPECTS) <= 10 * MINUTE  # type: ignore[operator]
    (entry,) = client.hvals(keys.SUSPECTS)  # type: ignore[misc]
    assert neighbour(0).encode() not in entry


def test_evidence_is_bounded(system: System, client: redis.Redis) -> None:
    """A campaign to a network without a route fails a hundred thousand times; its evidence is some digests."""
    refuse(system, [neighbour(number) for number in range(200)][:4])
    early = [claimed(system, taken_in(system, to=neighbour(number))) for number in range(200)]
    system.settle([Settlement(one, NO_ROUTE, system.judge(one, NO_ROUTE)) for one in early if one])
    (entry,) = client.hvals(keys.SUSPECTS)  # type: ignore[misc]
    known = json.loads(entry)
    assert (204, 50) == (known["failed"], len(known["numbers"]))


@pytest.mark.slow
def test_suspects_are_bounded(system: System, client: redis.Redis) -> None:
    """A list of wrong numbers of all networks fails in each of them once; those of before make place for new ones."""
    for turn in range(2):
        numbers = [f"27{turn + 7}{prefix:04d}1111" for prefix in range(1_200)]
        for start in range(0, len(numbers), 60):
            ids = [taken_in(system, to=to) for to in numbers[start : start + 60]]
            ends = [Settlement(one, NO_ROUTE, system.judge(one, NO_ROUTE)) for one in system.claim(3, ids, "t").claimed]
            assert 60 == len(system.settle(ends))
        assert 1_000 == client.hlen(keys.SUSPECTS)
        system.now += 11 * MINUTE
        refuse(system, ["27991112222"])
        assert 1 == client.hlen(keys.SUSPECTS)


def unrouted(sandbox: Running, numbers: Sequence[str], times: int | None = None) -> None:
    faults = [{"do": "code", "code": "114", "to": one, "times": times} for one in numbers]
    sandbox.control("POST", "faults", faults)


def test_a_worker_sends_codes_and_newsletters_to_the_neighbours_of_a_dead_number(
    producer: Producer, sandbox: Running, workers: Workers, client: redis.Redis
) -> None:
    """One message is a dead letter; ten of ten codes and ten of ten newsletters beside it go."""
    unrouted(sandbox, ["27999500000"])
    bad = producer.send("27999500000", "Hello").id
    workers.start()
    wait_until(lambda: producer.status(bad).status is Status.DEAD, what="the dead letter")  # type: ignore[union-attr]
    ids = [producer.send(f"2799950{n:04d}", "Hello", lane=lane).id for lane in (1, 3) for n in range(1, 11)]
    wait_until(lambda: all(one and one.sent_at for one in producer.statuses(ids)), what="all neighbours")
    assert {} == hold.holds(client, 0)


def test_a_worker_holds_a_prefix_for_newsletters_and_a_probe_lifts_it(
    producer: Producer, sandbox: Running, workers: Workers, client: redis.Redis
) -> None:
    """Five numbers without a route: the newsletters wait, the codes go; once it has a route, all of them arrive."""
    scope = f"prefix:{phone.network('27999500000')}@-"
    unrouted(sandbox, [f"2799950000{n}" for n in range(5)], times=1)
    workers.start(hold_prefix_probe_seconds=4)
    bad = [producer.send(f"2799950000{n}", "Hello").id for n in range(5)]
    wait_until(lambda: client.hexists(keys.HOLDS, scope), what="the hold")
    unrouted(sandbox, [f"27999501{n:03d}" for n in range(5)], times=1)
    letters = [producer.send(f"2799950{n:04d}", "Hello").id for n in range(100, 120)]
    wait_until(lambda: client.zcard(keys.DUE[3]) >= 15, what="the newsletters to wait")
    code = producer.send("27999500999", "Your code is 4711", lane=1).id
    wait_until(lambda: producer.status(code).sent_at, what="the code")  # type: ignore[union-attr]
    wait_until(lambda: not client.hexists(keys.HOLDS, scope), what="the code to lift the hold")

    wait_until(lambda: all(one and one.sent_at for one in producer.statuses(letters)), 90, "the newsletters")
    assert {Status.DEAD} == {one.status for one in producer.statuses(bad) if one}
    assert {1} == {len(attempts(sandbox, one)) for one in (*letters, code)}


@pytest.mark.parametrize("code", ["106", "123"])
def test_a_worker_sends_to_other_countries_while_one_refuses_the_sender(
    producer: Producer, sandbox: Running, workers: Workers, client: redis.Redis, code: str
) -> None:
    """+1 refuses ACME: South Africa and Britain get theirs, newsletters too."""
    sandbox.control("POST", "faults", {"do": "code", "code": code, "to": "1", "times": None})
    workers.start()
    bad = producer.send(US, "Hello", sender="ACME").id
    wait_until(lambda: client.hexists(keys.HOLDS, "sender:ACME:US@-"), what="the hold")
    assert Status.DEAD is producer.status(bad).status  # type: ignore[union-attr]
    ids = [producer.send(to, "Hello", sender="ACME", lane=lane).id for to in ("27999500001", GB) for lane in (1, 3)]
    wait_until(lambda: all(one and one.sent_at for one in producer.statuses(ids)), what="the other countries")
    waits = producer.send(US, "Hello", sender="ACME").id
    wait_until(lambda: client.zscore(keys.DUE[3], waits), what="the one that waits")
