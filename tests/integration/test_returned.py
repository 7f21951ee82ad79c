"""Returned: what the gateway accepted, and then refused for the account, is sent again, once.

A second attempt has the same id of ours, and a gateway id of its own: what carries the first attempt's id, or finds it,
shows nothing of the second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace

import pytest
import redis

from tests.integration.api import API
from tests.integration.conftest import Workers, taken
from tests.properties.system import System, open_system
from tests.servers import RedisServer, wait_until
from threelane import Producer, Status
from threelane.contract.prices import CREDIT
from threelane.sandbox.running import Running
from threelane.store import budgets, keys
from threelane.store.budgets import Budget
from threelane.store.outcome import of_record
from threelane.store.status import MessageStatus
from threelane.worker.account import hold
from threelane.worker.doubt.resolve import resolve
from threelane.worker.gateway.outcome import AttemptOutcome, Known, LookUp, OutcomeKind
from threelane.worker.inbound.report import StatusReport
from threelane.worker.policy.statuses import OF_ACCOUNT, meaning
from threelane.worker.receipt.poll import poll
from threelane.worker.receipt.receipt import from_look_up
from threelane.worker.send.attempt import Attempts, _of_this_attempt
from threelane.worker.send.claim import Claimed
from threelane.worker.send.settle import Settlement
from threelane.worker.send.settle import settle as settling

Until = Callable[..., MessageStatus]
FIRST, SECOND, OTHER = "a1" * 16, "b2" * 16, "c3" * 16
LOST = AttemptOutcome(OutcomeKind.LOST)
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


def accepted(gateway_id: str) -> AttemptOutcome:
    return AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id=gateway_id)


@pytest.fixture
def system(redis_server: RedisServer, client: redis.Redis) -> Iterator[System]:
    assert client.ping()
    with open_system(redis_server, parts_per_second=100_000, look_ups_per_second=1_000) as made:
        yield made


def claim(system: System, message: str, lane: int = 3) -> Claimed:
    (claimed,) = system.claim(lane, [message], "token").claimed
    return claimed


def settle(system: System, claimed: Claimed, outcome: AttemptOutcome) -> bool:
    (settled,) = system.settle([Settlement(claimed, outcome, system.judge(claimed, outcome))])
    return settled


def report(
    system: System, message: str, status: str, gateway_id: str = FIRST, charge: float | None = None, *, at: int = 0
) -> str:
    """Apply a report; returns its effect.  Without ``at`` it happened just now."""
    millionths = None if charge is None else int(charge * CREDIT)
    sent = StatusReport(message, gateway_id, status, meaning(status), millionths, at=at or system.now)
    return system.receive([sent])[0]


def record(system: System, message: str) -> dict[str, str]:
    return system.glance([message]).records[message]


def resume(system: System) -> None:
    system.now += MINUTE
    hold.resume(system.sync, "account", system.now)
    system.now += MINUTE


def returned(system: System, status: str = "012", charge: float | None = None, **fields: object) -> str:
    """Return a message that was sent, and came back; nothing is on hold."""
    message = system.take(**fields)
    system.attempt(message, accepted(FIRST), int(fields.get("lane", 3)))  # type: ignore[call-overload]
    assert "returned" == report(system, message, status, charge=charge)
    resume(system)
    return message


@pytest.mark.parametrize("status", OF_ACCOUNT)
def test_a_message_refused_for_the_account_waits_in_its_lane_under_the_hold(system: System, status: str) -> None:
    """It is put back and held in one step: no worker can claim it in between, and no end is published."""
    message = system.take(lane=2)
    system.attempt(message, accepted(FIRST), 2)
    assert "body" in record(system, message)
    assert "returned" == report(system, message, status)

    found, held = record(system, message), hold.holds(system.sync, system.now)["account"]
    assert ("queued", OF_ACCOUNT[status].code) == (found["status"], held.code)
    assert (OF_ACCOUNT[status].code, "operator") == (found["code"], found["owner"])
    assert {"gateway_id", "sent", "network", "rank", "ended"} & found.keys() == set()
    assert -1 == system.sync.pttl(keys.record(message)), "it does not expire while it is to be sent"
    assert system.claim(2, [message], "token").held
    assert [] == system.outcomes(message)
    assert 1 == system.glance([]).tally[f"returned:2:{OF_ACCOUNT[status].code}"]
    assert [message] == [one.decode() for one in system.sync.zrange(keys.QUEUED[2], 0, -1)]


def test_it_is_sent_again_with_the_same_id_and_ends_as_the_second_attempt_ends(system: System) -> None:
    """One outcome, of the attempt that counts: it does not name the refusal of the first as if it were its own."""
    message = returned(system, producer="shop")
    again = claim(system, message)
    assert (message, 2) == (again.message.id, again.attempt)
    assert settle(system, again, accepted(SECOND))
    assert ["noted", "moved"] == [report(system, message, one, SECOND) for one in ("003", "004")]
    (outcome,) = system.outcomes(message)
    assert ("delivered", "004") == (outcome["status"], outcome["network"])
    assert {"code", "reason", "owner"} & outcome.keys() == set()
    assert "body" not in record(system, message), "the text goes with the end"


@pytest.mark.parametrize("status", OF_ACCOUNT)
def test_the_second_time_it_is_final(system: System, status: str) -> None:
    """As before: undelivered, and the account is held."""
    message = returned(system)
    assert settle(system, claim(system, message), accepted(SECOND))
    assert "moved" == report(system, message, status, SECOND)
    assert ["undelivered"] == [one["status"] for one in system.outcomes(message)]
    assert "account" in hold.holds(system.sync, system.now)


def test_a_message_past_its_validity_ends(system: System) -> None:
    """It would come too late."""
    message = system.take(validity_period=10)
    system.attempt(message, accepted(FIRST))
    system.now += 10 * MINUTE
    assert "moved" == report(system, message, "012")
    assert "undelivered" == record(system, message)["status"]


def test_a_refusal_of_before_a_top_up_returns_the_message_without_a_hold(system: System) -> None:
    """Its report came late, and the account was resumed since: it is sent at once."""
    message = system.take()
    system.attempt(message, accepted(FIRST))
    happened = system.now + 1
    system.hold("account", 0)
    resume(system)
    assert "returned" == report(system, message, "012", at=happened)
    assert {} == hold.holds(system.sync, system.now)
    assert 2 == claim(system, message).attempt


# A report, or a response, that is of the other attempt.


def state(system: System, message: str, name: str) -> None:
    """Bring a returned message into a state of its second attempt."""
    if name == "queued":
        return
    again = claim(system, message)
    if name != "sending":
        settle(system, again, {"sent": accepted(SECOND), "in_doubt": LOST}[name])


@pytest.mark.parametrize("name", ["queued", "sending", "in_doubt", "sent"])
def test_a_late_report_of_the_first_attempt_does_not_touch_the_second(system: System, name: str) -> None:
    """Clickatell repeats callbacks for three days, in any order; one without an id may be of either."""
    message = returned(system)
    state(system, message, name)
    before = record(system, message)
    late = [("012", FIRST), ("003", FIRST), ("004", FIRST), ("006", FIRST), ("010", ""), ("004", "")]
    assert {"earlier"} == {report(system, message, *one) for one in late}
    after = record(system, message)
    assert name == after["status"]
    assert before | {"reports": ""} == after | {"reports": ""}
    assert {} == hold.holds(system.sync, system.now), "and is no new cause for a hold"
    assert [] == system.outcomes(message)


@pytest.mark.parametrize("name", ["queued", "sending", "in_doubt", "sent"])
def test_a_report_of_the_second_attempt_counts_whenever_it_comes(system: System, name: str) -> None:
    """Even before the response, or if the response was lost."""
    message = returned(system)
    state(system, message, name)
    assert "moved" == report(system, message, "004", SECOND)
    assert ("delivered", SECOND) == (record(system, message)["status"], record(system, message)["gateway_id"])


def test_a_report_may_come_before_the_response(system: System) -> None:
    """The late response has no token any more; the message is sent once more, not twice."""
    message = system.take()
    first = claim(system, message)
    assert "returned" == report(system, message, "012")
    assert not settle(system, first, accepted(FIRST))
    resume(system)
    assert settle(system, claim(system, message), accepted(SECOND))
    assert SECOND == record(system, message)["gateway_id"]


def test_a_message_that_may_have_been_accepted_twice_is_not_sent_a_third_time(system: System) -> None:
    """The first attempt's response was lost, it was sent again, and the status is of one that nobody knows."""
    message = system.take()
    assert settle(system, claim(system, message), LOST)
    system.now += DAY // 2
    system.start_look_up().answer({message: LookUp(Known.NOT_FOUND)})
    assert 2 == claim(system, message).attempt
    assert "earlier" == report(system, message, "012", OTHER)
    assert "sending" == record(system, message)["status"]


def test_a_message_resent_from_doubt_ends_when_its_second_attempt_is_refused_for_the_account(system: System) -> None:
    """The first attempt may have been accepted, whatever look-ups found: a return would be a third one."""
    message = system.take()
    assert settle(system, claim(system, message), LOST)
    system.now += DAY // 2
    system.start_look_up().answer({message: LookUp(Known.NOT_FOUND)})
    assert settle(system, claim(system, message), accepted(SECOND))
    assert "moved" == report(system, message, "012", SECOND)
    assert "undelivered" == record(system, message)["status"]


def test_a_status_with_another_gateway_id_than_that_of_the_attempt_returns_nothing(system: System) -> None:
    """The attempt that the gateway accepted may be delivered all the same."""
    message = system.take()
    system.attempt(message, accepted(FIRST))
    assert "moved" == report(system, message, "012", OTHER)


def test_an_acceptance_with_the_first_attempt_s_id_is_no_acceptance(
    system: System,
) -> None:
    """The response of an old request: the second attempt is in doubt."""
    again = claim(system, returned(system))
    assert FIRST == again.former_id
    assert OutcomeKind.UNREADABLE is _of_this_attempt(again, accepted(FIRST)).kind
    assert accepted(SECOND) == _of_this_attempt(again, accepted(SECOND))


# A doubt of the second attempt.


class Gateway:
    """Finds by our id what a test says, and by its own id what it knows."""

    can_look_up = True
    look_ups_per_request = 1

    def __init__(self, by_ours: LookUp, **by_its: LookUp) -> None:
        self.by_ours = by_ours
        self.by_its = by_its

    async def look_up(self, _message_id: str) -> LookUp:
        return self.by_ours

    async def look_up_many(self, message_ids: Sequence[str]) -> list[LookUp]:
        return [self.by_ours for _ in message_ids]

    async def status(self, gateway_id: str) -> LookUp:
        return self.by_its.get(gateway_id, LookUp(Known.NOT_FOUND))


OF_FIRST = LookUp(Known.FOUND, FIRST, "012", 800_000)


def look_up(system: System, gateway: Gateway) -> None:
    system.run(resolve(system.client, gateway, system.settings, 3, system.now))  # type: ignore[arg-type]


@pytest.mark.parametrize("answer", [OF_FIRST, LookUp(Known.NO_STATUS, FIRST, "001"), LookUp(Known.NOT_FOUND)])
def test_a_doubt_of_the_second_attempt_adopts_nothing_of_the_first_and_resends_nothing(
    system: System, answer: LookUp
) -> None:
    """No document says which of two messages with one id of ours a look-up returns: it waits, and ends as unknown."""
    message = returned(system)
    assert settle(system, claim(system, message), LOST)
    days = 0
    while record(system, message)["status"] == "in_doubt":
        look_up(system, Gateway(answer))
        system.now += HOUR
        days += 1
        assert days < 100, "it is looked up for ever"
    found = record(system, message)
    assert ("unknown", "earlier_attempt", "2") == (found["status"], found["code"], found["attempt"])
    assert system.now > int(found["expires"])
    assert found.get("gateway_id", "") == ""


def test_a_doubt_of_the_second_attempt_ends_when_its_own_copy_is_found(system: System) -> None:
    """The gateway returns the latest."""
    message = returned(system)
    assert settle(system, claim(system, message), LOST)
    system.now += MINUTE
    look_up(system, Gateway(OF_FIRST))
    system.now += HOUR
    look_up(system, Gateway(LookUp(Known.FOUND, SECOND, "004", 800_000)))
    assert ("delivered", SECOND) == (record(system, message)["status"], record(system, message)["gateway_id"])


def test_a_poll_of_the_second_attempt_is_by_its_own_id(system: System) -> None:
    """Our id finds the first; the gateway's id finds the second."""
    message = returned(system)
    assert settle(system, claim(system, message), accepted(SECOND))
    system.now += HOUR
    known = Gateway(OF_FIRST, **{SECOND: LookUp(Known.FOUND, SECOND, "004", 800_000)})
    assert 1 == system.run(poll(system.client, known, system.settings, 3, system.now))  # type: ignore[arg-type]
    found = record(system, message)
    assert ("delivered", SECOND, "004") == (found["status"], found["gateway_id"], found["network"])


def test_a_poll_that_finds_the_refusal_returns_the_message(system: System) -> None:
    """014 comes in no callback; what the poll knew of the message before changes nothing afterwards."""
    message = system.take()
    system.attempt(message, accepted(FIRST))
    system.now += 10 * MINUTE
    found = Gateway(LookUp(Known.FOUND, FIRST, "014", 0))
    assert 1 == system.run(poll(system.client, found, system.settings, 3, system.now))  # type: ignore[arg-type]
    assert ("queued", None) == (record(system, message)["status"], record(system, message).get("gateway_id"))


def test_a_look_up_that_was_under_way_finds_only_the_first_attempt(system: System) -> None:
    """It was requested in the first attempt's doubt, and its answer comes in the second's."""
    message = system.take()
    assert settle(system, claim(system, message), LOST)
    system.now += MINUTE
    pending = system.start_look_up()
    assert "returned" == report(system, message, "012")
    resume(system)
    assert settle(system, claim(system, message), LOST)
    pending.answer({message: LookUp(Known.FOUND, FIRST, "003", 800_000)})
    assert "in_doubt" == record(system, message)["status"]


def test_a_doubt_that_finds_the_refusal_returns_the_message(system: System) -> None:
    """The response was lost, and the gateway refused the message after all."""
    message = system.take()
    assert settle(system, claim(system, message), LOST)
    system.now += MINUTE
    look_up(system, Gateway(OF_FIRST))
    assert ("queued", FIRST) == (record(system, message)["status"], record(system, message)["former_id"])


# What may come between.


def test_a_cancel_that_came_too_late_holds_for_a_message_that_comes_back(system: System) -> None:
    """Its caller does not want it any more."""
    message = system.take()
    system.attempt(message, accepted(FIRST))
    assert ["too_late"] == [one.answer for one in system.cancel([message])]
    report(system, message, "012")
    assert "cancelled" == record(system, message)["status"]
    assert ["cancelled"] == [one["status"] for one in system.outcomes(message)]


def test_a_stop_of_the_recipient_holds_for_it(system: System) -> None:
    """The list is read at each claim."""
    message = returned(system)
    system.suppress("27831234567")
    assert [] == list(system.claim(3, [message], "token").claimed)
    assert "dead" == record(system, message)["status"]


def test_a_message_of_a_paused_batch_is_paused(system: System) -> None:
    """And goes on with its batch."""
    message = system.take(batch="news")
    system.attempt(message, accepted(FIRST))
    system.pause("news", [message])
    report(system, message, "012")
    assert Status.PAUSED == record(system, message)["status"]
    system.resume("news")
    resume(system)
    assert 2 == claim(system, message).attempt


def test_a_message_without_its_text_ends(system: System) -> None:
    """It was erased, or sent by a worker of an earlier version."""
    message = system.take()
    system.attempt(message, accepted(FIRST))
    system.sync.hdel(keys.record(message), "body")
    assert "moved" == report(system, message, "012")


def test_a_message_that_the_gateway_no_longer_knows_loses_its_text(system: System) -> None:
    """It is in doubt, and is never sent again."""
    message = system.take()
    system.attempt(message, accepted(FIRST))
    system.now += HOUR
    unknown = Gateway(LookUp(Known.NOT_FOUND))
    system.run(poll(system.client, unknown, system.settings, 3, system.now))  # type: ignore[arg-type]
    assert ("in_doubt", False) == (record(system, message)["status"], "body" in record(system, message))


# Money.


def spent(system: System) -> float:
    return int(system.sync.hget(keys.SPENT + budgets.day(system.now), "centre:news") or 0) / CREDIT  # type: ignore[arg-type]


@pytest.mark.parametrize(("first", "late"), [(0.8, None), (None, 0.8), (None, None), (0.0, None)])
def test_each_attempt_is_paid_for_once_as_reported(system: System, first: float | None, late: float | None) -> None:
    """Budgets, sums and the record have what both attempts cost; until the second's charge is known, its estimate."""
    budgets.put(system.sync, "centre:news", "month", Budget(100 * CREDIT))
    message = returned(system, charge=first, cost_centre="news")
    known = first or 0
    assert known + 1 == spent(system)
    assert 1 * CREDIT == system.glance([]).tally["committed:3"]
    assert settle(system, claim(system, message), accepted(SECOND))
    assert known + 1 == spent(system)
    if late is not None:
        assert "earlier" == report(system, message, "012", FIRST, late)
        known = late
        assert known + 1 == spent(system)
    for status in ("003", "004", "004"):
        report(system, message, status, SECOND, 1.5)
    report(system, message, "012", FIRST, late if first is None else first)
    total = int((known + 1.5) * CREDIT)
    tally = system.glance([]).tally
    assert (known + 1.5, str(total)) == (spent(system), record(system, message)["charge"])
    assert (total, 0) == (tally["charged:3:news"], tally["committed:3"])
    assert 1 == sum(number for name, number in tally.items() if name.startswith("charged_messages_to:"))
    parts = 2 if first is not None or late is not None else 1
    assert parts == tally["charged_parts:3"]


def test_a_message_that_is_not_sent_again_costs_what_its_first_attempt_cost(system: System) -> None:
    """It expired on hold: the estimate is given back, the charge is not."""
    budgets.put(system.sync, "centre:news", "month", Budget(100 * CREDIT))
    message = returned(system, charge=0.8, cost_centre="news")
    system.cancel([message])
    assert (0.8, "800000") == (spent(system), record(system, message)["charge"])


def test_an_attempt_on_an_api_without_charges_counts_its_estimate(system: System) -> None:
    """Each of the two, once, as both were accepted."""
    budgets.put(system.sync, "centre:news", "month", Budget(100 * CREDIT))
    message = system.take(cost_centre="news")
    for number, (gateway_id, name) in enumerate([(FIRST, "VOLUME_LIMIT"), (SECOND, "DEVICE_ACK")], 1):
        claimed, outcome = claim(system, message), accepted(gateway_id)
        settlement = Settlement(claimed, outcome, system.judge(claimed, outcome))
        system.run(settling(system.client, [settlement], system.settings.keeping, system.now, assumes=True))
        assert number == spent(system)
        assert ["returned", "moved"][number - 1] == report(system, message, name, gateway_id)
        resume(system)
    assert (2.0, str(2 * CREDIT)) == (spent(system), record(system, message)["charge"])
    assert 2 * CREDIT == system.glance([]).tally["charged:3:news"]


def test_a_returned_message_of_a_batch_is_still_to_come(system: System) -> None:
    """What its first attempt cost is spent, and its estimate is ahead."""
    message = returned(system, charge=0.8, batch="news")
    found = of_record(message, record(system, message))
    assert (True, 800_000, CREDIT) == (found.is_ahead, found.spent_millionths, found.to_come_millionths)


def test_a_second_attempt_is_no_sample_of_how_soon_look_ups_find_messages(system: System) -> None:
    """They find the first at once, whatever the second's delay is."""
    again = claim(system, returned(system))
    first = claim(system, system.take())
    loop = SimpleNamespace(last_accepted=None, _clock=SimpleNamespace(now=lambda: system.now))
    outcomes = [accepted(SECOND), accepted(OTHER)]
    Attempts._note_accepted(loop, [again, first], outcomes, system.now)  # type: ignore[arg-type]
    assert first.id == loop.last_accepted.id


# With real workers, on each API.


@pytest.mark.main_job
@pytest.mark.parametrize("status", ["012", "014"])
def test_a_message_that_met_the_account_s_end_is_delivered_once_the_account_is_back(
    producer: Producer, reporting: Running, workers: Workers, client: redis.Redis, until: Until, status: str
) -> None:
    """The sandbox has two messages of one id: the first ended unsent, the second is delivered."""
    reporting.control("POST", "faults", {"do": "status", "code": status, "times": 1})
    workers.start(receipt_delays_seconds="0.5,1", look_ups_per_second=200, balance_seconds=1)
    message = producer.send("27999500001", "Your code is 4711", lane=1).id
    if status == "014":  # its hold ends by time, or by an operator
        wait_until(lambda: client.hexists(keys.HOLDS, "account"), what="the hold")
        hold.resume(client, "account", int(client.time()[0]) * 1000)
    found = until(message, Status.DELIVERED, seconds=40)
    assert [status, "004"] == [one["status"] for one in taken(reporting)[message]]
    assert 2 == found.attempts
    if API.reports_charge:
        assert 2 * 800_000 == found.charge_millionths


def test_a_look_up_without_a_second_attempt_in_it_is_a_report_of_the_first(system: System) -> None:
    """The script protects the record, whatever a worker of an earlier version makes of its look-up."""
    message = returned(system)
    assert settle(system, claim(system, message), LOST)
    assert ["earlier"] == system.receive([from_look_up(message, OF_FIRST)])
