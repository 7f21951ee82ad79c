"""Budgets: what a cost centre or a producer may spend, exact while twenty callers spend at once."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator

import pytest
import redis

from tests.properties.system import START, System, open_system
from tests.servers import RedisServer, typed
from threelane import Accepted, Producer, ProducerSettings, Refused, Status
from threelane.contract.prices import CREDIT
from threelane.contract.refusal import Owner, Refusal
from threelane.contract.schedule import DAY
from threelane.store import budgets, keys
from threelane.store.budgets import Budget
from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind
from threelane.worker.inbound.report import StatusReport

TO = "27831234567"
NEWS = "centre:news"
SENT = AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id="g" * 32)


@pytest.fixture
def system(redis_server: RedisServer, client: redis.Redis) -> Iterator[System]:
    assert client.ping()
    with open_system(redis_server) as made:
        yield made


def spent(client: redis.Redis, scope: str, period: str) -> float:
    return int(client.hget(keys.SPENT + period, scope) or 0) / CREDIT  # type: ignore[arg-type]


def today() -> str:
    return budgets.day(int(time.time() * 1000))


@pytest.mark.parametrize("scope", [NEWS, "producer:shop"])
def test_twenty_callers_at_once_never_pass_a_budget(client: redis.Redis, redis_server: RedisServer, scope: str) -> None:
    """Each of the callers looks, and reserves, in one step; all accepted messages fit, and no further one would."""
    budgets.put(client, scope, "day", Budget(100 * CREDIT))
    start, answers, highest = threading.Barrier(21), [], 0.0

    def calls() -> None:
        settings = ProducerSettings(redis_url=redis_server.url, producer="shop", cost_centre="news", prices="*=0.3")
        with Producer(settings) as own:
            start.wait()
            for n in range(30):
                messages = [{"to": TO, "text": "Hello" if n % 3 else "News " * 40} for _ in range(2)]
                answers.extend(own.send_many(messages))

    callers = [threading.Thread(target=calls) for _ in range(20)]
    for one in callers:
        one.start()
    start.wait()
    while any(one.is_alive() for one in callers):
        highest = max(highest, spent(client, scope, today()))
    for one in callers:
        one.join()

    taken = [one for one in answers if isinstance(one, Accepted)]
    refused = [one for one in answers if isinstance(one, Refused)]
    assert 20 * 60 == len(taken) + len(refused)
    assert max(highest, spent(client, scope, today())) <= 100
    assert 100 - 0.3 < round(sum(one.parts * 0.3 for one in taken), 6) <= 100
    assert round(sum(one.parts * 0.3 for one in taken), 6) == spent(client, scope, today())
    field = "cost_centre" if scope == NEWS else "producer"
    assert {("302", field, Owner.OPERATOR)} == {(one.code, one.field, one.owner) for one in refused}
    assert str(len(refused)).encode() == client.hget(keys.TALLY, "refused:302")


def test_a_refusal_names_the_budget_what_is_left_and_the_remedy(client: redis.Redis, producer: Producer) -> None:
    """The reader knows what to request from whom."""
    budgets.put(client, NEWS, "month", Budget(5 * CREDIT // 2))
    answers = producer.send_many([{"to": TO, "text": "Hello", "cost_centre": "news"}] * 3)
    assert [True, True, False] == [one.accepted for one in answers]
    refused = answers[2]
    assert isinstance(refused, Refused)
    assert ("302", "cost_centre", "operator") == (refused.code, refused.field, refused.owner)
    assert "0.5 of the 2.5 credits of news per month are left: too few" == refused.problem
    assert "threelane money budget set" in refused.remedy
    assert isinstance(producer.send(TO, "Hello", cost_centre="ops"), Accepted)


def test_a_message_that_is_not_sent_gives_its_reservation_back(client: redis.Redis, system: System) -> None:
    """Cancelled, refused by the gateway, expired: others may spend it."""
    budgets.put(client, NEWS, "day", Budget(4 * CREDIT))
    drafts = [system.draft(cost_centre="news", validity_period=n) for n in (5, 60, 60, 60, 60)]
    answers = system.accept(drafts)
    assert [True, True, True, True, False] == [one.accepted for one in answers]
    first, second, third, fourth = (one.id for one in answers if isinstance(one, Accepted))
    day = budgets.day(system.now)

    system.cancel([second])
    assert 3 == spent(client, NEWS, day)
    system.attempt(third, AttemptOutcome(OutcomeKind.REFUSED, "113"))
    assert 2 == spent(client, NEWS, day)
    system.now += 600_000
    system.claim(3, [first], "t")
    assert 1 == spent(client, NEWS, day)
    assert [True, True, True, False] == [
        one.accepted for one in system.accept([system.draft(cost_centre="news") for _ in range(4)])
    ]

    result = system.redrive("113")
    assert (0, 1, Status.DEAD) == (result["redriven"], result["over_budget"], system.glance([third]).status(third))
    system.cancel([fourth])
    assert 1 == system.redrive("113")["redriven"]
    assert 4 == spent(client, NEWS, day)


def test_the_charge_takes_the_place_of_the_estimate(client: redis.Redis, system: System) -> None:
    """Less than was reserved is free again; more is counted, and it shows by how much a limit is passed."""
    budgets.put(client, NEWS, "day", Budget(2 * CREDIT))
    cheap, dear = (
        one.id for one in system.accept([system.draft(cost_centre="news"), system.draft(cost_centre="news")])
    )
    system.attempt(cheap, SENT)
    system.attempt(dear, SENT)
    day = budgets.day(system.now)
    system.receive([StatusReport(cheap, "g" * 32, "004", Status.DELIVERED, 300_000)])
    assert 1.3 == spent(client, NEWS, day)
    system.receive([StatusReport(dear, "g" * 32, "003", Status.SENT, 0)])
    assert 1.3 == spent(client, NEWS, day), "a charge of nothing that is reported on the way is not final"
    system.receive([StatusReport(dear, "g" * 32, "004", Status.DELIVERED, 2_500_000)])
    assert 2.8 == spent(client, NEWS, day)
    (standing,) = budgets.usage(client, system.now)
    assert (2_000_000, 2_800_000) == (standing.budget.limit, standing.spent)


def test_a_message_over_a_holding_budget_waits_for_the_next_day(client: redis.Redis, system: System) -> None:
    """If the next day's budget has room, and it is still valid by then; the answer has the time."""
    budgets.put(client, NEWS, "day", Budget(2 * CREDIT, "hold"))
    tomorrow = (START // DAY + 1) * DAY
    answers = system.accept([system.draft(cost_centre="news") for _ in range(5)])
    assert [Status.QUEUED] * 2 + [Status.SCHEDULED] * 2 == [one.status for one in answers[:4] if one.accepted]
    assert [0, 0, tomorrow, tomorrow] == [one.due_at for one in answers[:4] if isinstance(one, Accepted)]
    assert isinstance(answers[4], Refusal)
    assert isinstance(system.accept([system.draft(cost_centre="news", validity_period=1)])[0], Refusal)
    days = [budgets.day(START), budgets.day(tomorrow)]
    assert [2, 2] == [spent(client, NEWS, day) for day in days]
    assert {} == system.release()
    system.now = tomorrow
    assert 2 == len(system.release()[3])


def test_a_budget_that_refuses_goes_before_one_that_holds(client: redis.Redis, system: System) -> None:
    """The producer has no more for today, whatever its cost centre has left."""
    budgets.put(client, NEWS, "day", Budget(0, "hold"))
    budgets.put(client, "producer:shop", "day", Budget(0, "refuse"))
    (answer,) = system.accept([system.draft(cost_centre="news", producer="shop")])
    assert isinstance(answer, Refusal)
    assert "producer" == answer.field


def test_a_month_is_the_sum_of_its_days(client: redis.Redis, system: System) -> None:
    """A new day has no new money in it; a new month has."""
    budgets.put(client, "producer:shop", "month", Budget(2 * CREDIT))
    accepted = []
    for _ in range(20):  # from the 15th on
        accepted.append(system.accept([system.draft(producer="shop")])[0].accepted)
        system.now += DAY
    assert [True, True] + [False] * 15 + [True, True, False] == accepted


def test_an_operator_sets_looks_at_and_removes_budgets(client: redis.Redis, redis_server: RedisServer) -> None:
    """By the command line; a mistyped argument is answered with a sentence."""
    environment = {"THREELANE_REDIS_URL": redis_server.url}

    def run(*words: str) -> tuple[int, str]:
        completed = typed("money", *words, environment=environment)
        assert "Traceback" not in completed.stderr
        return completed.returncode, completed.stdout + completed.stderr

    assert (0, "centre:news may spend 2.5 credits per day\n") == run("budget", "set", NEWS, "day", "2.5")
    with Producer(ProducerSettings(redis_url=redis_server.url, cost_centre="news")) as producer:
        assert [True, True, False] == [isinstance(producer.try_send(TO, "Hello"), Accepted) for _ in range(3)]
    code, printed = run("--json")
    standing = json.loads(printed)["budgets"][0]
    assert (0, 2_000_000, 2_500_000) == (code, standing["spent"], standing["budget"]["limit"])
    assert {"1": 0, "2": 0, "3": 2_000_000} == json.loads(printed)["committed"]
    code, printed = run()
    assert 0 == code
    assert "2.50" in printed
    assert "refuse" in printed
    assert (0, "centre:news has no budget per day any more\n") == run("budget", "remove", NEWS, "day")
    assert (6, "centre:news has no budget per day: threelane money\n") == run("budget", "remove", NEWS, "day")
    assert 2 == run("budget", "set", "news", "day", "2")[0]
    assert "write centre:<cost centre> or producer:<name>" in run("budget", "set", "news", "day", "2")[1]
    assert (2, "'week': give day or month\n") == run("budget", "set", NEWS, "week", "2")
    assert 2 == run("budget", "set", NEWS, "day", "2", "--over", "explode")[0]
    assert {} == client.hgetall(keys.BUDGETS)
