"""Limits: what stands against sixty codes to one number, and against a form that sends to a row of numbers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import redis

from tests.properties.system import System, open_system
from tests.servers import RedisServer, typed
from threelane import Accepted, Producer, ProducerSettings, Refused, Status
from threelane.contract.refusal import Owner, Refusal
from threelane.operations import damage
from threelane.store import budgets, keys, limits
from threelane.store.budgets import Budget
from threelane.store.limits import Limit, parse_name

TO = "27831234567"
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
SMALL_BLOCK = 37065550_000
OF_LIMITS = (
    *(keys.Key.LIMITS, keys.Key.LIMIT_COUNTS, keys.Key.RUNS, keys.Key.BLOCKS_TO_HOLD),
    *(keys.Key.SAME_TEXT_A, keys.Key.SAME_TEXT_B, keys.Key.RECIPIENTS_A, keys.Key.RECIPIENTS_B),
    *(keys.Key.NEIGHBOURS_A, keys.Key.NEIGHBOURS_B),
)


@pytest.fixture
def system(redis_server: RedisServer, client: redis.Redis) -> Iterator[System]:
    """A clock that the test moves, and the limits of a new installation."""
    assert client.ping()
    with open_system(redis_server, parts_per_second=100_000) as made:
        client.delete(keys.LIMITS)
        yield made


def send(system: System, to: str | int = TO, **fields: Any) -> Any:
    (answer,) = system.accept([system.draft(to=str(to), **{"lane": 1} | fields)])
    return answer


def codes(system: System, number: int, **fields: Any) -> list[Any]:
    return [send(system, text=f"Your code is {1000 + n}", **fields) for n in range(number)]


def put(system: System, scope: str, *values: Any, producer: str = "", **more: Any) -> None:
    """Set a limit: its scope, perhaps a period, and a number."""
    *period, count = values
    limits.put(system.sync, parse_name(scope, *period, producer=producer), Limit(count, **more))


def accepted(answers: list[Any]) -> int:
    return sum(one.accepted for one in answers)


def test_of_sixty_codes_to_one_number_ten_go(system: System) -> None:
    """The default; the refusal names the limit, who can change it and when it has room."""
    answers = codes(system, 60)

    assert [True] * 10 + [False] * 50 == [one.accepted for one in answers]
    refused = answers[10]
    assert ("429", "to", Owner.PRODUCER) == (refused.code, refused.field, refused.owner)
    assert "10 messages of lane 1 per hour" in refused.problem
    assert "threelane limits set recipient hour NUMBER --lanes 1" in refused.remedy
    assert HOUR / 1000 <= refused.retry_after <= HOUR / 1000 + 1


def test_of_sixty_codes_in_one_call_ten_go(system: System) -> None:
    """A call reads and writes the counts once, and its own messages count, too; those to others are not affected."""
    drafts = [system.draft(to=TO, lane=1, text=f"Code {n}") for n in range(60)]
    others = [system.draft(to=str(27831234568 + 200 * n), lane=1) for n in range(30)]

    assert 10 == accepted(system.accept(drafts[:20]))
    assert 30 == accepted(system.accept(drafts[20:] + others))


def test_a_recipient_never_gets_more_than_the_limit_in_any_hour(system: System) -> None:
    """Not only by the clock's hours: a code every four minutes meets it, too, and goes on as others age."""
    sent = []
    for _ in range(60):
        if send(system, text=f"Code {system.now}").accepted:
            sent.append(system.now)
        system.now += 4 * MINUTE

    most = max(sum(at <= other < at + HOUR for other in sent) for at in sent)
    assert 10 == most
    assert len(sent) > 35


def test_lanes_two_and_three_do_not_count_as_codes(system: System) -> None:
    """A newsletter does not use up the codes of its reader, and is not limited itself."""
    news = [send(system, lane=3, text=f"News {n}") for n in range(20)]

    assert 20 == accepted(news)
    assert 10 == accepted(codes(system, 12))


def test_the_same_text_within_ten_seconds_is_refused_with_the_id_of_the_first(system: System) -> None:
    """A double click sends once, in every lane; ten seconds later the same text is a new message."""
    for lane in keys.LANES:
        first, second = (send(system, lane=lane, text=f"Order {lane} shipped") for _ in range(2))
        assert ("429", "text", first.id) == (second.code, second.field, second.accepted_id)
        system.now += 9_999
        assert not send(system, lane=lane, text=f"Order {lane} shipped").accepted
        system.now += 1
        assert send(system, lane=lane, text=f"Order {lane} shipped").accepted


def test_the_same_text_within_one_call_is_refused(system: System) -> None:
    """A list with one row twice sends it once."""
    drafts = [system.draft(text="Hello", lane=3) for _ in range(3)]
    first, *others = system.accept(drafts)

    assert isinstance(first, Accepted)
    assert [first.id] * 2 == [one.accepted_id for one in others if isinstance(one, Refusal)]


def test_a_repeat_on_purpose_is_exempt_from_the_limit_of_the_same_text_only(system: System) -> None:
    """A file may ask for two of the same; what did not ask is still refused, and so is what is over another limit."""
    assert [True, True, True, False] == [send(system, repeat=one).accepted for one in (0, 1, "1", 0)]
    put(system, "recipient", "hour", 1)
    _, over = send(system, repeat=1), send(system, repeat=1)

    assert ("429", "to") == (over.code, over.field)


def test_the_same_text_of_another_producer_or_to_another_number_is_accepted(system: System) -> None:
    """No producer meets the texts of another one, nor learns its ids."""
    answers = [
        send(system, producer="shop"),
        send(system, producer="bank"),
        send(system, to="27831234568", producer="shop"),
        send(system, text="Hello!", producer="shop"),
        send(system, text="ab", producer="shop"),
        send(system, text="b", producer="shopa"),
    ]

    assert 6 == accepted(answers)


def test_both_spellings_of_a_number_are_one_person(system: System) -> None:
    """Benin put 01 before every number: ten codes go, whatever the spelling, and no text twice."""
    answers = [send(system, to=("22990011234", "2290190011234")[n % 2], text=f"Code {n}") for n in range(20)]
    same = [send(system, to=to, lane=3, text="Hello") for to in ("22990011235", "2290190011235")]

    assert 10 == accepted(answers)
    assert 1 == accepted(same)


def test_a_repeated_id_counts_once(system: System) -> None:
    """A caller that retries with its client message id uses up no limit, and gets its first answer."""

    def repeats() -> Iterator[Any]:
        for _ in range(15):
            yield send(system, client_message_id="code", text="Your code is 1")
            system.now += 10_000  # the same text is no reason any more

    assert 15 == accepted(list(repeats()))
    assert 9 == accepted(codes(system, 20))
    assert 15 == accepted(list(repeats()))


def test_a_refused_message_uses_up_nothing(system: System) -> None:
    """Whatever refuses it: an opt-out or a budget."""
    put(system, "prefix:2783", "day", 5)
    system.suppress(TO)
    assert 0 == accepted(codes(system, 20))
    system.sync.delete(keys.SUPPRESSED)
    budgets.put(system.sync, "producer:shop", "day", Budget(0))
    assert 0 == accepted(codes(system, 20, producer="shop"))
    budgets.remove(system.sync, "producer:shop", "day")

    assert {} == system.sync.hgetall(keys.LIMIT_COUNTS)
    assert 5 == accepted(codes(system, 20))


def test_a_cancelled_message_stays_counted(system: System) -> None:
    """Otherwise a caller could accept and cancel for ever, and one of them would slip through."""
    for answer in codes(system, 10):
        system.cancel([answer.id])

    assert 0 == accepted(codes(system, 1, lane=1))


@pytest.mark.parametrize(
    ("scope", "field"), [("prefix:370", "to"), ("country:LT", "to"), ("producer:shop", "producer")]
)
def test_a_limit_that_recipients_share(system: System, scope: str, field: str) -> None:
    """Five a day go, in whatever lane; tomorrow five more."""
    put(system, scope, "day", 5)
    answers = [send(system, SMALL_BLOCK + 7 * n, lane=1 + n % 3, producer="shop") for n in range(20)]

    assert 5 == accepted(answers)
    assert {("429", field, Owner.OPERATOR)} == {(one.code, one.field, one.owner) for one in answers[5:]}
    assert send(system, TO, producer="bank").accepted
    system.now = (system.now // DAY + 1) * DAY
    assert 5 == accepted([send(system, SMALL_BLOCK + 7 * n, producer="shop") for n in range(20)])


def test_a_limit_can_defer_to_the_next_period(system: System) -> None:
    """As many as the next period has room for; what would not fit there is refused."""
    put(system, "producer:shop", "minute", 3, over="defer")
    answers = [send(system, 27831230000 + n, producer="shop") for n in range(8)]

    next_minute = (system.now // MINUTE + 1) * MINUTE
    assert [0] * 3 + [next_minute] * 3 == [one.due_at for one in answers[:6]]
    assert {Status.SCHEDULED} == {one.status for one in answers[3:6]}
    assert [False] * 2 == [one.accepted for one in answers[6:]]
    system.now = next_minute
    (first, *_) = [send(system, 27831231000 + n, producer="shop") for n in range(3)]
    assert next_minute + MINUTE == first.due_at


def test_a_recipients_limit_can_defer(system: System) -> None:
    """The eleventh code waits until the first one is an hour old: no hour has more than ten."""
    put(system, "recipient", "hour", 10, over="defer", lanes="1")
    answers = codes(system, 30, validity_period=180)

    due = sorted(one.due_at or system.now for one in answers if one.accepted)
    assert 20 == len(due)
    assert 10 == max(sum(at <= other < at + HOUR for other in due) for at in due)


@pytest.mark.parametrize("scope", ["country:ZA", "prefix:27", "producer:shop"])
def test_a_message_that_another_limit_defers_counts_for_its_recipient(system: System, scope: str) -> None:
    """It counts when it is accepted: a full country does not open its recipients to sixty codes tomorrow."""
    put(system, scope, "day", 1_000, over="defer")
    system.sync.hset(keys.LIMIT_COUNTS, f"{scope}:day", f"{system.now // DAY}:1000:0")
    answers = codes(system, 60, producer="shop", validity_period=2880)

    assert [Status.SCHEDULED] * 10 == [one.status for one in answers if one.accepted]


def test_a_message_that_would_expire_before_is_refused(system: System) -> None:
    """A code that is valid for five minutes is of no use in an hour."""
    put(system, "recipient", "hour", 10, over="defer")

    assert 10 == accepted(codes(system, 12, validity_period=5))


def test_an_operator_changes_the_defaults_for_one_producer(system: System) -> None:
    """The others keep them."""
    put(system, "recipient", "hour", 20, producer="bank")
    put(system, "same-text", 0, producer="bank", off=True)

    assert 20 == accepted([send(system, producer="bank") for _ in range(30)])
    assert 10 == accepted(codes(system, 30, to="27831234599", producer="shop"))


def test_twenty_producers_never_pass_one_limit_together(client: redis.Redis, redis_server: RedisServer) -> None:
    """Each looks and counts in one step: exactly the limit goes."""
    limits.put(client, parse_name("country:ZA", "day"), Limit(100))
    start, answers = threading.Barrier(20), []

    def call(caller: int) -> None:
        with Producer(ProducerSettings(redis_url=redis_server.url, producer=f"shop {caller}")) as own:
            start.wait()
            for n in range(10):
                rows = [{"to": f"2783{caller:03}{n:02}{m:02}", "text": "Hello"} for m in range(3)]
                answers.extend(own.send_many(rows))

    callers = [threading.Thread(target=call, args=(n,)) for n in range(20)]
    for one in callers:
        one.start()
    for one in callers:
        one.join()

    assert 600 == len(answers)
    assert 100 == accepted(answers)
    assert {"429"} == {one.code for one in answers if isinstance(one, Refused)}


def runs_of(system: System) -> list[limits.Run]:
    return list(limits.runs(system.sync, system.now))


STARTS = (*((SMALL_BLOCK + at, 1) for at in (0, 995, -4)), *((SMALL_BLOCK + at, -1) for at in (500, 4)))


@pytest.mark.parametrize(("first", "step"), STARTS)
def test_neighbouring_numbers_raise_an_alarm_within_ten(system: System, first: int, step: int) -> None:
    """Wherever the run begins, also across the edge of a block; whoever sends; and in either direction."""
    for n in range(9):
        send(system, first + step * n, producer=f"shop {n}")
    assert [] == runs_of(system)
    send(system, first + step * 9)
    assert 1 == len(runs_of(system))

    for n in range(10, 200):
        assert send(system, first + n).accepted
    assert b"1" == system.sync.hget(keys.TALLY, "neighbour_runs:alarm") or len(runs_of(system)) > 1
    assert None is system.sync.hget(keys.TALLY, "neighbour_runs:hold")


@pytest.mark.parametrize("first", [SMALL_BLOCK, SMALL_BLOCK + 995])
def test_neighbouring_numbers_of_one_call_raise_an_alarm(system: System, first: int) -> None:
    """The numbers of a call are neighbours of each other, also across the edge of a block."""
    system.accept([system.draft(to=str(first + n), lane=1) for n in range(9)])
    assert [] == runs_of(system)
    system.accept([system.draft(to=str(first + 9 + n), lane=1) for n in range(20)])

    assert 29 == max(one.numbers for one in runs_of(system))


def test_a_run_is_a_run_within_minutes_and_of_near_numbers(system: System) -> None:
    """Codes to customers whose numbers happen to begin alike raise none, and neither do the same nine numbers again."""
    for n in range(100):
        send(system, SMALL_BLOCK + 110 * n, text=f"Code {n}")
    for n in range(40):
        send(system, 37066660_000 + n % 9, text=f"Code {n}")
    for n in range(40):
        send(system, 37067770_000 + n)
        system.now += 2 * MINUTE

    assert [] == runs_of(system)


def test_a_list_of_neighbouring_numbers_in_a_lower_lane_raises_no_alarm(system: System) -> None:
    """Newsletters go to whole series of numbers."""
    for lane in (2, 3):
        system.accept([system.draft(to=str(SMALL_BLOCK + n), lane=lane) for n in range(90)])

    assert [] == runs_of(system)


def test_a_run_can_hold_its_prefix_in_lane_one(system: System) -> None:
    """An operator's choice: what comes after the tenth waits, others go on, and a resume is not undone."""
    put(system, "neighbours", 10, over="hold")
    ids = [send(system, SMALL_BLOCK + n).id for n in range(50)]
    other = send(system, TO).id

    assert [other] == [one.message.id for one in system.claim(1, [*ids[:20], other], "token").claimed]
    held = json.loads(system.sync.hget(keys.HOLDS, "prefix:37065550"))  # type: ignore[arg-type]
    assert ("by_hand", "neighbouring numbers", system.now + HOUR) == (held["code"], held["cause"], held["until"])
    system.sync.hdel(keys.HOLDS, "prefix:37065550")
    more = send(system, SMALL_BLOCK + 51).id
    assert [more] == [one.message.id for one in system.claim(1, [more], "other token").claimed]
    assert b"1" == system.sync.hget(keys.TALLY, "neighbour_runs:hold")


def test_a_run_holds_its_prefix_in_every_account(system: System, redis_server: RedisServer) -> None:
    """Whichever account is claimed from first: the fraud goes on in the others; a resume in one is not undone there."""
    put(system, "neighbours", 10, over="hold")
    with open_system(redis_server, account="bank") as bank:
        bank._drafts, bank.now = 1_000, system.now
        codes = [send(system, SMALL_BLOCK + n).id for n in range(20)]
        there = send(bank, SMALL_BLOCK + 30).id

        assert [[], []] == [one.claim(1, ids, "one").claimed for one, ids in ((bank, [there]), (system, codes))]
        bank.sync.hdel(bank.names.HOLDS, "prefix:37065550")
        assert [1, 0] == [len(one.claim(1, [send(one, SMALL_BLOCK + 40).id], "two").claimed) for one in (bank, system)]
        system.now += HOUR
        later = send(system, SMALL_BLOCK + 41, lane=3).id
        assert [later] == [one.id for one in system.claim(3, [later], "three").claimed]
        assert 0 == system.sync.exists(keys.BLOCKS_TO_HOLD)


def test_runs_in_many_blocks_hold_few_of_them(system: System) -> None:
    """Each claim reads all holds: a flood of runs must not stop the claims of everybody else."""
    put(system, "neighbours", 5, over="hold")
    for block in range(120):
        system.accept([system.draft(to=str(SMALL_BLOCK + 1_000 * block + n), lane=1) for n in range(5)])
        if block % 40 == 39:
            system.claim(1, [], "token")
    holds = {name for name in system.sync.hkeys(keys.HOLDS) if name.startswith(b"prefix:")}

    assert limits.MOST_HELD == len(holds)
    assert 120 == len(runs_of(system))
    for block in range(120, 300):
        system.accept([system.draft(to=str(SMALL_BLOCK + 1_000 * block + n), lane=1) for n in range(5)])
    kept = {one.block for one in runs_of(system) if one.held}
    assert {name.removeprefix(b"prefix:").decode() for name in holds} <= kept  # so that a resume is not undone


@pytest.mark.parametrize("key", OF_LIMITS)
@pytest.mark.parametrize("damage", ["type", "rows"])
def test_damage_stops_no_message(system: System, key: keys.Key, damage: str) -> None:
    """A key of another type, or rows that nobody can read: codes are accepted and claimed, and the defaults apply."""
    put(system, "neighbours", 10, over="hold")
    put(system, "prefix:370", "day", 1_000)
    name = keys.key(key)
    send(system, SMALL_BLOCK)
    rows: dict[Any, Any] = dict(system.sync.hgetall(name)) or {"37065550": ""}
    system.sync.delete(name)
    if damage == "type":
        system.sync.set(name, "x")
    else:
        system.sync.hset(name, mapping=dict.fromkeys(rows, b"\xff{"))
    answers = [send(system, SMALL_BLOCK + n, text=f"Code {n}") for n in range(30)]
    assert 30 == accepted(answers)
    assert send(system, TO).accepted
    system.claim(1, [one.id for one in answers], "token")
    assert 10 >= accepted([send(system, "27831230001", text=f"Code {n}") for n in range(20)])


IMPOSSIBLE: tuple[tuple[str, dict[str, Any]], ...] = (
    *(("same-text", {"count": count}) for count in (1.0001, 0.0005, 0, -1, 9e15, 3_601)),
    *(("recipient:hour", {"count": count}) for count in (2.5, 0, 1e15, 1_001)),
    ("recipient:hour", {"count": 0.5, "off": True}),
    ("neighbours", {"count": 0, "over": "hold"}),
    ("neighbours", {"count": 5, "over": "refuse"}),
    ("country:ZA:hour", {"count": 0}),
    ("prefix:27:hour", {"count": 1.5}),
    ("prefix:27:hour", {"count": 1, "over": "drop"}),
    ("prefix:27:hour", {"count": 1, "lanes": "1"}),
    ("prefix:27:hour@shop", {"count": 1}),
    ("prefix:27:week", {"count": 1}),
    ("planet:27:hour", {"count": 1}),
)


def test_a_row_that_cannot_be_set_does_not_apply(system: System) -> None:
    """Accept, doctor and the list agree which rows these are: the default applies in their place."""
    for number, (name, row) in enumerate(IMPOSSIBLE):
        system.sync.delete(keys.LIMITS)
        system.sync.hset(keys.LIMITS, name, json.dumps(row))
        to = str(27831234000 + 200 * number)
        answers = codes(system, 12, to=to)

        assert (name, {}) == (name, limits.read(system.sync))
        assert [name] == [one.row for one in damage.find(system.sync) if one.key == keys.LIMITS]
        assert (name, row, 10) == (name, row, accepted(answers))
        assert "text" == send(system, to=to, text="Your code is 1000").field
    assert [] == runs_of(system)


def test_the_counts_expire_and_hold_little(system: System) -> None:
    """Two hashes take turns: what is over goes as a whole, and no key stays."""
    for _ in range(5):
        codes(system, 3)
        system.now += HOUR
    names = [keys.key(one) for one in (keys.Key.RECIPIENTS_A, keys.Key.RECIPIENTS_B)]

    assert all(0 < system.sync.pttl(name) <= 3 * HOUR for name in names)
    assert {2} == {int(system.sync.hlen(name)) for name in names}
    for name in (keys.Key.SAME_TEXT_A, keys.Key.SAME_TEXT_B, keys.Key.NEIGHBOURS_A, keys.Key.NEIGHBOURS_B):
        assert system.sync.pttl(keys.key(name)) != -1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["recipient", "hour", "0"], "0 is not a limit"),
        (["prefix:370", "day", "-5"], "no number here may be negative"),
        (["recipient", "hour", "ten"], "not a whole number"),
        (["recipient", "week", "5"], "not minute, hour or day"),
        (["recipient", "5"], "not minute, hour or day"),
        (["recipient:27831234567", "hour", "5"], "one limit applies to every recipient"),
        (["recipient", "hour", "5000"], "give 1 to 1,000 messages"),
        (["prefix:+370", "day", "5"], "without +"),
        (["country:Lithuania", "day", "5"], "two capital letters"),
        (["country:XX", "day", "5"], "is no country"),
        (["same-text", "hour", "5"], "has none"),
        (["same-text", "10", "--over", "defer"], "give refuse"),
        (["neighbours", "3"], "give 5 to 100"),
        (["prefix:370", "day", "5", "--lanes", "1"], "has no lanes"),
        (["prefix:370", "day", "5", "--producer", "shop"], "leave out --producer"),
        (["sender:ACME", "day", "5"], "is unknown"),
        (["recipient", "hour", "day", "5"], "give a period and a number"),
    ],
)
def test_a_limit_that_cannot_apply_is_refused(
    client: redis.Redis, redis_server: RedisServer, words: list[str], says: str
) -> None:
    """The field, what is wrong, and the right form; nothing is stored."""
    before = client.hgetall(keys.LIMITS)
    done = typed("limits", "set", *words, environment={"THREELANE_REDIS_URL": redis_server.url, "COLUMNS": "400"})

    assert 2 == done.returncode
    assert says in done.stderr
    assert before == client.hgetall(keys.LIMITS)


def test_an_operator_sees_sets_and_removes_limits(
    client: redis.Redis, redis_server: RedisServer, default_limits: None, producer: Producer
) -> None:
    """Defaults are listed as such, explain shows what is used, and off is not the same as remove."""
    environment = {"THREELANE_REDIS_URL": redis_server.url, "COLUMNS": "400"}

    def run(*words: str) -> str:
        done = typed("limits", *words, environment=environment)
        assert 0 == done.returncode, done.stderr
        return done.stdout

    def listed() -> dict[tuple[str, str, str], Any]:
        return {(one["scope"], one["period"], one["producer"]): one for one in json.loads(run("list", "--json"))}

    assert {"recipient", "same-text", "neighbours"} == {scope for scope, _, _ in listed()}
    assert all(one["is_default"] for one in listed().values())
    run("set", "prefix:278", "day", "5")
    run("set", "recipient", "hour", "20", "--producer", "bank")
    run("set", "same-text", "off")
    assert "producer:x:hour has at most" in run("set", "producer:x:hour", "day", "7")
    assert "producer:x:hour" in run("list")
    assert [5, 20, True] == [
        listed()["prefix:278", "day", ""]["limit"],
        listed()["recipient", "hour", "bank"]["limit"],
        listed()["same-text", "", ""]["off"],
    ]
    for n in range(5):
        assert producer.send(to=TO, text=f"Code {n}", lane=1).accepted
    found = {one["scope"]: one for one in json.loads(run("explain", TO, "--json"))}
    assert [True, False] == [found[scope]["is_default"] for scope in ("recipient", "prefix:278")]
    assert (5, 10, None) == tuple(found["recipient"][name] for name in ("used", "limit", "free_at"))
    assert (5, 5) == tuple(found["prefix:278"][name] for name in ("used", "limit"))
    assert found["prefix:278"]["free_at"]
    assert "prefix:278" in typed("doctor", environment=environment).stdout
    run("remove", "prefix:278", "day")
    assert "by default" in run("remove", "same-text")
    assert "same-text" in run("list")
    assert 6 == typed("limits", "remove", "same-text", environment=environment).returncode


def test_doctor_names_a_run(system: System, redis_server: RedisServer) -> None:
    """With the block, the producer of the latest message, and the command that stops it."""
    system.now = int(system.sync.time()[0]) * 1000  # type: ignore[index]
    for n in range(10):
        send(system, SMALL_BLOCK + n, producer="login")

    found = typed("doctor", environment={"THREELANE_REDIS_URL": redis_server.url, "COLUMNS": "400"}).stdout
    assert "10 neighbouring numbers of 37065550" in found
    assert "threelane hold prefix:37065550" in found


def test_a_refusal_survives_its_way_to_the_caller(system: System) -> None:
    """As an exception and as JSON, with the seconds to wait."""
    refused = Refused.from_refusal(codes(system, 11)[10])

    assert refused.retry_after > 3_000
    assert refused.retry_after == refused.refusal.retry_after
    assert refused.retry_after == json.loads(msgspec.json.encode(refused.refusal))["retry_after"]
