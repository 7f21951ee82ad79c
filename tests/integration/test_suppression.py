"""Suppression: a number on the list gets nothing, whichever check comes first, from any source of the entry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.integration.conftest import Workers, taken
from tests.properties.system import System, open_system
from tests.servers import RedisServer
from threelane import Accepted, Owner, Producer, Refused, Status
from threelane.contract import message
from threelane.contract.refusal import Refusal
from threelane.producer.accept import Admission
from threelane.sandbox.running import Running
from threelane.store import keys, registry, suppression
from threelane.store.status import MessageStatus
from threelane.store.suppression import OPERATOR, STOP, Entry
from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind
from threelane.worker.send.settle import Settlement

PERSON, SOMEBODY = "27831234567", "27831234568"
DAY = 24 * 3600 * 1000
Until = Callable[..., MessageStatus]


@pytest.fixture(scope="module")
def built(redis_server: RedisServer) -> Iterator[System]:
    """One for all examples of a test."""
    with open_system(redis_server, parts_per_second=100_000) as made:
        yield made


def accepted(system: System, **fields: Any) -> str:
    """Accept a message and return its id."""
    (answer,) = system.accept([system.draft(**fields)])
    assert isinstance(answer, Accepted), answer
    return answer.id


def answer(system: System, **fields: Any) -> Admission:
    return system.accept([system.draft(**fields)])[0]


def claims(system: System, message_id: str) -> bool:
    """Return whether a worker may attempt a message now."""
    claimed = system.claim(3, [message_id], f"token-{message_id}").claimed
    return [message_id] == [one.id for one in claimed]


def add(system: System, number: str = PERSON, **fields: Any) -> None:
    fields = {"source": OPERATOR, "first": system.now, "last": system.now} | fields
    suppression.add(system.sync, [(number, Entry(**fields))])


def meets(system: System, code: str, to: str = PERSON) -> None:
    """Send a message that the gateway refuses with a code."""
    (claimed,) = system.claim(3, [accepted(system, to=to)], f"token{system.now}").claimed
    outcome = AttemptOutcome(OutcomeKind.REFUSED, code, f"the gateway says {code}")
    assert [True] == system.settle([Settlement(claimed, outcome, system.judge(claimed, outcome))])


# Two checks.


def test_a_suppressed_number_is_refused_at_accept_and_others_are_not(system: System) -> None:
    """The answer has the time and the source of the entry, and the recipient as its owner."""
    add(system)
    refusal = answer(system, to="+27 83 123 4567")
    assert isinstance(refusal, Refusal)
    assert ("122", "to", Owner.RECIPIENT) == (refusal.code, refusal.field, refusal.owner)
    assert "the recipient is suppressed since 2027-01-15T08:00:00+00:00 by operator" == refusal.problem
    assert isinstance(answer(system, to=SOMEBODY), Accepted)


def test_a_batch_is_refused_row_by_row(system: System) -> None:
    """One suppressed number costs no other its message."""
    add(system)
    answers = system.accept([system.draft(to=to) for to in (PERSON, SOMEBODY, PERSON, SOMEBODY)])
    assert [False, True, False, True] == [one.accepted for one in answers]


def test_a_number_that_is_suppressed_while_its_message_waits_is_not_sent_to(system: System) -> None:
    """The claim checks again: the message is a dead letter of its recipient's, and its body can be redriven."""
    waiting, other = accepted(system, to=PERSON), accepted(system, to=SOMEBODY)
    add(system, code="121", source="code 121")
    assert [False, True] == [claims(system, waiting), claims(system, other)]
    record = system.glance([waiting]).records[waiting]
    expected = {"status": "dead", "code": "121", "reason": "suppressed", "owner": "recipient", "text": "by code 121"}
    assert expected == {name: record[name] for name in expected}
    assert 1 == system.glance([]).tally["dead:121:recipient"]
    assert waiting in system.glance([]).indexes[keys.DEAD]


def test_a_redriven_message_is_looked_at_again(system: System) -> None:
    """A dead letter that is put back is not sent past the list."""
    waiting = accepted(system, to=PERSON)
    add(system)
    assert not claims(system, waiting)
    assert 1 == system.redrive("122")["redriven"]
    assert not claims(system, waiting)
    assert 1 == suppression.lift(system.sync, PERSON)
    assert 1 == system.redrive("122")["redriven"]
    assert claims(system, waiting)


# fmt: off
SCOPES = {
    "all":              ("all",              [True, True, True, True, True, True]),
    "sender:Shop":      ("sender:Shop",      [False, True, False, False, False, True]),
    "sender:shop":      (" Sender: SHOP ",   [False, True, False, False, False, True]),
    "sender:sho":       ("sender:sho",       [False, False, False, False, False, False]),
    "number":           ("number:+1 2025550100", [True, False, True, True, True, False]),
    "lanes":            ("lanes: 3,2",       [True, True, True, True, True, True]),
    "other lanes":      ("lanes:1,2",        [False, False, False, False, False, False]),
    "all lanes":        ("lanes:1,2,3",      [True, True, True, True, True, True]),
    "tag:Promo":        ("tag:Promo ",       [False, False, False, True, True, False]),
    "sender: number":   ("sender:12025550100", [False, False, True, False, False, False]),
    "tag:promo":        ("tag:promo",        [False, False, False, True, True, False]),
    "tag:promo week 1": ("tag:promo week 1", [False, False, False, False, True, True]),
    "tag:week":         ("tag:week",         [False, False, False, False, False, False]),
    "tag of a pattern": ("tag:p.omo",        [False, False, False, False, False, False]),
}
MESSAGES: list[dict[str, Any]] = [
    {}, {"sender": "Shop"}, {"sender": "+1 202 555 0100"}, {"tags": ["news", "promo"]},
    {"tags": ["promo week 1", "promo"]}, {"sender": "Shop", "tags": ["promo week 1"]},
]
# fmt: on


@pytest.mark.parametrize(("scope", "stopped"), SCOPES.values(), ids=SCOPES)
def test_a_scope_stops_its_own_messages_and_no_others(system: System, scope: str, stopped: list[bool]) -> None:
    """At both checks alike."""
    waiting = [accepted(system, to=PERSON, **fields) for fields in MESSAGES]
    add(system, scope=suppression.parse_scope(scope))
    answers = [answer(system, to=PERSON, **fields) for fields in MESSAGES]
    assert stopped == [isinstance(one, Refusal) for one in answers]
    assert stopped == [not claims(system, one) for one in waiting]
    stored = suppression.parse_scope(scope)
    named = {f"the recipient is suppressed for {stored} since" in one.problem for one in answers if not one.accepted}
    assert named <= {stored != "all"}


@pytest.mark.parametrize(("scope", "stopped"), SCOPES.values(), ids=SCOPES)
def test_a_dry_run_sees_a_scope_as_the_scripts_do(scope: str, stopped: list[bool]) -> None:
    """Both read the same entry."""
    entry = Entry(source=STOP, scope=suppression.parse_scope(scope))
    parsed = [message.parse({"to": PERSON, "text": "x", **fields}, 0) for fields in MESSAGES]
    drafts = [one.message for one in parsed if not isinstance(one, Refusal)]
    assert stopped == [entry.covers(one.sender, one.tags, one.lane) for one in drafts]


@pytest.mark.parametrize(
    ("stored", "stopped"), [("sender: shop", True), ("SENDER:Shop", True), ("moon:full", True), ("sender:ship", False)]
)
def test_a_stored_scope_is_read_generously(system: System, stored: str, stopped: bool) -> None:
    """An earlier version stored it as it was written; a kind of a newer version forbids all messages."""
    add(system, scope=stored)
    assert stopped == isinstance(answer(system, to=PERSON, sender="Shop"), Refusal)
    assert stopped == Entry(source=STOP, scope=stored).covers("Shop", (), 3)


def test_two_spellings_of_a_scope_are_one_entry(system: System) -> None:
    """So that removing the one does not leave the other."""
    for scope in ("sender:Shop", "sender:shop", "sender: SHOP"):
        add(system, scope=scope)
    assert [3] == [one.times for one in suppression.why(system.sync, PERSON)]
    assert 1 == suppression.lift(system.sync, PERSON, scope="Sender:sHOP")


@pytest.mark.parametrize(
    ("scope", "problem"),
    [
        ("sender:Elevenletter", "matches no message"),
        ("sender:a,b", "matches no message"),
        ("number:", "not a scope"),
        ("lanes:4", "another lane"),
        ("lanes:", "another lane"),
        ("lanes:2;3", "another lane"),
        ("all:x", "not a scope"),
        ("tag:-x", "not a scope"),
        ("", "not a scope"),
        ("Sender", "not a scope"),
    ],
)
def test_a_scope_that_can_match_nothing_is_refused(scope: str, problem: str) -> None:
    """It would say "suppressed", and the messages would still go out."""
    with pytest.raises(ValueError, match=problem):
        suppression.parse_scope(scope)


def test_an_entry_ends_at_its_time(system: System) -> None:
    """To the millisecond, at both checks; it is kept as evidence, and when it is given again it starts again."""
    waiting = [accepted(system, to=PERSON) for _ in range(2)]
    add(system, expires=system.now + 5_000)
    system.now += 4_999
    assert isinstance(answer(system, to=PERSON), Refusal)
    assert not claims(system, waiting[0])
    system.now += 1
    assert isinstance(answer(system, to=PERSON), Accepted)
    assert claims(system, waiting[1])
    add(system, expires=system.now + 1_000, evidence="again")
    (entry,) = suppression.why(system.sync, PERSON)
    assert (1, system.now, "again") == (entry.times, entry.first, entry.evidence)
    assert isinstance(answer(system, to=PERSON), Refusal)


def test_an_entry_of_one_scope_that_ended_leaves_the_others(system: System) -> None:
    """A number may have several; each forbids for itself."""
    add(system, expires=system.now + 1)
    add(system, scope="tag:promo")
    system.now += 1
    assert isinstance(answer(system, to=PERSON), Accepted)
    assert isinstance(answer(system, to=PERSON, tags=["promo"]), Refusal)


# Three strikes.


def test_two_wrong_numbers_are_no_proof_and_three_suppress_for_90_days(system: System) -> None:
    """105 may be the gateway's mistake once; a number may be given to somebody else after a while."""
    meets(system, "105")
    system.now += DAY
    meets(system, "105")
    assert isinstance(answer(system, to=PERSON), Accepted)
    system.now += DAY
    meets(system, "105")
    refusal = answer(system, to=PERSON)
    assert isinstance(refusal, Refusal)
    assert ("105", "by code 105") == (refusal.code, refusal.problem[-len("by code 105") :])
    (entry,) = suppression.why(system.sync, PERSON)
    assert ("code 105", 3, 3, system.now + 90 * DAY, system.now - 2 * DAY) == (
        entry.source,
        entry.times,
        entry.needs,
        entry.expires,
        entry.first,
    )
    assert "the gateway says 105" == entry.evidence
    system.now += 90 * DAY - 1
    assert isinstance(answer(system, to=PERSON), Refusal)
    system.now += 1
    assert isinstance(answer(system, to=PERSON), Accepted)


def test_strikes_are_forgotten_with_the_entry(system: System) -> None:
    """After its 90 days a number needs three again: it may be somebody else's."""
    for _ in range(3):
        meets(system, "105")
    system.now += 90 * DAY
    for _ in range(2):
        meets(system, "105")
    assert isinstance(answer(system, to=PERSON), Accepted)
    meets(system, "105")
    assert isinstance(answer(system, to=PERSON), Refusal)


def test_strikes_of_another_number_do_not_count(system: System) -> None:
    """Each number has its own."""
    for _ in range(2):
        meets(system, "105")
        meets(system, "105", SOMEBODY)
    assert [True, True] == [isinstance(answer(system, to=to), Accepted) for to in (PERSON, SOMEBODY)]


def test_a_code_of_the_message_suppresses_nobody(system: System) -> None:
    """A wrong sender, an outage and an empty account are not about the recipient."""
    for code in ("101", "106", "113", "114", "123", "901", "301", "130"):
        meets(system, code)
        system.sync.delete(keys.HOLDS)
    assert () == tuple(suppression.why(system.sync, PERSON))


# Codes of the gateway.


@pytest.mark.parametrize(("gateway", "codes"), [("http", ("121", "122", "128")), ("one", ("26", "26", "26"))])
def test_a_number_that_the_gateway_blocks_is_on_the_list(
    sandbox: Running,
    producer: Producer,
    client: redis.Redis,
    workers: Workers,
    until: Until,
    gateway: str,
    codes: tuple[str, ...],
) -> None:
    """With the gateway's words as evidence; three invalid destinations as well; the gateway gets no further request."""
    workers.start(gateway=gateway)
    numbers = ["27999112100", "27999112200", "27999112800"]
    ids = [producer.send(number, "Hello").id for number in numbers]
    assert {Status.DEAD} == {until(one, Status.DEAD).status for one in ids}
    for number, code in zip(numbers, codes, strict=True):
        (entry,) = suppression.why(client, number)
        assert (f"code {code}", code, "all", 0, 1, 1) == (
            entry.source,
            entry.code,
            entry.scope,
            entry.expires,
            entry.times,
            entry.needs,
        )
        assert entry.evidence
        assert entry.first == entry.last > 1_700_000_000_000
        refusal = producer.try_send(number, "Hello again")
        assert isinstance(refusal, Refused)
        assert (code, "recipient") == (refusal.code, refusal.owner)

    wrong = "27999110500"
    for strike in range(3):
        assert () == tuple(one for one in suppression.why(client, wrong) if one.times >= one.needs)
        until(producer.send(wrong, f"Strike {strike}").id, Status.DEAD)
    assert isinstance(producer.try_send(wrong, "Hello"), Refused)
    assert {} == taken(sandbox)


# Legal notices.


@pytest.mark.parametrize("field", ["legal_notice", "bypass_dnc"])
def test_a_bypass_without_the_right_is_refused_with_101(system: System, field: str) -> None:
    """Whether the number is suppressed or not, with any other rights; the operator can grant the right."""
    registry.put(system.sync, "shop", webhook="https://example.com/hook")
    registry.put(system.sync, "former", bypass=True)
    registry.put(system.sync, "former", bypass=False)
    add(system)
    for to in (PERSON, SOMEBODY):
        for producer in ({}, {"producer": "shop"}, {"producer": "former"}, {"producer": "nobody"}):
            refusal = answer(system, to=to, **{field: 1}, **producer)
            assert isinstance(refusal, Refusal)
            assert ("101", field, Owner.OPERATOR) == (refusal.code, refusal.field, refusal.owner)
            assert "no right" in refusal.problem
    assert 8 == system.glance([]).tally["refused:101"]


def test_a_bypass_of_the_gateways_check_does_not_bypass_our_list(system: System) -> None:
    """With the right, the message goes to the gateway, which decides; our own list still applies."""
    registry.put(system.sync, "legal", bypass=True)
    assert accepted(system, to=PERSON, bypass_dnc=1, producer="legal")
    add(system)
    refusal = answer(system, to=PERSON, bypass_dnc=1, producer="legal")
    assert isinstance(refusal, Refusal)
    assert "122" == refusal.code


def test_a_legal_notice_with_the_right_is_sent_and_leaves_a_trace(
    sandbox: Running, producer: Producer, client: redis.Redis, workers: Workers, until: Until
) -> None:
    """The overridden entry is in the record and in the tally; others to the same number stay refused."""
    registry.put(client, "legal", bypass=True)
    suppression.add(client, [(PERSON, Entry(source="STOP"))])
    notice, plain = producer.send_many(
        [
            {"to": PERSON, "text": "Recall of the lift", "legalNotice": "1", "producer": "legal"},
            {"to": PERSON, "text": "News", "producer": "legal"},
        ]
    )
    assert isinstance(notice, Accepted)
    assert isinstance(plain, Refused)
    trace = [client.hget(keys.record(notice.id), "bypassed"), client.hget(keys.TALLY, "bypassed:3")]
    assert [b"STOP", b"1"] == trace
    workers.start()
    until(notice.id, Status.SENT, Status.DELIVERED)
    assert {notice.id} == set(taken(sandbox))
    assert trace == [client.hget(keys.record(notice.id), "bypassed"), client.hget(keys.TALLY, "bypassed:3")]


def test_a_number_that_is_suppressed_while_its_legal_notice_waits_gets_it_with_the_same_trace(system: System) -> None:
    """The right was looked at when it was accepted; each notice is counted once, however often it is tried."""
    registry.put(system.sync, "legal", bypass=True)
    waiting = accepted(system, to=PERSON, legal_notice=1, producer="legal")
    known = accepted(system, to=SOMEBODY, legal_notice=1, producer="legal")
    assert {"bypassed"} & set(system.glance([waiting]).records[waiting]) == set()
    add(system)
    (claimed,) = system.claim(3, [waiting], "first").claimed
    outcome = AttemptOutcome(OutcomeKind.REFUSED, "901", "internal error")
    system.settle([Settlement(claimed, outcome, system.judge(claimed, outcome))])
    system.now += 60_000
    assert {3: [waiting]} == system.release()
    assert claims(system, waiting)
    assert claims(system, known)
    seen = system.glance([waiting, known])
    assert ("operator", None) == (seen.records[waiting]["bypassed"], seen.records[known].get("bypassed"))
    assert 1 == seen.tally["bypassed:3"]


def test_a_right_that_is_not_needed_leaves_no_trace(system: System) -> None:
    """A legal notice to somebody who never opted out is a message like any other."""
    registry.put(system.sync, "legal", bypass=True)
    sent = accepted(system, to=PERSON, legal_notice=1, producer="legal")
    assert claims(system, sent)
    seen = system.glance([sent])
    assert "bypassed" not in seen.records[sent]
    assert "bypassed:3" not in seen.tally


# Entries as they stand in Redis.

entries = st.builds(
    Entry,
    source=st.sampled_from(("STOP", "code 122", OPERATOR)),
    scope=st.sampled_from(("all", "sender:Shop", "tag:promo/1")),
    evidence=st.text(st.characters(exclude_categories=("Cs",)), max_size=200),
    first=st.integers(0, 10**14 - 1),
    last=st.integers(0, 10**14 - 1),
    expires=st.integers(0, 10**14 - 1),
    times=st.integers(1, 10**14 - 1),
    needs=st.integers(1, 10**14 - 1),
)


@settings(max_examples=50, database=None)
@given(wanted=st.lists(entries, min_size=1, max_size=5, unique_by=lambda one: (one.source, one.scope)))
def test_an_entry_comes_back_as_it_was_put_there(built: System, wanted: list[Entry]) -> None:
    """Each addition reads and writes all entries of the number: no letter and no digit may be lost on the way."""
    built.empty()
    suppression.add(built.sync, [(PERSON, one) for one in wanted])
    assert wanted == list(suppression.why(built.sync, PERSON))
    assert 1 == suppression.lift(built.sync, PERSON, wanted[0].source, wanted[0].scope)
    assert wanted[1:] == list(suppression.why(built.sync, PERSON))


def test_taking_a_list_over_twice_changes_nothing(system: System) -> None:
    """An import is not a new event: no number gets a strike by it, and known entries are kept."""
    add(system, source="code 105", evidence="said so", times=2, needs=3, expires=system.now + DAY)
    before = list(suppression.why(system.sync, PERSON))
    for _ in range(2):
        suppression.take_over(system.sync, [(PERSON, one) for one in before])
        assert before == list(suppression.why(system.sync, PERSON))
    later = Entry(
        source="code 105", times=1, needs=3, expires=system.now + DAY, first=system.now + 5, last=system.now + 5
    )
    suppression.take_over(system.sync, [(PERSON, later)])
    (entry,) = suppression.why(system.sync, PERSON)
    assert (2, "said so", system.now, system.now + 5) == (entry.times, entry.evidence, entry.first, entry.last)
    assert isinstance(answer(system, to=PERSON), Accepted)


def test_one_call_of_an_import_does_as_many_calls_with_one_entry_each(system: System) -> None:
    """New numbers are written together; one that comes again, in another spelling or scope, is merged as ever."""
    of_all, of_tag = (Entry("import", scope=scope, first=5, last=5) for scope in ("all", "tag:promo"))
    later = Entry("import", first=9, last=9)
    listed = [(PERSON, of_all), ("5411900000001", of_tag), ("5491190000000", of_all), (PERSON, of_tag)]
    listed += [(PERSON, later), ("541190000000", later), ("27820000009", later), ("27820000009", later)]

    suppression.take_over(system.sync, listed)
    together = system.sync.hgetall(keys.SUPPRESSED)
    system.sync.delete(keys.SUPPRESSED)
    for one in listed:
        suppression.take_over(system.sync, [one])

    assert system.sync.hgetall(keys.SUPPRESSED) == together
    assert {"all", "tag:promo"} == {one.scope for one in suppression.why(system.sync, PERSON)}


def test_the_list_is_read_whole_while_it_is_long(system: System) -> None:
    """In batches, each number once."""
    numbers = [f"2783{n:07}" for n in range(3_000)]
    suppression.add(system.sync, [(number, Entry(source=OPERATOR, first=1)) for number in numbers])
    assert set(numbers) == {one.number for one in suppression.every(system.sync)}


@pytest.mark.parametrize("given", ["number:5215511112222", "Number: +52 1 55 1111 2222", "number:525511112222"])
def test_the_scope_of_a_number_has_one_form(given: str) -> None:
    """So that it can be removed under any spelling, and blocks the message of each."""
    entry = Entry(source=STOP, scope=suppression.parse_scope(given))
    assert "number:525511112222" == entry.scope
    assert [True, True, True, False] == [
        entry.covers(sender, (), 3) for sender in ("5215511112222", "525511112222", "", "525511112223")
    ]
