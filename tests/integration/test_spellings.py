"""Spellings: whatever concerns a person meets every spelling of the number, also in data of earlier versions."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from tests.properties.system import System
from tests.servers import RedisServer
from tests.unit.test_subscriber import PAIRS
from threelane import Accepted
from threelane.contract.refusal import Code, Refusal
from threelane.contract.subscriber import spellings, subscriber
from threelane.interfaces.command.line import app
from threelane.operations.doctor import diagnose
from threelane.store import find, keys, suppression
from threelane.store.find import Filter
from threelane.store.suppression import IMPORT, OPERATOR, STOP, Entry, Respelt
from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind
from threelane.worker.inbound.report import InboundReply
from threelane.worker.policy.legacy import LEGACY
from threelane.worker.reply import reply
from threelane.worker.reply.words import build
from threelane.worker.send.settle import Settlement
from threelane.worker.upkeep.erase import erase

FORMER, PRESENT = "541155551234", "5491155551234"
DAY = 24 * 3600 * 1000
both = pytest.mark.parametrize(("former", "present"), PAIRS)


def accepted(system: System, to: str, **fields: Any) -> str:
    (answer,) = system.accept([system.draft(to=to, **fields)])
    assert isinstance(answer, Accepted), answer
    return answer.id


def refuses(system: System, to: str) -> bool:
    (answer,) = system.accept([system.draft(to=to)])
    return isinstance(answer, Refusal) and answer.code == Code.OPTED_OUT


def claims(system: System, message_id: str) -> bool:
    return [message_id] == [one.id for one in system.claim(3, [message_id], f"token-{message_id}").claimed]


def formerly(system: System, to: str, **fields: Any) -> str:
    """Accept a message as earlier versions did: to the number as it was spelt."""
    message_id = accepted(system, to, **fields)
    record = keys.record(message_id)
    body = json.loads(system.sync.hget(record, "body"))  # type: ignore[arg-type]
    system.sync.hset(record, mapping={"to": to, "body": json.dumps(body | {"to": to})})
    return message_id


def list_formerly(system: System, number: str, **fields: Any) -> None:
    """Suppress a number as earlier versions did: under the spelling that was given."""
    entry = msgspec.structs.asdict(Entry(OPERATOR, first=system.now, last=system.now)) | fields
    system.sync.hset(keys.SUPPRESSED, number, msgspec.json.encode([entry]))


def replies(system: System, sender: str, text: str, name: str = "r1") -> None:
    at = system.now
    system.run(reply.take(system.client, InboundReply(name, sender, "1", text, at=at), build({}), at))


@both
def test_a_stop_from_one_spelling_stops_the_others(system: System, former: str, present: str) -> None:
    """At accept and at the claim, whichever spelling the person's network, the producer and the record have."""
    waiting = [accepted(system, present), formerly(system, former)]
    for name, sender in (("one", former), ("two", present)):
        system.sync.delete(keys.SUPPRESSED)
        assert not refuses(system, former)
        replies(system, sender, "STOP", name)
        assert [True, True] == [refuses(system, former), refuses(system, present)]
    assert [False, False] == [claims(system, one) for one in waiting]

    system.now += 1
    replies(system, former, "START", "start")
    assert () == tuple(suppression.why(system.sync, present))
    assert not refuses(system, former)


@both
def test_entries_of_earlier_versions_forbid_every_spelling(system: System, former: str, present: str) -> None:
    """Before the migration as after it."""
    waiting, old = accepted(system, present), formerly(system, former)
    list_formerly(system, former)

    assert [True, True] == [refuses(system, former), refuses(system, present)]
    assert isinstance(system.rehearse(system.draft(to=present)), Refusal)
    assert [False, False] == [claims(system, waiting), claims(system, old)]
    assert [OPERATOR] == [one.source for one in suppression.why(system.sync, present)]
    assert [(present, 1)] == [(one.number, len(one.entries)) for one in suppression.every(system.sync)]

    assert Respelt.MOVED == suppression.respell(system.sync, former)
    assert [present.encode()] == system.sync.hkeys(keys.SUPPRESSED)
    assert [True, True] == [refuses(system, former), refuses(system, present)]


@both
def test_erasing_and_finding_one_spelling_meets_the_others(system: System, former: str, present: str) -> None:
    """A request for erasure names the number as the person writes it today."""
    old, new = formerly(system, former), accepted(system, present)
    for number in spellings(former):
        assert {old, new} == {one.id for one in find.search(system.sync, Filter(to=number).parsed())}

    done = erase(system.sync, former, system.settings.retention_ms, system.now, stop=True, forget=True)
    assert (2, 2, True) == (done.cancelled, done.messages, done.complete)
    assert [None, None] == [system.sync.hget(keys.record(one), "to") for one in (old, new)]


def test_a_message_is_sent_under_the_present_spelling(system: System) -> None:
    """The record shows what is sent."""
    message_id = accepted(system, FORMER)
    (claimed,) = system.claim(3, [message_id], "token").claimed

    assert PRESENT == claimed.message.to
    assert PRESENT.encode() == system.sync.hget(keys.record(message_id), "to")


def test_a_code_of_the_gateway_suppresses_every_spelling(system: System) -> None:
    """A message of an earlier version has the number under its former spelling."""
    message_id = formerly(system, FORMER)
    (claimed,) = system.claim(3, [message_id], "token").claimed
    outcome = AttemptOutcome(OutcomeKind.REFUSED, "122", "the gateway says 122")
    assert [True] == system.settle([Settlement(claimed, outcome, system.judge(claimed, outcome))])

    assert [True, True] == [refuses(system, FORMER), refuses(system, PRESENT)]


def test_workers_of_earlier_versions_obey_a_stop(system: System) -> None:
    """They look only for the spelling in the record: for a week, each former spelling has a copy."""
    replies(system, PRESENT, "STOP")
    suppression.add(system.sync, [("84701234567", Entry(OPERATOR, first=system.now, last=system.now))])

    for number, other in ((FORMER, PRESENT), ("841201234567", "84701234567")):
        found: Any = system.sync.hmget(keys.SUPPRESSED, [number, other])
        copies, entries = (suppression.decode(number, one) for one in found)
        assert [True] == [one.forbids(system.now) for one in copies]
        assert [system.now + 7 * DAY] == [one.expires for one in copies]
        assert [0] == [one.expires for one in entries]
    assert {PRESENT, "84701234567"} == {one.number for one in suppression.every(system.sync)}
    assert [] == list(suppression.misspelt(system.sync))


def test_a_stop_that_an_earlier_worker_took_holds(system: System) -> None:
    """It wrote only the spelling of the reply; the entry is listed once, and may be lifted."""
    waiting = accepted(system, PRESENT)
    list_formerly(system, FORMER, source=STOP)
    replies(system, FORMER, "STOP")  # a second one, by a worker of this version

    (kept,) = suppression.decode(FORMER, system.sync.hget(keys.SUPPRESSED, FORMER))  # type: ignore[arg-type]
    assert 0 == kept.expires  # no copy replaced it
    assert not claims(system, waiting)
    assert [STOP] == [one.source for one in suppression.why(system.sync, FORMER)]
    assert 1 == suppression.lift(system.sync, FORMER)
    assert not system.sync.exists(keys.SUPPRESSED)


HOUR = 3600 * 1000
# fmt: off
ENDS = {  # of the entry under the former spelling and under the present one, and which of them counts
    "the present one expired":        (365 * DAY, -1, 365 * DAY),
    "the former one lasts longer":    (365 * DAY, DAY, 365 * DAY),
    "the former one has no end":      (0, DAY, 0),
    "the former one expired":         (-1, DAY, DAY),
    "the former one ends earlier":    (HOUR, 0, 0),
}
# fmt: on


@pytest.mark.parametrize(("former", "present", "longest"), ENDS.values(), ids=ENDS)
@pytest.mark.usefixtures("connected")
def test_the_list_shows_the_longest_entry_of_all_spellings(
    system: System, former: int, present: int, longest: int
) -> None:
    """Each person once; an export without the entry in force would lose it, and so would a migration."""
    for number, ends in ((FORMER, former), (PRESENT, present)):
        list_formerly(system, number, expires=ends and system.now + ends)
    expected = longest and system.now + longest

    assert [expected] == [one.expires for one in suppression.why(system.sync, PRESENT)]
    assert [(PRESENT, [expected])] == [
        (one.number, [entry.expires for entry in one.entries]) for one in suppression.every(system.sync)
    ]
    assert [(FORMER, True)] * (longest == former) == list(suppression.misspelt(system.sync))
    migrate()
    assert refuses(system, PRESENT)
    assert [expected] == [one.expires for one in suppression.why(system.sync, PRESENT)]


def test_an_import_makes_no_copies(system: System) -> None:
    """Ten million numbers would be twenty million."""
    suppression.take_over(system.sync, [(PRESENT, Entry(IMPORT, last=system.now))])

    assert [PRESENT.encode()] == system.sync.hkeys(keys.SUPPRESSED)


def test_a_repeated_id_of_an_earlier_version_is_no_conflict(system: System) -> None:
    """The fingerprint of its record has the number as it was spelt; other content still conflicts."""
    first = accepted(system, FORMER, client_message_id="order1")
    system.sync.hset(keys.record(first), "print", "711a0859f738809d7f")  # as its version wrote it

    for to in (FORMER, PRESENT):
        draft = system.draft(to=to, client_message_id="order1")
        (answer,) = system.accept([draft])
        assert isinstance(answer, Accepted)
        assert (first, True) == (answer.id, answer.repeated)
        assert not isinstance(system.rehearse(draft), Refusal)
    (other,) = system.accept([system.draft(to=FORMER, client_message_id="order1", text="Bye")])
    assert isinstance(other, Refusal)
    assert Code.CONFLICT == other.code


# Migration.


def migrate(*options: str) -> tuple[int, list[dict[str, Any]]]:
    done = CliRunner().invoke(app, ["suppress", "migrate", "--json", *options])
    return done.exit_code, json.loads(done.stdout)


@pytest.fixture
def listed(system: System) -> System:
    """A row to move, one to merge, one that stays, and one of a country with one spelling."""
    list_formerly(system, FORMER, source=STOP, first=1, last=2, times=2, evidence="reply")
    list_formerly(system, PRESENT, source=STOP, first=5, last=6, expires=9)
    list_formerly(system, "551187654321", scope="tag:promo")
    list_formerly(system, "5521987654321")
    list_formerly(system, "27831234567")
    return system


@pytest.fixture
def connected(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THREELANE_REDIS_URL", redis_server.url)


@pytest.mark.usefixtures("connected")
def test_a_dry_run_shows_what_would_move_and_changes_nothing(listed: System) -> None:
    """By country, so that an operator sees what the table of spellings does to the list."""
    before = listed.sync.hgetall(keys.SUPPRESSED)

    wanted = [
        {"country": "AR", "result": "to be merged", "numbers": 1},
        {"country": "BR", "result": "to be moved", "numbers": 1},
    ]
    assert (0, wanted) == migrate("--dry-run")
    assert before == listed.sync.hgetall(keys.SUPPRESSED)


@pytest.mark.usefixtures("connected")
def test_the_migration_keeps_every_entry_and_may_be_repeated(listed: System) -> None:
    """An interrupted one is repeated: each row moves in one step."""
    assert 0 == migrate()[0]
    assert (0, []) == migrate()

    assert {b"5491155551234", b"5511987654321", b"5521987654321", b"27831234567"} == set(
        listed.sync.hkeys(keys.SUPPRESSED)
    )
    assert [Entry(STOP, evidence="reply", first=1, last=6, times=2)] == list(suppression.why(listed.sync, PRESENT))
    assert ["tag:promo"] == [one.scope for one in suppression.why(listed.sync, "551187654321")]


@pytest.mark.usefixtures("connected")
def test_an_unreadable_row_is_left_and_reported(system: System) -> None:
    """It forbids sending, and moving it would lose why."""
    system.sync.hset(keys.SUPPRESSED, FORMER, "x")

    assert (1, [{"country": "AR", "result": "unreadable", "numbers": 1}]) == migrate()
    assert {FORMER.encode(): b"x"} == system.sync.hgetall(keys.SUPPRESSED)
    assert isinstance(system.accept([system.draft(to=PRESENT)])[0], Refusal)


@pytest.mark.usefixtures("connected")
def test_the_daily_round_reports_numbers_under_a_former_spelling(listed: System) -> None:
    """The doctor names the command until the migration is done."""
    assert 2 == listed.run(suppression.forget_over(listed.client, 0))
    (finding,) = (one for one in diagnose(listed.sync, listed.now, LEGACY) if one.what == "suppression list")
    assert "2 numbers are listed under a former spelling" in finding.detail
    assert "threelane suppress migrate" in finding.step
    assert 0 == migrate()[0]
    assert [] == [one for one in diagnose(listed.sync, listed.now, LEGACY) if one.what == "suppression list"]
    assert subscriber(FORMER) == PRESENT
