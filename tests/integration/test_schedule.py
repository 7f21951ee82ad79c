"""Schedule: what waits for a time can be listed, and put to another time; its validity moves along."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from unittest import mock

import pytest
import redis
from typer.testing import CliRunner

from tests.integration.conftest import Workers, taken
from tests.properties.system import System, open_system
from tests.servers import RedisServer, free_port, stored, threelane
from threelane import Producer, Refused, Status
from threelane.contract import message
from threelane.contract.refusal import Refusal
from threelane.interfaces.command.line import app
from threelane.producer import reschedule as rescheduling
from threelane.producer.accept import Accepted
from threelane.producer.reschedule import Moved, later
from threelane.runtime.exits import Exit
from threelane.sandbox.running import Running
from threelane.store import keys
from threelane.store.status import MessageStatus
from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind

Until = Callable[..., MessageStatus]
TO = "27999500001"
HOUR = 3600_000
DAY = 24 * HOUR


@pytest.fixture
def system(client: redis.Redis, redis_server: RedisServer) -> Iterator[System]:
    """The worker's verbs, one by one, at the time of this machine."""
    assert stored(client) == 0
    with open_system(redis_server) as made:
        made.now = int(time.time() * 1000)
        yield made


def accepted(by: Producer, /, **fields: Any) -> str:
    answer = by.send(**{"to": TO, "text": "Hello", **fields})
    assert isinstance(answer, Accepted), answer
    return answer.id


def refused_move(producer: Producer, message_id: str, when: Any) -> Refused:
    """Move a message that cannot be moved there, and return why."""
    with pytest.raises(Refused) as raised:
        producer.move(message_id, when)
    return raised.value


def standing(producer: Producer, one: str) -> MessageStatus:
    found = producer.status(one)
    assert found
    return found


def in_(**ahead: float) -> datetime:
    return datetime.now(UTC) + timedelta(**ahead)


def ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


# -- list --


def test_waiting_messages_are_listed_the_earliest_first(producer: Producer) -> None:
    """With the fields by which an operator recognises it; a queued message does not wait."""
    later_one = accepted(producer, delay=600, lane=2, batch="b", tags="promo,march")
    accepted(producer)
    first = accepted(producer, delay=60, producer="shop", to="27999500002")
    found = producer.scheduled()

    assert [first, later_one] == [one.id for one in found]
    assert ("shop", "27999500002", 3, "") == (found[0].producer, found[0].to, found[0].lane, found[0].batch)
    assert ("b", "promo,march", 2, Status.SCHEDULED) == (found[1].batch, found[1].tags, found[1].lane, found[1].status)
    assert [standing(producer, one.id).due_at for one in found] == [one.due_at for one in found]


# fmt: off
FILTERS: list[tuple[dict[str, Any], list[int]]] = [
    ({}, [3, 2, 1, 0]), ({"batch": "b"}, [2, 0]), ({"tag": "promo"}, [1, 0]), ({"to": "+27999500002"}, [3]),
    ({"producer": "shop"}, [2]), ({"lane": 1}, [1]), ({"most": 2}, [3, 2]), ({"lane": 3, "most": 1}, [3]),
    ({"batch": "b", "tag": "promo"}, [0]), ({"batch": "none"}, []),
]
# fmt: on


@pytest.mark.parametrize(("wanted", "meant"), FILTERS, ids=str)
def test_a_filter_lists_exactly_its_matches(producer: Producer, wanted: dict[str, Any], meant: list[int]) -> None:
    """Number 3 is due first."""
    messages: list[dict[str, Any]] = [
        {"batch": "b", "tags": "promo", "delay": 400},
        {"tags": "x,promo", "lane": 1, "delay": 300},
        {"batch": "b", "producer": "shop", "delay": 200, "tags": "promotion"},
        {"to": "27999500002", "delay": 100},
    ]
    ids = [accepted(producer, **one) for one in messages]
    assert [ids[number] for number in meant] == [one.id for one in producer.scheduled(**wanted)]


def test_after_and_before_are_the_first_and_the_last_moment(producer: Producer) -> None:
    """To the millisecond, in any zone, as a datetime or as a text; a time without a zone is refused."""
    at = in_(hours=1).replace(microsecond=123_000)
    ids = [accepted(producer, deliver_at=at + timedelta(milliseconds=n)) for n in (-1, 0, 1)]

    def listed(**bounds: Any) -> list[int]:
        return [ids.index(one.id) for one in producer.scheduled(**bounds)]

    assert [1] == listed(after=at, before=at)
    assert [1, 2] == listed(after=at)
    assert [0, 1] == listed(before=at.astimezone(timezone(timedelta(hours=2))))
    assert [2] == listed(after=(at + timedelta(milliseconds=1)).isoformat())
    assert [] == listed(after=at, before=at - timedelta(seconds=1))
    for wrong in (at.replace(tzinfo=None), "2031-06-30", "soon"):
        with pytest.raises(ValueError, match="before: "):
            producer.scheduled(before=wrong)


def test_more_than_a_page_that_is_due_at_the_same_time_is_listed_once_each(producer: Producer) -> None:
    """A batch is often due at one moment: 1,250 of them, among others before and after; a page is 500."""
    at = in_(hours=2)
    times = [at - timedelta(hours=1)] * 3 + [at] * 1_250 + [at + timedelta(seconds=n) for n in range(1, 4)]
    answers = producer.send_many({"to": TO, "text": "x", "deliver_at": one} for one in times)
    ids = [one.id for one in answers]
    found = [one.id for one in producer.scheduled()]

    assert sorted(ids) == sorted(found)
    assert set(ids[:3]) == set(found[:3])
    assert ids[-3:] == found[-3:]
    assert set(ids[3:-3]) == {one.id for one in producer.scheduled(after=at, before=at)}
    assert set(ids[3:]) == {one.id for one in producer.scheduled(after=at)}
    assert 700 == len({one.id for one in producer.scheduled(after=at, before=at, most=700)})


# -- move --


@pytest.mark.parametrize("hours", [0.5, 1.999, 3, 24 * 7 - 0.1])
def test_a_message_that_waits_is_moved_and_its_validity_with_it(producer: Producer, hours: float) -> None:
    """Earlier or later, as often as one likes; a day from its delivery, whenever that is."""
    one = accepted(producer, deliver_at=in_(hours=2))
    for at in (in_(hours=5), in_(hours=hours)):
        answer = producer.move(one, at)
        assert Moved(one, ms(at), ms(at) + DAY) == answer
        found = standing(producer, one)
        assert (Status.SCHEDULED, ms(at), ms(at) + DAY) == (found.status, found.due_at, found.expires_at)
        assert [ms(at)] == [one.due_at for one in producer.scheduled()]


def test_a_time_that_is_just_over_is_now(producer: Producer, system: System) -> None:
    """What a caller calls now is past by the time it gets here: it goes at once, and is still valid for a day."""
    one = accepted(producer, delay=7200)
    answer = producer.move(one, in_(milliseconds=-200))

    system.now = int(time.time() * 1000) + 1_000
    assert system.now - 60_000 < answer.due_at <= system.now
    assert answer.due_at + DAY == answer.expires_at
    assert {3: [one]} == system.release()


def test_a_validity_that_was_named_stays_where_it_was_set(producer: Producer) -> None:
    """And nothing is put behind it."""
    one = accepted(producer, delay=60, validity_period=120)
    expires = standing(producer, one).expires_at
    answer = producer.move(one, in_(minutes=110))
    refused = refused_move(producer, one, in_(minutes=130))

    assert expires == answer.expires_at == standing(producer, one).expires_at
    assert ("120", "deliver_at", one) == (refused.code, refused.field, refused.accepted_id)
    assert answer.due_at == standing(producer, one).due_at


# fmt: off
WRONG_TIMES: list[tuple[Any, str]] = [
    (timedelta(days=8), "more than 7 days ahead"), (timedelta(seconds=-30), "past"),
    ("2031-06-30", "no zone"), ("soon", "not a time"), (4711, "got int"),
]
# fmt: on


@pytest.mark.parametrize(("when", "why"), WRONG_TIMES, ids=lambda value: str(value)[:20])
def test_a_time_that_nothing_can_be_moved_to_is_refused(producer: Producer, when: Any, why: str) -> None:
    """By the rules of accept; the message stays where it was."""
    one = accepted(producer, delay=60)
    due_at = standing(producer, one).due_at
    answer = refused_move(producer, one, datetime.now(UTC) + when if isinstance(when, timedelta) else when)

    assert ("120", "deliver_at") == (answer.code, answer.field)
    assert why in answer.problem
    assert answer.remedy
    assert due_at == standing(producer, one).due_at


def test_a_message_that_does_not_wait_cannot_be_moved(producer: Producer, system: System) -> None:
    """Queued, sent or cancelled: the answer has its status; an unknown id is reported as unknown."""
    queued, sent, cancelled = accepted(producer), accepted(producer), accepted(producer, delay=60)
    system.attempt(sent, AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id="g" * 32))
    producer.cancel([cancelled])
    for one, status in ((queued, "queued"), (sent, "sent"), (cancelled, "cancelled")):
        answer = refused_move(producer, one, in_(hours=1))
        assert ("120", "id", one) == (answer.code, answer.field, answer.accepted_id)
        assert f"it is {status}" in answer.problem
        assert status == standing(producer, one).status

    answer = refused_move(producer, "0" * 32, in_(hours=1))
    assert "unknown or expired message id" == answer.problem
    assert producer.status("0" * 32) is None


def test_a_retry_can_be_moved_and_keeps_its_attempts(producer: Producer, system: System) -> None:
    """It waits for a time as well; the next attempt is the second."""
    one = accepted(producer)
    system.attempt(one, AttemptOutcome(OutcomeKind.REFUSED, "901", "internal error"))
    expires = standing(producer, one).expires_at
    answer = producer.move(one, in_(hours=2))
    assert abs(answer.expires_at - expires - 2 * HOUR) < 60_000
    system.now = answer.due_at - 1
    assert {} == system.release()
    system.now = answer.due_at
    assert {3: [one]} == system.release()
    (claimed,) = system.claim(3, [one], "token").claimed

    assert 2 == claimed.attempt
    assert (answer.due_at, answer.expires_at) == (claimed.message.due_at, claimed.message.expires_at)


def test_a_message_moved_by_two_at_once_is_where_one_of_them_put_it(producer: Producer, system: System) -> None:
    """Never a due time of one with a validity of the other."""
    one = accepted(producer, deliver_at=in_(hours=1))
    times = [in_(hours=2 + n) for n in range(8)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda at: producer.move(one, at), times))

    found = standing(producer, one)
    assert Moved(one, found.due_at, found.expires_at) in answers
    assert found.due_at + DAY == found.expires_at
    assert {found.due_at} == set(system.glance([]).indexes[keys.DUE[3]].values())


def test_a_move_computed_from_an_older_message_is_computed_again(system: System) -> None:
    """Another operator moved it in between: what was read then is not the validity of now."""
    draft = system.draft(delay=600)
    system.accept([draft])
    one, old = draft.message.id, rescheduling.read(system.sync, draft.message.id)[1]
    put_off = later(draft.message, system.now + 2 * HOUR, system.now)
    assert isinstance(system.move(one, system.now + HOUR), Moved)

    assert [False] == rescheduling.reschedule(system.sync, [(old, put_off)], Status.SCHEDULED, system.now)
    assert {one: system.now + HOUR} == system.glance([]).indexes[keys.DUE[3]]


def test_later_is_pure() -> None:
    """A message that was due at once is valid for as long after its new time as it was from now."""
    now = 1_800_000_000_000
    draft = message.parse({"to": TO, "text": "x"}, now)
    assert not isinstance(draft, Refusal)
    moved = later(draft.message, now + 2 * HOUR, now + HOUR)

    assert (now + 2 * HOUR, now + DAY + HOUR) == (moved.due_at, moved.expires_at)


def test_a_worker_sends_it_at_its_new_time_and_not_at_the_old_one(
    producer: Producer, sandbox: Running, workers: Workers, until: Until
) -> None:
    """One is put off from 4 s ahead to 6 s ahead; another comes forward from an hour ahead."""
    workers.start()
    put_off, brought_forward = accepted(producer, delay=4), accepted(producer, delay=3600)
    moved = [producer.move(put_off, in_(seconds=6)), producer.move(brought_forward, in_(seconds=3))]
    for one, answer in zip((put_off, brought_forward), moved, strict=True):
        until(one, Status.SENT, Status.DELIVERED)
        (entry,) = taken(sandbox)[one]
        assert answer.due_at - 250 <= entry["taken_at"] * 1000  # a worker's clock may be a little ahead
        assert entry["scheduled_at"] is None


# -- the command line --


@pytest.fixture
def environment(client: redis.Redis, redis_server: RedisServer) -> dict[str, str]:
    """What a user sets: the address of an empty Redis."""
    assert stored(client) == 0
    return {"THREELANE_REDIS_URL": redis_server.url}


def typed(*words: str, environment: dict[str, str]) -> tuple[int, str, str]:
    """Return the exit code and the output; in this process, since starting one takes longer."""
    with mock.patch("threelane.interfaces.command.caller.logs.configure"):  # it would take the logs of the tests, too
        result = CliRunner().invoke(app, words, env=environment, terminal_width=80)
    return result.exit_code, result.stdout, result.stderr


def test_a_message_is_listed_moved_and_cancelled_by_commands(environment: dict[str, str], producer: Producer) -> None:
    """The id that the list shows, on a narrow terminal too, is what the other commands take."""
    one = accepted(producer, delay=600, batch="newsletter-7", tags="promo,march", lane=2)
    queued = accepted(producer)
    at = in_(hours=3).replace(microsecond=0)

    def run(*words: str) -> tuple[int, str, str]:
        return typed(*words, environment=environment)

    code, shown, _ = run("schedule", "list", "--tag", "promo")
    assert 0 == code
    assert one in shown
    assert TO not in shown, "numbers are masked"
    assert "more than" not in shown
    assert "there may be more than 1; raise --most to see them" in run("schedule", "list", "--most", "1")[1]
    code, shown, _ = run("schedule", "list", "--json", "--after", "2026-01-01T00:00:00Z", "--most", "5")
    (listed,) = json.loads(shown)
    assert (0, one, "newsletter-7", 2) == (code, listed["id"], listed["batch"], listed["lane"])
    assert (0, f"{one} moved\n", "") == run("schedule", "move", one, at.isoformat())
    code, shown, _ = run("schedule", "move", one, at.isoformat(), "--json")
    reported = json.loads(shown)
    assert (0, True, one, ms(at)) == (code, reported["accepted"], reported["id"], reported["due_at"])
    code, shown, problem = run("schedule", "move", queued, at.isoformat())
    assert (1, "") == (code, shown)
    assert "it is queued" in " ".join(problem.split())
    code, shown, _ = run("schedule", "move", "nothing", at.isoformat(), "--json")
    assert (1, False, "unknown or expired message id") == (
        code,
        *(json.loads(shown)[name] for name in ("accepted", "problem")),
    )

    assert (0, "1 cancelled, 0 too late or unknown\n", "") == run("cancel", "--batch", "newsletter-7")
    problem = "no message that could be cancelled matches\n"
    assert (Exit.NO_MATCH, problem) == run("cancel", "--batch", "newsletter-7")[::2]
    assert Exit.NOT_FOUND == run("cancel", "f" * 32)[0]
    code, shown, _ = run("cancel", one, queued, "nothing", "--json")
    *answers, summary = map(json.loads, shown.splitlines())
    assert [(one, "too_late"), (queued, "cancelled"), ("nothing", "unknown")] == [
        (result["id"], result["answer"]) for result in answers
    ]
    assert (1, {"cancelled": 1, "asked": 0, "not_retried": 0, "too_late": 1, "unknown": 1}) == (
        code,
        summary["summary"],
    )
    code, shown, _ = run("cancel", one, "nothing")
    assert 1 == code
    assert f"{one}: it was cancelled before" in shown
    assert "nothing: unknown, or no longer remembered" in shown
    assert (0, "no message waits for a time\n", "") == run("schedule", "list")


# fmt: off
WRONG = [
    (("cancel",), "give ids, or a filter"),
    (("cancel", "0f3c", "--batch", "b"), "give ids, or a filter"),
    (("cancel", "--to", "0831234567"), "write the country code first"),
    (("cancel", "--lane", "4"), "--lane"),
    (("schedule", "list", "--after", "tomorrow"), "after: not a time; write ISO 8601"),
    (("schedule", "list", "--before", "2031-06-30T14:00:00"), "before: the time has no zone; add Z"),
    (("schedule", "list", "--most", "0"), "--most"),
    (("schedule", "move", "0f3c"), "DELIVER_AT"),
]
# fmt: on


@pytest.mark.parametrize(("words", "sentence"), WRONG, ids=lambda value: " ".join(value) if value != str(value) else "")
def test_wrong_usage_is_exit_code_2_and_a_sentence(
    environment: dict[str, str], words: tuple[str, ...], sentence: str
) -> None:
    """No traceback."""
    code, shown, problem = typed(*words, environment=environment)
    assert (2, "") == (code, shown)
    assert sentence.lower() in " ".join(problem.split()).lower()
    assert "Traceback" not in problem


@pytest.mark.parametrize("words", [("cancel", "0f3c" * 8), ("schedule", "list")])
def test_without_redis_a_command_ends_with_exit_code_3(words: tuple[str, ...]) -> None:
    """A sentence, also for programs."""
    away = {"THREELANE_REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}
    code, shown, _ = typed(*words, "--json", environment=away)
    assert 3 == code
    assert "Redis does not answer" in json.loads(shown)["unavailable"]


def test_the_commands_are_those_of_a_terminal(environment: dict[str, str], producer: Producer) -> None:
    """Once in a process of its own, as a user has it."""
    one = accepted(producer, delay=600)
    completed = threelane("cancel", one, "nothing", environment=environment)

    assert (1, "") == (completed.returncode, completed.stderr)
    assert "nothing: unknown, or no longer remembered\n1 cancelled, 1 too late or unknown\n" == completed.stdout
