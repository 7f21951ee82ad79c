"""When a process counts a call as failed, when that opens the breaker, and when only this process stops."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
import redis
import redis.asyncio

from threelane.gateways.http.gateway import read_balance
from threelane.store import keys
from threelane.worker.gateway.breaker import Breaker
from threelane.worker.gateway.breaking import close_breaker, reset, take_probe
from threelane.worker.gateway.outcome import EMULATED, NOT_TRIED, AttemptOutcome, OutcomeKind
from threelane.worker.gateway.reach import read
from threelane.worker.gateway.summary import evidence
from threelane.worker.gateway.wire import HttpReply
from threelane.worker.process.settings import WorkerSettings

NOW = 1_800_000_000_000
ACCEPTED, REFUSED = AttemptOutcome(OutcomeKind.ACCEPTED), AttemptOutcome(OutcomeKind.REFUSED, code="901")
LOST = AttemptOutcome(OutcomeKind.LOST, text="ServerDisconnectedError")
SETTINGS = WorkerSettings(clickatell_user="shop", breaker_failures=3)


def breaker() -> Breaker:
    return Breaker(SETTINGS)


def fails(one: Breaker, *outcomes: AttemptOutcome, began_at: int = NOW) -> list[bool]:
    """Return for each call whether it opened the breaker."""
    return [one.heed([outcome], began_at, NOW) is not None for outcome in outcomes]


@pytest.mark.parametrize("kind", [OutcomeKind.LOST, OutcomeKind.UNREADABLE, OutcomeKind.NOT_REACHED])
def test_failures_in_a_row_open_it_for_this_process_at_once(kind: OutcomeKind) -> None:
    """Before Redis knows: the next message of this process must not go."""
    one = breaker()
    assert [False, False, True] == fails(one, *[AttemptOutcome(kind)] * 3)
    assert one.is_open


@pytest.mark.parametrize("answer", [ACCEPTED, REFUSED])
def test_a_proper_answer_between_failures_starts_the_count_again(answer: AttemptOutcome) -> None:
    """A gateway that loses one request in twenty is not down; a refusal is Clickatell's own answer too."""
    one = breaker()
    assert [False] * 5 == fails(one, LOST, LOST, answer, LOST, LOST)
    assert not one.is_open


@pytest.mark.parametrize("neutral", [NOT_TRIED, EMULATED])
def test_what_was_not_sent_neither_counts_nor_starts_the_count_again(neutral: AttemptOutcome) -> None:
    """It shows nothing of the gateway."""
    assert [False, False, False, True] == fails(breaker(), LOST, LOST, neutral, LOST)


def test_one_request_counts_once_however_many_messages_it_has() -> None:
    """One lost answer of a hundred messages is one failure."""
    one = breaker()
    assert one.heed([LOST] * 100, NOW, NOW) is None
    assert not one.is_open


def test_a_retry_after_opens_it_at_once() -> None:
    """A 503 with Retry-After is clear enough: no further message has to be in doubt."""
    one = breaker()
    assert [True] == fails(one, AttemptOutcome(OutcomeKind.UNREADABLE, text="HTTP 503", retry_after_seconds=7))
    assert one.is_open


def test_a_failure_of_a_call_that_began_before_it_closed_proves_nothing() -> None:
    """Calls that hung during the outage time out after it."""
    one = breaker()
    one.closed_at = NOW
    assert [False] * 5 == fails(one, *[LOST] * 5, began_at=NOW - 1)
    assert [False, False, True] == fails(one, *[LOST] * 3, began_at=NOW)


def test_a_clock_that_is_set_back_does_not_disable_it() -> None:
    """A time of closing that lies far ahead was written by the clock as it was before."""
    one = breaker()
    one.closed_at = NOW + 3_600_000
    assert [False, False, True] == fails(one, *[LOST] * 3)


def test_a_wrong_address_stops_this_process_alone() -> None:
    """The other workers are configured correctly; nothing is reported to them."""
    stopped: list[bool] = []
    one = Breaker(SETTINGS, lambda: stopped.append(True))
    assert [False] == fails(one, AttemptOutcome(OutcomeKind.WRONG_ADDRESS, text="HTTP 404 <html>secret"))
    assert (True, False, [True]) == (one.is_open, one.is_shared, stopped)
    assert one.fault.endswith("is not Clickatell's (HTTP 404)")
    one.clear_fault()
    assert not one.is_open


def test_a_worker_at_fault_looks_again_at_growing_intervals() -> None:
    """1, 2, 4 ... up to 30 seconds, and from the start again after it was answered."""
    one, looks = breaker(), list[int]()
    for second in range(200):
        if one.recheck_is_due(100.0 + second):
            looks.append(second)
    waits = [after - before for before, after in pairwise(looks)]
    assert [1, 2, 4, 5, 5] == waits[:5]
    one.clear_fault()
    assert [True, True] == [one.recheck_is_due(400.0), one.recheck_is_due(401.0)]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("HTTP 503 <p>27831234567", "HTTP 503"),
        ("TimeoutError", "TimeoutError"),
        ("user=shop&password=x", ""),
        ("", ""),
    ],
)
def test_the_evidence_of_an_outage_quotes_no_page(text: str, shown: str) -> None:
    """An error page may echo the request, with its number, text and password."""
    assert shown == evidence(text)


@pytest.mark.parametrize(
    ("balance", "kind"),
    [
        (12.5, OutcomeKind.ACCEPTED),
        (0.0, OutcomeKind.ACCEPTED),
        ("ERR: 001, Authentication failed", OutcomeKind.REFUSED),
        ("001 Authentication failed", OutcomeKind.REFUSED),
        ("lost (TimeoutError)", OutcomeKind.LOST),
        ("not_reached (ClientConnectorError)", OutcomeKind.NOT_REACHED),
        ("unreadable (HTTP 503)", OutcomeKind.UNREADABLE),
        ("wrong_address (HTTP 404)", OutcomeKind.WRONG_ADDRESS),
        ("HTTP 200 <html>", OutcomeKind.UNREADABLE),
        ("HTTP 503 Service Unavailable", OutcomeKind.UNREADABLE),
        ("HTTP 404 Not Found", OutcomeKind.WRONG_ADDRESS),
        ("HTTP 302", OutcomeKind.WRONG_ADDRESS),
        ("HTTP 429 slower", OutcomeKind.REFUSED),
        ("<html>", OutcomeKind.UNREADABLE),
        ("this API has no balance", OutcomeKind.NOT_TRIED),
        (read_balance(HttpReply(200, b"Credit: 10000.0", has_end=False)), OutcomeKind.NOT_TRIED),
        (read_balance(HttpReply(200, b"ERR: 001, Authentication failed", has_end=False)), OutcomeKind.REFUSED),
        (read_balance(HttpReply(200, b"<html>Sign in</html>", has_end=False)), OutcomeKind.UNREADABLE),
        (read_balance(HttpReply(503, b"", has_end=False)), OutcomeKind.UNREADABLE),
    ],
)
def test_a_balance_shows_whether_the_gateway_itself_answered(balance: float | str, kind: OutcomeKind) -> None:
    """A refusal with a code is an answer; a page is none; of the rest only a message can decide."""
    assert kind is read(balance).kind


class Fleet:
    """Two processes that share a breaker in a real Redis."""

    def __init__(self, port: int, processes: int = 2) -> None:
        self.client = redis.asyncio.Redis(port=port)
        self.sync = redis.Redis(port=port)
        self.processes = [breaker() for _ in range(processes)]

    async def fail(self, number: int, now: int, outcome: AttemptOutcome = LOST) -> None:
        one = self.processes[number]
        for _ in range(3):
            if one.heed([outcome], now, now):
                await one.report(self.client, now)

    async def look(self, now: int) -> list[bool]:
        """Let each process read the holds; returns for which it is open."""
        for one in self.processes:
            changes, holds = one.changes, await self.client.hgetall(keys.HOLDS)
            await one.follow(self.client, holds, changes, now)  # type: ignore[arg-type]
        return [one.is_open for one in self.processes]

    async def close(self, number: int, now: int) -> None:
        one = self.processes[number]
        shared: dict[str, Any] = {"breaker": one.key, "scope": one.scope, "token": "t", "now": now}
        assert await take_probe.run(self.client, ends=now + 9_000, **shared)
        assert await close_breaker.run(self.client, process=one.process, **shared)


def with_fleet(client: redis.Redis, test: Any) -> Any:
    async def main() -> Any:
        fleet = Fleet(client.connection_pool.connection_kwargs["port"])
        try:
            return await test(fleet)
        finally:
            await fleet.client.aclose()

    return asyncio.run(main())


def test_all_processes_of_an_address_share_it(client: redis.Redis) -> None:
    """The second one does not have to lose five messages of its own."""

    async def test(fleet: Fleet) -> Sequence[Any]:
        await fleet.fail(0, NOW)
        opened = await fleet.look(NOW + 250)
        await fleet.close(1, NOW + 2_000)
        return opened, await fleet.look(NOW + 2_250), [(one.opened_at, one.closed_at) for one in fleet.processes]

    assert ([True, True], [False, False], [(NOW, NOW + 2_000)] * 2) == with_fleet(client, test)


def test_one_opening_is_logged_once(client: redis.Redis, caplog: pytest.LogCaptureFixture) -> None:
    """Each further failure with Retry-After moves the next probe, which opens nothing."""

    async def test(fleet: Fleet) -> None:
        for second in range(4):
            wait = AttemptOutcome(OutcomeKind.UNREADABLE, text="HTTP 503", retry_after_seconds=10 + 10 * second)
            await fleet.fail(second % 2, NOW + 1_000 * second, wait)

    with caplog.at_level("ERROR", logger="threelane"):
        with_fleet(client, test)
    assert ["breaker_open"] == [record.getMessage() for record in caplog.records]


def test_a_process_that_alone_gets_no_answer_stops_alone_the_second_time(client: redis.Redis) -> None:
    """One machine without a network must not stop the fleet again and again."""

    async def test(fleet: Fleet) -> Sequence[Any]:
        await fleet.fail(0, NOW)
        await fleet.look(NOW)
        await fleet.close(1, NOW + 2_000)
        await fleet.look(NOW + 2_000)
        await fleet.fail(0, NOW + 3_000)
        return await fleet.look(NOW + 3_000), fleet.processes[0].fault

    stopped, fault = with_fleet(client, test)
    assert [True, False] == stopped
    assert fault.startswith("only this worker gets no answer from https://")


def test_a_process_does_not_stop_alone_because_an_operator_closed_it(client: redis.Redis) -> None:
    """Nobody else was answered, so the outage may well last."""

    async def test(fleet: Fleet) -> Sequence[Any]:
        await fleet.fail(0, NOW)
        assert reset(fleet.sync, "gateway", NOW + 2_000)
        await fleet.look(NOW + 2_000)
        await fleet.fail(0, NOW + 3_000)
        return await fleet.look(NOW + 3_000), fleet.processes[0].fault

    assert ([True, True], "") == with_fleet(client, test)


def test_an_outage_that_returns_is_noticed_by_a_second_process(client: redis.Redis) -> None:
    """If the others fail too, it is the gateway after all."""

    async def test(fleet: Fleet) -> Sequence[bool]:
        await fleet.fail(0, NOW)
        await fleet.look(NOW)
        await fleet.close(1, NOW + 2_000)
        await fleet.look(NOW + 2_000)
        await fleet.fail(0, NOW + 3_000)
        await fleet.fail(1, NOW + 3_000)
        await fleet.look(NOW + 3_000)
        return [one.is_shared for one in fleet.processes]

    assert [True, True] == with_fleet(client, test)


def test_the_rate_grows_from_the_time_at_which_a_probe_closed_it(client: redis.Redis) -> None:
    """A gateway that has just come back does not get the whole backlog at once."""

    async def test(fleet: Fleet) -> Sequence[Any]:
        await fleet.fail(0, NOW)
        await fleet.close(1, NOW + 2_000)
        return await fleet.client.hmget(keys.RATE, ["ramp", "tokens"])  # type: ignore[misc]

    assert [str(NOW + 2_000).encode(), b"0"] == with_fleet(client, test)


def test_an_operator_can_close_it(client: redis.Redis) -> None:
    """threelane resume gateway: messages flow again at a rate that grows."""

    async def test(fleet: Fleet) -> Sequence[Any]:
        await fleet.fail(0, NOW)
        closed = reset(fleet.sync, "gateway", NOW + 1_000), reset(fleet.sync, "gateway", NOW + 1_000)
        return closed, await fleet.look(NOW + 1_250), await fleet.client.hget(keys.RATE, "ramp")  # type: ignore[misc]

    assert ((True, False), [False, False], str(NOW + 1_000).encode()) == with_fleet(client, test)


def test_without_redis_it_stays_open_in_its_process_and_is_reported_later(client: redis.Redis) -> None:
    """An outage of the gateway may come with one of Redis."""

    async def test(fleet: Fleet) -> Sequence[Any]:
        away = redis.asyncio.Redis(port=9, retry=None)
        one = fleet.processes[0]
        for _ in range(3):
            one.heed([LOST], NOW, NOW)
        await one.report(away, NOW)
        await away.aclose()
        before = one.is_open
        await fleet.look(NOW + 250)
        return before, await fleet.look(NOW + 500)

    assert (True, [True, True]) == with_fleet(client, test)


def test_the_fingerprint_is_that_of_the_account_and_not_of_its_password() -> None:
    """Workers with the old and the new password share one breaker while it is changed."""
    one, other, elsewhere, third = (
        WorkerSettings(clickatell_user=user, clickatell_password=password, gateway_url=url).gateway_fingerprint
        for user, password, url in (
            ("shop", "old", ""),
            ("shop", "new", ""),
            ("shop", "old", "http://127.0.0.1:1"),
            ("bank", "old", ""),
        )
    )
    assert one == other
    assert 3 == len({one, elsewhere, third})
