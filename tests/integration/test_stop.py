"""STOP and START: STOP blocks the sender's number at once, also for waiting messages; and nothing else changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from tests.integration.conftest import SECRET, Workers, attempts, taken, threelane_child
from tests.integration.test_callbacks import Caller
from tests.integration.test_replies import arrives, events, mo
from tests.properties.system import System
from tests.servers import threelane, wait_until
from threelane import Accepted, Producer, Refused, Status
from threelane.sandbox.running import Running
from threelane.store import keys, suppression
from threelane.store.status import MessageStatus
from threelane.store.suppression import OPERATOR, STOP, Entry
from threelane.worker.inbound.report import InboundReply
from threelane.worker.reply import words
from threelane.worker.reply.reply import take

PERSON, SOMEBODY = "27831234567", "27831234568"
Until = Callable[..., MessageStatus]

# fmt: off
STOPS = [
    "STOP", "END", "CANCEL", "UNSUBSCRIBE", "QUIT", "STOP STOP", "STOP ALL",
    "stop", "Stop.", " sToP !!\n", "“Stop”", "end…", "Cancel\u00a0", "unSubscribe?", "quit,", "\tstop\n\nSTOP ",
    "stop-all", "ＳＴＯＰ", "ST\u200bOP", "STOP.\r\n",
]
NO_STOPS = [
    "please stop by", "stop it", "stopp", "non-stop", "unstoppable", "STOP ME", "the end", "END ALL",
    "stop stop stop", "", "?", "st.op", "5TOP",
]
# fmt: on


def sources(client: redis.Redis, number: str) -> list[str]:
    return sorted(one.source for one in suppression.why(client, number))


def refused(producer: Producer, number: str) -> bool:
    return isinstance(producer.try_send(number, "Hello"), Refused)


def test_each_word_to_stop_suppresses_at_once(reporting: Running, producer: Producer, client: redis.Redis) -> None:
    """In any case, with any spaces and marks around it; the next message is refused with the reply as evidence."""
    for number, text in enumerate(STOPS):
        sender = f"2783123{number:04}"
        stopped = arrives(reporting, sender, text, api=("http", "xml", "platform", "one")[number % 4])
        (entry,) = suppression.why(client, sender)
        evidence = f"reply {stopped['parts'][0]['moMsgId']} to {stopped['to']}"
        assert (STOP, "122", "all", evidence, 0) == (
            entry.source,
            entry.code,
            entry.scope,
            entry.evidence,
            entry.expires,
        )
        answer = producer.try_send(sender, "Hello")
        assert isinstance(answer, Refused), text
        assert ("122", "to", "recipient") == (answer.code, answer.field, answer.owner)
        assert "by STOP" in answer.problem
    assert ["stop"] * len(STOPS) == [one.word for one in events(client)]
    assert str(len(STOPS)).encode() == client.hget(keys.TALLY, "suppressed:STOP")


def test_a_word_in_a_sentence_stops_nothing(reporting: Running, producer: Producer, client: redis.Redis) -> None:
    """ "Please stop by" is an invitation."""
    for number, text in enumerate(NO_STOPS):
        arrives(reporting, f"2783123{number:04}", text, api=("http", "xml", "platform", "one")[number % 4])
    assert {} == client.hgetall(keys.SUPPRESSED)
    assert [""] * len(NO_STOPS) == [one.word for one in events(client)]
    assert not refused(producer, "27831230000")


def test_a_stop_that_is_repeated_counts_once(reporting: Running, client: redis.Redis) -> None:
    """And one that comes after a START, with the same id, has no effect."""
    stopped = arrives(reporting, PERSON, "STOP", repeat=5, api="platform")
    assert [(STOP, 1)] == [(one.source, one.times) for one in suppression.why(client, PERSON)]
    arrives(reporting, PERSON, "START", api="platform")
    caller = Caller(reporting.control("GET", "settings")["callback_url"])
    assert 200 == mo(caller, stopped["parts"][0]["moMsgId"], b"STOP")
    assert [] == sources(client, PERSON)
    assert ["stop", "start"] == [one.word for one in events(client)]


def test_a_stop_reaches_a_thousand_messages_that_wait_for_their_time(
    reporting: Running, producer: Producer, client: redis.Redis, workers: Workers, until: Until
) -> None:
    """None is sent: each is a dead letter with 122, with its event; after START later ones are sent."""
    workers.start()
    messages = [{"to": PERSON, "text": f"News {n}", "lane": n % 3 + 1, "delay": 5} for n in range(1000)]
    ids = [answer.id for answer in producer.send_many([*messages, {"to": SOMEBODY, "text": "Hello", "delay": 5}])]
    other = ids.pop()

    arrives(reporting, PERSON, "Stop!", api="platform")
    assert 1001 == sum(map(client.zcard, keys.DUE.values())), (
        "the machine was too slow for this test: some were due before the STOP"
    )
    wait_until(lambda: client.zcard(keys.DEAD) == 1000, 60, "all of them to be dead letters")
    until(other, Status.DELIVERED)

    ends = {(one.status, one.code, one.reason, one.owner) for one in map(producer.status, ids) if one}
    assert {(Status.DEAD, "122", "suppressed", "recipient")} == ends
    assert {other} == set(taken(reporting))
    assert [] == [one for one in ids[::100] if attempts(reporting, one)]
    outcomes = [raw for _, raw in client.xrange(keys.EVENTS) if raw.get(b"code") == b"122"]
    assert sorted(ids) == sorted(raw[b"id"].decode() for raw in outcomes)
    assert {(b"dead", b"recipient", PERSON.encode())} == {
        (raw[b"status"], raw[b"owner"], raw[b"to"]) for raw in outcomes
    }
    assert b"1000" == client.hget(keys.TALLY, "dead:122:recipient")

    assert refused(producer, PERSON)
    arrives(reporting, PERSON, "start")
    later = producer.send(PERSON, "Welcome back").id
    until(later, Status.SENT, Status.DELIVERED)
    assert 1000 == client.zcard(keys.DEAD)


def test_a_stop_between_accept_and_claim_is_in_time(
    reporting: Running, producer: Producer, client: redis.Redis, workers: Workers, until: Until
) -> None:
    """A message that is queued is looked at once more before it is sent; a scope of its own is of no matter."""
    stopped = [producer.send(PERSON, "Hello", lane=lane, sender="12025550100", tags=["promo"]).id for lane in (1, 2, 3)]
    going = producer.send(SOMEBODY, "Hello").id
    arrives(reporting, PERSON, "UNSUBSCRIBE", api="one")
    workers.start()
    until(going, Status.SENT, Status.DELIVERED)
    assert {"122"} == {until(one, Status.DEAD).code for one in stopped}
    assert {going} == set(taken(reporting))
    assert {"STOP"} == {line["by"] for line in workers.events("dead")}


@pytest.mark.parametrize("word", ["START", "unstop", " Start! "])
def test_start_lifts_only_the_entry_of_stop(
    reporting: Running, producer: Producer, client: redis.Redis, word: str
) -> None:
    """Also the gateway's, of an opt-out; all others stay: the recipient lifts only the recipient's own decision."""
    own = [Entry(source="code 122"), Entry(source="code 26", scope="tag:promo")]  # of the One API
    others = [
        Entry(source=OPERATOR, evidence="called us"),
        Entry(source="code 121"),
        Entry(source="code 128"),
        Entry(source="code 105", needs=3),
        Entry(source="import", scope="tag:promo"),
        Entry(source="STOPPED"),
    ]
    suppression.add(client, [(PERSON, one) for one in (*others, *own)])
    arrives(reporting, PERSON, "STOP", api="platform")
    arrives(reporting, SOMEBODY, "STOP", api="platform")
    assert sorted([STOP, *(one.source for one in (*own, *others))]) == sources(client, PERSON)
    arrives(reporting, PERSON, word, api="platform")
    assert others == list(suppression.why(client, PERSON))
    answer = producer.try_send(PERSON, "Hello")
    assert isinstance(answer, Refused)
    assert "do not send to this number; an operator listed it, and can remove it" == answer.remedy
    assert [STOP] == sources(client, SOMEBODY)

    arrives(reporting, SOMEBODY, word, api="platform")
    assert not client.hexists(keys.SUPPRESSED, SOMEBODY)
    assert isinstance(producer.send(SOMEBODY, "Hello"), Accepted)


def test_a_start_lifts_no_opt_out_at_the_gateway_that_came_after_it(
    endpoint: str, producer: Producer, client: redis.Redis
) -> None:
    """A refusal after the START proves that the gateway's own list still has the number."""
    caller = Caller(endpoint)
    later = Entry(source="code 122", first=1767268800000, last=1767268800000)  # 2026-01-01 12:00 UTC
    suppression.add(client, [(PERSON, later)])
    assert 200 == mo(caller, "before", b"START", timestamp="2026-01-01 13:59:00")  # GMT+2
    assert ["code 122"] == sources(client, PERSON)
    assert 200 == mo(caller, "after", b"START", timestamp="2026-01-01 14:01:00")
    assert not refused(producer, PERSON)


# Requests that are no word of their own.


AMERICAN = "12025550123"


def test_a_near_stop_of_plus_1_suppresses_and_is_reported_elsewhere(
    reporting: Running, producer: Producer, client: redis.Redis
) -> None:
    """The FCC's rule counts any reasonable wording; elsewhere the producer decides."""
    for sender in (AMERICAN, PERSON):
        stopped = arrives(reporting, sender, "Stop please", api="platform")
    assert [("stop", True), ("", True)] == [(one.word, one.looks_like_stop) for one in events(client)]
    assert [True, False] == [refused(producer, one) for one in (AMERICAN, PERSON)]
    (entry,) = suppression.why(client, AMERICAN)
    assert (STOP, ", looks like STOP: courtesy") == (
        entry.source,
        entry.evidence[-len(", looks like STOP: courtesy") :],
    )
    assert stopped["to"] in entry.evidence
    assert [b"1", b"1"] == client.hmget(keys.TALLY, "replies:near_stop", "replies:looks_like_stop")
    arrives(reporting, AMERICAN, "START", api="platform")
    assert not refused(producer, AMERICAN)


def test_help_is_reported_and_changes_nothing(reporting: Running, producer: Producer, client: redis.Redis) -> None:
    """An answer is the producer's."""
    arrives(reporting, AMERICAN, "HELP")
    assert [("help", False)] == [(one.word, one.looks_like_stop) for one in events(client)]
    assert not refused(producer, AMERICAN)
    assert b"1" == client.hget(keys.TALLY, "replies:help")


@pytest.mark.parametrize(
    ("near_stop", "expected"),
    [("suppress", ("stop", True, True)), ("report", ("", True, False)), ("off", ("", False, False))],
)
def test_what_a_near_stop_does_is_a_setting(
    client: redis.Redis,
    producer: Producer,
    base_environment: dict[str, str],
    tmp_path: Path,
    near_stop: str,
    expected: tuple[str, bool, bool],
) -> None:
    """Of the callback endpoint, which reads replies."""
    child = threelane_child("callbacks", tmp_path, base_environment | {"THREELANE_NEAR_STOP": near_stop})
    try:
        assert 200 == mo(Caller(child.event("callbacks")["url"].replace("<secret>", SECRET)), "a", b"pls stop")
    finally:
        child.stop()
    (event,) = events(client)
    assert expected == (event.word, event.looks_like_stop, refused(producer, PERSON))


def test_a_start_without_a_stop_changes_nothing(reporting: Running, client: redis.Redis) -> None:
    """It is published as an ordinary reply."""
    arrives(reporting, PERSON, "START", api="platform")
    assert ([], ["start"]) == (sources(client, PERSON), [one.word for one in events(client)])


def test_a_start_that_was_held_up_lifts_no_later_stop(endpoint: str, producer: Producer, client: redis.Redis) -> None:
    """The gateway repeats callbacks for hours; the person's last word counts."""
    caller = Caller(endpoint)
    assert 200 == mo(caller, "second", b"STOP", timestamp="2026-01-01 12:05:00")
    assert 200 == mo(caller, "first", b"START", timestamp="2026-01-01 12:00:00")
    assert refused(producer, PERSON)
    assert 200 == mo(caller, "same second", b"START", timestamp="2026-01-01 12:05:00")
    assert refused(producer, PERSON)  # its STOP may be the later one
    assert 200 == mo(caller, "third", b"START", timestamp="2026-01-01 12:05:01")
    assert not refused(producer, PERSON)


def test_a_stop_with_a_time_ahead_is_lifted_by_the_next_start(system: System) -> None:
    """The gateway's clock is ahead, or its zone is wrong: the STOP counts from its arrival."""
    day = 24 * 3600 * 1000
    for number, (text, ahead) in enumerate([("STOP", day), ("START", 0)]):
        system.now += 1
        reply = InboundReply(f"r{number}", PERSON, "12025550100", text, at=system.now + ahead)
        assert text.lower() == system.run(take(system.client, reply, words.build({}), system.now))
        assert [system.now] * (text == "STOP") == [one.last for one in suppression.why(system.sync, PERSON)]
        (*_, (_, event)) = [*system.sync.xrange(keys.INBOX)]
        assert str(reply.at).encode() == event[b"at"]  # producers read the gateway's time as it is


# The words of other languages.


def test_an_operator_s_words_count_beside_the_english_ones(
    client: redis.Redis, base_environment: dict[str, str], tmp_path: Path
) -> None:
    """Each language has its own, and what it does not list means nothing."""
    file = tmp_path / "words.json"
    languages = {
        "fr": {"stop": ["Arrêt", "ARRET"], "start": ["DÉBUT"]},
        "de": {"stop": ["STOPP", "Abmelden"], "start": ["Anmelden"]},
        "ar": {"stop": ["توقف"]},
        "tr": {"stop": ["İPTAL"]},
    }
    file.write_text(json.dumps(languages, ensure_ascii=False), encoding="utf-8")
    child = threelane_child("callbacks", tmp_path, base_environment | {"THREELANE_WORDS_FILE": str(file)})
    try:
        caller = Caller(child.event("callbacks")["url"].replace("<secret>", SECRET))
        texts = [
            "arrêt",
            "ARRÊT !",
            "stopp.",
            "توقف",
            "İptal",
            "stop",
            "Début",
            "anmelden",
            "START",
            "debut",
            "stoppen",
        ]
        for number, text in enumerate(texts):
            assert 200 == mo(caller, f"reply{number}", text.encode("utf-16-be"), "UTF-16BE")
    finally:
        child.stop()
    assert ["stop"] * 6 + ["start"] * 4 + [""] == [one.word for one in events(client)]


# fmt: off
WRONG_FILES = {
    "not there": (None, "No such file"),
    "no JSON": ("stop: [ARRET]", "is not JSON"),
    "no words": ('{"fr": {"stop": "ARRET"}}', "fr: stop should be a list of words"),
    "a contradiction": ('{"fr": {"start": ["Stop"]}}', "'Stop' cannot mean start"),
}
# fmt: on


@pytest.mark.parametrize(("content", "problem"), WRONG_FILES.values(), ids=WRONG_FILES)
def test_an_invalid_word_file_is_reported_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None, problem: str
) -> None:
    """Which variable, which file, and what is wrong with it."""
    file = tmp_path / "words.json"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        words.load_or_exit(file)
    assert 2 == ended.value.code
    captured = capsys.readouterr().err
    assert [True] * 3 == [part in captured for part in ("THREELANE_WORDS_FILE", str(file), problem)]


@pytest.mark.parametrize("command", ["callbacks", "worker"])
def test_a_process_with_a_wrong_file_of_words_does_not_start(
    base_environment: dict[str, str], tmp_path: Path, command: str
) -> None:
    """And shows no traceback."""
    file = tmp_path / "words.json"
    file.write_text('{"fr": {"start": ["Stop"]}}', encoding="utf-8")
    ended = threelane(command, environment=base_environment | {"THREELANE_WORDS_FILE": str(file)})
    assert (2, "") == (ended.returncode, ended.stdout)
    assert "'Stop' cannot mean start" in ended.stderr
    assert "Traceback" not in ended.stderr
