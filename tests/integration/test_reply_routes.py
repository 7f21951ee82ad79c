"""Routes: a reply reaches the producer that it is for, nobody else sees it, and what nobody owns waits in the inbox."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import count
from typing import Any

import pytest
import redis
from typer.testing import CliRunner, Result

from tests.integration.test_late import TAKEN
from tests.properties.system import System
from tests.servers import RedisServer
from threelane.contract.schedule import DAY
from threelane.interfaces.command.replies import app
from threelane.operations import damage, doctor
from threelane.store import inbox, keys, reply_owners, suppression, texted
from threelane.store.events import EventReader, Reply, Route, read
from threelane.store.states import Status
from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind
from threelane.worker.inbound.report import InboundReply, StatusReport
from threelane.worker.policy.legacy import LEGACY
from threelane.worker.reply.reply import take
from threelane.worker.reply.words import build
from threelane.worker.send.settle import Settlement
from threelane.worker.upkeep.erase import erase, erase_old
from threelane.worker.webhooks.intake import recipients

PERSON, OTHER_PERSON = "27831234567", "27831234568"
CLINIC_NUMBER, PARCEL_NUMBER, SHORT_CODE = "12025550177", "447700900123", "72975"
PRODUCERS = ("clinic", "parcels", "")
REFUSED = AttemptOutcome(OutcomeKind.REFUSED, code="113")
UNSURE = AttemptOutcome(OutcomeKind.LOST)
_ids = count()


@pytest.fixture
def says(system: System) -> Any:
    """Returns a function by which a person replies; it returns who can read the reply, and the route."""

    def reply(text: str, to: str = CLINIC_NUMBER, sender: str = PERSON, related: str = "") -> Mapping[str, Route]:
        written = InboundReply(f"r{next(_ids)}", sender, to, text, system.now, related_id=related)
        system.run(take(system.client, written, build({}), system.now))
        return readers(system.sync, written.id)

    return reply


def readers(client: redis.Redis, reply_id: str) -> dict[str, Any]:
    """Return the producers that read a reply, and operators as "*", with the route."""
    found: dict[str, Any] = {}
    for producer in PRODUCERS:
        for event in read(client, f"look at {reply_id}", "one", producer, count=1000):
            if isinstance(event, Reply) and event.reply_id == reply_id:
                found[producer] = event.route
    for one in inbox.unassigned(client):
        if one.reply.reply_id == reply_id:
            found["*"] = one.reply.route
    return found


def texts(
    system: System, producer: str, sender: str = "", to: str = PERSON, outcome: AttemptOutcome = TAKEN, **fields: Any
) -> str:
    """Let a producer text a person; returns the id of the message."""
    fields |= {"from": sender} if sender else {}
    fields |= {"producer": producer} if producer else {}
    message_id = system.take(to=to, **fields)
    system.attempt(message_id, outcome)
    return message_id


# Owners.


def test_two_producers_with_a_number_each_read_their_own_replies(system: System, says: Any) -> None:
    """Whoever texted the person last, and whoever was never texted."""
    reply_owners.own(system.sync, CLINIC_NUMBER, "", "clinic")
    reply_owners.own(system.sync, PARCEL_NUMBER, "", "parcels")
    texts(system, "parcels", PARCEL_NUMBER)
    theirs = texts(system, "parcels", CLINIC_NUMBER)

    assert {"clinic": Route.NUMBER} == says("YES")
    assert {"parcels": Route.NUMBER} == says("YES", PARCEL_NUMBER)
    assert {"clinic": Route.NUMBER} == says("Who is this?", sender=OTHER_PERSON)
    assert {"clinic": Route.NUMBER} == says("YES", related=theirs), "nobody gets them by sending from this number"
    (event,) = (one for one in read(system.sync, "look", "one", "clinic", count=9) if one.text == "Who is this?")  # type: ignore[union-attr]
    assert (OTHER_PERSON, CLINIC_NUMBER, "", "clinic") == (event.sender, event.to, event.message_id, event.producer)  # type: ignore[union-attr]


@pytest.mark.parametrize("written", ["+12025550177", "0012025550177", "1 (202) 555-0177", "1-202-555-0177"])
def test_a_number_of_ours_is_the_same_in_each_spelling(system: System, says: Any, written: str) -> None:
    """As the operator, the message or the gateway writes it."""
    texts(system, "parcels", "12025550177")
    assert {"parcels": Route.TEXTED} == says("YES", written)
    reply_owners.own(system.sync, written, "", "clinic")
    assert {"clinic": Route.NUMBER} == says("YES", "12025550177")
    assert "clinic" == reply_owners.disown(system.sync, "12025550177", "")


def test_a_keyword_splits_a_shared_number(system: System, says: Any) -> None:
    """The first word, whatever its case, accents and punctuation; the rest goes to the owner of the number."""
    reply_owners.own(system.sync, SHORT_CODE, "Clínic", "clinic")
    assert {"clinic": Route.KEYWORD} == says("clinic yes", SHORT_CODE)
    assert {"clinic": Route.KEYWORD} == says("  «CLÍNIC!» yes", SHORT_CODE)
    assert {"*": Route.INBOX} == says("clinical question", SHORT_CODE)
    assert {"*": Route.INBOX} == says("my clinic", SHORT_CODE)
    assert {"*": Route.INBOX} == says("clinic yes", PARCEL_NUMBER)

    reply_owners.own(system.sync, SHORT_CODE, "", "parcels")
    assert {"clinic": Route.KEYWORD} == says("CLINIC", SHORT_CODE)
    assert {"parcels": Route.NUMBER} == says("my clinic", SHORT_CODE)
    assert {"parcels": Route.NUMBER} == says("", SHORT_CODE)


# Without an owner.


def test_without_an_owner_a_reply_goes_to_the_producer_of_the_message_that_it_names(system: System, says: Any) -> None:
    """Also if it has no name; a message that is not known names nobody."""
    message_id, nameless = texts(system, "parcels", CLINIC_NUMBER), texts(system, "", CLINIC_NUMBER)
    texts(system, "clinic", CLINIC_NUMBER)
    assert {"parcels": Route.MESSAGE} == says("YES", related=message_id)
    assert {"": Route.MESSAGE} == says("YES", related=nameless)
    assert {"clinic": Route.TEXTED} == says("YES", related="0" * 32)


def test_without_an_owner_a_reply_goes_to_who_last_texted_the_person_from_this_number(
    system: System, says: Any
) -> None:
    """Each number and each person on its own; and for a week."""
    texts(system, "parcels", CLINIC_NUMBER)
    texts(system, "clinic", CLINIC_NUMBER)
    texts(system, "parcels", PARCEL_NUMBER)
    texts(system, "parcels", CLINIC_NUMBER, to=OTHER_PERSON)

    assert {"clinic": Route.TEXTED} == says("YES")
    assert {"parcels": Route.TEXTED} == says("YES", PARCEL_NUMBER)
    assert {"parcels": Route.TEXTED} == says("YES", sender=OTHER_PERSON)
    assert {"*": Route.INBOX} == says("YES", SHORT_CODE)
    assert {"*": Route.INBOX} == says("YES", sender="27831234569")
    system.now += DAY
    texts(system, "parcels", CLINIC_NUMBER)
    assert {"parcels": Route.TEXTED} == says("YES")
    system.now += 6 * DAY
    assert {"parcels": Route.TEXTED} == says("YES")
    system.now += DAY
    assert {"*": Route.INBOX} == says("YES")


def test_a_single_service_gets_its_replies_without_any_configuration(system: System, says: Any) -> None:
    """It sends from the account's default number, which its messages do not name; with a name or without."""
    texts(system, "clinic")
    assert {"clinic": Route.TEXTED} == says("YES")
    texts(system, "")
    assert {"": Route.TEXTED} == says("YES")


@pytest.mark.parametrize(
    ("texted_as", "replies_as"), [("5491123456789", "541123456789"), ("525512345678", "5215512345678")]
)
def test_a_person_is_the_same_in_each_spelling(system: System, says: Any, texted_as: str, replies_as: str) -> None:
    """Networks report a reply by another spelling than the one the message was sent to."""
    texts(system, "clinic", CLINIC_NUMBER, to=texted_as)
    assert {"clinic": Route.TEXTED} == says("YES", sender=replies_as)


def test_a_number_that_a_message_names_comes_before_the_default_number(system: System, says: Any) -> None:
    """The default number has no name here, so it may be another one."""
    texts(system, "clinic", CLINIC_NUMBER)
    texts(system, "parcels")
    assert {"clinic": Route.TEXTED} == says("YES")


def test_only_who_can_be_answered_leaves_a_mark(system: System, says: Any) -> None:
    """Nobody can reply to a name; a message that was surely not sent asks for no reply, one in doubt may."""
    texts(system, "clinic", "CLINIC")
    texts(system, "clinic", CLINIC_NUMBER, outcome=REFUSED)
    assert [] == list(system.sync.scan_iter("tl:texted:*"))
    assert {"*": Route.INBOX} == says("YES")
    texts(system, "clinic", CLINIC_NUMBER, outcome=UNSURE)
    assert {"clinic": Route.TEXTED} == says("YES")


def test_a_message_that_its_receipt_settled_first_can_be_answered(system: System, says: Any) -> None:
    """A fast receipt ends the message before the worker records that it was sent."""
    message_id = system.take(**{"from": CLINIC_NUMBER, "producer": "clinic"})
    (claimed,) = system.claim(3, [message_id], "token").claimed
    system.receive([StatusReport(message_id, TAKEN.gateway_id, "004", Status.DELIVERED)])
    assert [False] == system.settle([Settlement(claimed, TAKEN, system.judge(claimed, TAKEN))])
    assert {"clinic": Route.TEXTED} == says("YES")


def test_a_default_owner_gets_what_belongs_to_nobody_else(system: System, says: Any) -> None:
    """``threelane replies own '*' clinic``."""
    reply_owners.own(system.sync, "*", "", "clinic")
    texts(system, "parcels", PARCEL_NUMBER)
    assert {"clinic": Route.DEFAULT} == says("Hello", SHORT_CODE)
    assert {"clinic": Route.DEFAULT} == says("Hello", to="")
    assert {"parcels": Route.TEXTED} == says("YES", PARCEL_NUMBER)


def test_a_damaged_row_owns_nothing_and_is_reported(system: System, says: Any) -> None:
    """Neither a reply nor the others' replies are lost to it."""
    system.sync.hset(keys.REPLY_OWNERS, CLINIC_NUMBER, b"\xff|")
    assert {"*": Route.INBOX} == says("YES")
    assert [(keys.REPLY_OWNERS, CLINIC_NUMBER)] == [(one.key, one.row) for one in damage.find(system.sync)]
    system.sync.delete(keys.REPLY_OWNERS)
    system.sync.set(keys.REPLY_OWNERS, "x")
    assert {"*": Route.INBOX} == says("YES")


# Senders that are no person.


@pytest.mark.parametrize("sender", ["VODAFONE", "MyBank UK", SHORT_CODE])
def test_a_name_or_a_short_code_cannot_opt_anybody_out(system: System, says: Any, sender: str) -> None:
    """Its reply is reported as any other, and changes nothing."""
    assert {"*": Route.INBOX} == says("STOP", sender=sender)
    (found,) = inbox.unassigned(system.sync)
    assert (sender, "STOP", "") == (found.reply.sender, found.reply.text, found.reply.word)
    assert 0 == system.sync.hlen(keys.SUPPRESSED)
    says("STOP")
    assert [PERSON] == [one.number for one in suppression.every(system.sync)]


# Versions beside this one.


def test_a_reply_that_an_earlier_version_published_for_all_is_shown_to_nobody(system: System) -> None:
    """Neither by readers nor by webhooks; an operator sees it, and can assign it."""
    entry = {"type": "reply", "id": "r1", "from": PERSON, "to": CLINIC_NUMBER, "text": "YES"}
    system.sync.xadd(keys.EVENTS, entry)  # type: ignore[arg-type]
    assert {"*": ""} == readers(system.sync, "r1")
    (found,) = inbox.unassigned(system.sync)
    assert [] == recipients(found.reply, ["clinic", "parcels"])
    assert inbox.assign(system.sync, found, "clinic")
    assert not inbox.assign(system.sync, found, "parcels"), "another operator was first"
    assert {"clinic": Route.ASSIGNED} == readers(system.sync, "r1")


def test_a_webhook_gets_the_replies_of_its_producer_alone() -> None:
    """And nothing of a producer without a name."""
    reply = Reply(id="1-0", reply_id="r1", producer="clinic", route=Route.NUMBER)
    assert ["clinic"] == recipients(reply, ["clinic", "parcels"])
    assert [] == recipients(Reply(id="1-0", reply_id="r1", route=Route.MESSAGE), ["clinic", "parcels"])


# The inbox.


def test_the_inbox_keeps_the_latest_ten_thousand(system: System, says: Any) -> None:
    """Anybody can write to our number; a reply that leaves the inbox unread is counted, and a finding for a week."""
    with system.sync.pipeline() as pipe:
        for _ in range(inbox.MOST - 1):
            pipe.xadd(keys.INBOX, {"type": "reply", "id": "old"})
        pipe.execute()
    says("Hello")
    assert (inbox.MOST, []) == (inbox.size(system.sync), _findings(system, "lost replies"))
    says("Hello")
    says("Hello")
    assert (inbox.MOST, b"2") == (inbox.size(system.sync), system.sync.hget(keys.TALLY, "removed_unread:newer"))
    (full,), (lost,) = _findings(system), _findings(system, "lost replies")
    assert (True, True) == ("the inbox is full" in full.detail, lost.detail.startswith("2 left the inbox"))
    system.now += 7 * DAY
    assert [] == _findings(system, "lost replies")


def test_a_reply_in_the_inbox_is_a_finding_until_it_is_assigned(system: System, says: Any) -> None:
    """With the command that lists it."""
    assert [] == _findings(system)
    says("Hello")
    (finding,) = _findings(system)
    assert "1 belong to no producer" in finding.detail
    assert "threelane replies inbox" in finding.step
    (found,) = inbox.unassigned(system.sync)
    inbox.assign(system.sync, found, "clinic")
    assert [] == _findings(system)


def test_a_reply_is_assigned_once_even_by_two_operators_at_the_same_moment(system: System, says: Any) -> None:
    """Both have read it; the script gives it to the first."""
    says("Hello")
    (found,) = inbox.unassigned(system.sync)
    entry = ["type", "reply", "id", found.reply.reply_id, "producer", "clinic", "route", "assigned"]
    both = [inbox._assign(system.sync, stream=found.stream, id=found.reply.id, entry=entry) for _ in range(2)]
    assert ([1, 0], 1) == (both, system.sync.xlen(keys.EVENTS))


def test_marks_and_inbox_are_erased_with_the_person(system: System, says: Any) -> None:
    """And the inbox with its age."""
    texts(system, "clinic", CLINIC_NUMBER)
    texts(system, "clinic", CLINIC_NUMBER, to=OTHER_PERSON)
    says("Hello", SHORT_CODE)
    assert 1 == erase(system.sync, PERSON, DAY, system.now).events
    assert 0 == inbox.size(system.sync)
    assert {"*": Route.INBOX} == says("YES")
    assert {"clinic": Route.TEXTED} == says("YES", sender=OTHER_PERSON)
    system.run(erase_old(system.client, system.settings, system.now))
    assert (0, b"1") == (inbox.size(system.sync), system.sync.hget(keys.TALLY, "removed_unread:age"))
    (lost,) = _findings(system, "lost replies")
    assert lost.detail.startswith("1 left the inbox")


def test_every_mark_expires(system: System) -> None:
    """A week after the day of its text, at the latest."""
    texts(system, "clinic", CLINIC_NUMBER)
    left = [system.sync.pttl(key) for key in system.sync.scan_iter("tl:texted:*")]
    assert 1 == len(left)
    assert 0 < left[0] <= texted.KEPT_MS


# The command line.


class Operator:
    """Types ``threelane replies ...``."""

    def __init__(self, url: str) -> None:
        self._environment = {"THREELANE_REDIS_URL": url}

    def types(self, *words: str) -> Result:
        return CliRunner().invoke(app, words, env=self._environment)

    def reads(self, *words: str) -> Any:
        result = self.types(*words, "--json")
        assert 0 == result.exit_code, result.output
        return json.loads(result.stdout)


@pytest.fixture
def operator(redis_server: RedisServer, system: System) -> Operator:
    assert system.sync.ping()
    return Operator(redis_server.url)


def test_an_operator_owns_lists_and_disowns(operator: Operator) -> None:
    """Each number in one form, with its earlier owner."""
    assert "clinic" in operator.types("own", "+1 202 555 0177", "clinic").output
    assert "before: clinic" in operator.types("own", CLINIC_NUMBER, "parcels").output
    operator.types("own", SHORT_CODE, "clinic", "--keyword", "Yes!")
    operator.types("own", "*", "parcels")
    expected = [("*", "", "parcels"), (CLINIC_NUMBER, "", "parcels"), (SHORT_CODE, "yes", "clinic")]
    assert expected == [tuple(one.values()) for one in operator.reads("list")]
    assert 0 == operator.types("disown", SHORT_CODE, "--keyword", "YES").exit_code
    assert 6 == operator.types("disown", SHORT_CODE, "--keyword", "YES").exit_code
    assert 2 == len(operator.reads("list"))


# fmt: off
WRONG = [
    ("own", "ACME", "clinic"), ("own", "", "clinic"), ("own", "0831234567", "clinic"), ("own", "12", "clinic"),
    ("own", "+72975", "clinic"), ("own", "1" * 16, "clinic"), ("own", SHORT_CODE, "a|b"), ("own", SHORT_CODE, ""),
    ("own", SHORT_CODE, "clinic", "--keyword", "two words"), ("own", SHORT_CODE, "clinic", "--keyword", "!?"),
    ("own", SHORT_CODE, "clinic", "--keyword", "x" * 33), ("own", "*", "clinic", "--keyword", "yes"),
    ("disown", "ACME"), ("assign", "1", "clinic"), ("assign", "1-0", "a|b"), ("dismiss",), ("dismiss", "1-0", "--all"),
    ("dismiss", "x"),
]
# fmt: on


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_bad_input_is_refused_with_a_sentence(operator: Operator, system: System, words: tuple[str, ...]) -> None:
    """Code 2, or 6 for what does not exist; nothing is written."""
    result = operator.types(*words)
    assert result.exit_code in (2, 6), result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert 0 == system.sync.exists(keys.REPLY_OWNERS)


def test_an_operator_reads_assigns_and_dismisses_what_is_in_the_inbox(
    operator: Operator, system: System, says: Any
) -> None:
    """Numbers are masked unless they are asked for; a second assignment finds nothing."""
    says("Hello [bold]", SHORT_CODE)
    says("Again", SHORT_CODE, "VODAFONE")
    first, second = operator.reads("inbox")
    assert ("27831******", "Hello [bold]", SHORT_CODE) == (first["from"], first["text"], first["to"])
    assert [PERSON, "VODAFONE"] == [one["from"] for one in operator.reads("inbox", "--numbers")]
    assert "Hello [bold]" in operator.types("inbox").output
    assert "the oldest 1 of 2 replies" in operator.types("inbox", "--most", "1").output
    assert 0 == operator.types("assign", first["id"], "clinic").exit_code
    assert 6 == operator.types("assign", first["id"], "parcels").exit_code
    (event,) = EventReader(system.sync, "app", "one", "clinic", block_seconds=0.0)
    assert ("Hello [bold]", PERSON, Route.ASSIGNED) == (event.text, event.sender, event.route)  # type: ignore[union-attr]
    assert 0 == operator.types("dismiss", second["id"]).exit_code
    assert 6 == operator.types("dismiss", second["id"]).exit_code
    assert [] == operator.reads("inbox")


def _findings(system: System, what: str = "replies") -> list[Any]:
    return [one for one in doctor.diagnose(system.sync, system.now, LEGACY) if one.what == what]
