"""Dated holds: what is learned late counts from when it happened, not from when a report or a look-up arrived."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
import redis

from tests.integration.conftest import Workers
from tests.properties.system import System, open_system
from tests.servers import RedisServer, wait_until
from threelane import Accepted, Producer, Status
from threelane.sandbox.running import Running
from threelane.worker.account import hold
from threelane.worker.account.hold import Evidence, Held
from threelane.worker.gateway.outcome import AttemptOutcome, Known, LookUp, OutcomeKind
from threelane.worker.inbound.report import StatusReport
from threelane.worker.policy.statuses import meaning
from threelane.worker.receipt.receipt import from_look_up

ITS_ID = "g" * 32
TAKEN = AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id=ITS_ID)
MINUTE, HOUR, DAY = 60_000, 3600_000, 24 * 3600_000


@pytest.fixture
def system(redis_server: RedisServer, client: redis.Redis) -> Iterator[System]:
    assert client.ping()
    with open_system(redis_server) as made:
        yield made


def sent(system: System, **fields: object) -> str:
    (answer,) = system.accept([system.draft(**fields)])
    assert isinstance(answer, Accepted)
    system.attempt(answer.id, TAKEN)
    return answer.id


def reported(message_id: str, status: str, at: int) -> StatusReport:
    return StatusReport(message_id, ITS_ID, status, meaning(status), at=at)


def of_account(system: System) -> Held | None:
    return hold.holds(system.sync, system.now).get("account")


@pytest.mark.parametrize(
    ("status", "ago", "since", "left"),
    [
        ("014", 0, 0, HOUR),
        ("014", 10 * MINUTE, 10 * MINUTE, 50 * MINUTE),
        ("014", HOUR, None, 0),
        ("014", 2 * DAY, None, 0),
        ("VOLUME_LIMIT_DAILY", 10 * MINUTE, 10 * MINUTE, 50 * MINUTE),
        ("VOLUME_LIMIT_DAILY", 2 * DAY, None, 0),
        ("012", 10 * MINUTE, 10 * MINUTE, 0),
        ("012", 2 * DAY, None, 0),
        ("014", -DAY, 0, HOUR),  # in the future: it happened by now
        ("014", 4 * DAY, None, 0),  # before the message was sent: the gateway's time is used all the same
        ("014", 100 * DAY, None, 0),
    ],
)
def test_a_late_receipt_holds_the_account_from_when_it_happened(
    system: System, status: str, ago: int, since: int | None, left: int
) -> None:
    """A limit of two days ago is over, and the balance is read each minute."""
    message_id = sent(system)
    system.now += 3 * DAY
    system.receive([reported(message_id, status, system.now - ago)])
    found = of_account(system)
    expected = None if since is None else (system.now - since, system.now + left if left else 0)
    assert expected == (found and (found.since, found.until))
    assert (expected is None) == ("held:account" not in system.glance([]).tally), "no alarm for what is over"


@pytest.mark.parametrize(("after", "left"), [(10 * MINUTE, 50 * MINUTE), (2 * DAY, 0)])
@pytest.mark.parametrize("looked_up", [True, False])
def test_a_status_without_a_time_counts_from_when_its_message_was_sent(
    system: System, after: int, left: int, looked_up: bool
) -> None:
    """014 comes by look-ups alone, ten minutes to days after its message: all that is known is that it was later."""
    message_id = sent(system)
    system.now += after
    report = from_look_up(message_id, LookUp(Known.FOUND, ITS_ID, "014"))
    system.receive([report if looked_up else reported(message_id, "014", 0)])
    found = of_account(system)
    assert (system.now + left if left else None) == (found and found.until)


def test_an_absurd_time_counts_as_none(system: System) -> None:
    """A clock of 1970 does not make a fresh limit an old one."""
    message_id = sent(system)
    system.now += 10 * MINUTE
    system.receive([reported(message_id, "014", 1)])
    found = of_account(system)
    assert (system.now - 10 * MINUTE) == (found and found.since)


def test_what_happened_before_a_resume_holds_nothing(system: System) -> None:
    """An operator resumed the account; a report of before does not stop it again, a new failure does."""
    early, late = sent(system, to="27831230001"), sent(system, to="27831230002")
    system.now += 10 * MINUTE
    hold.put(system.sync, "account", "top-up under way", system.now)
    hold.resume(system.sync, "account", system.now)
    system.now += MINUTE
    system.receive([reported(early, "014", system.now - 5 * MINUTE)])
    assert of_account(system) is None
    system.receive([reported(late, "014", system.now - MINUTE // 2)])
    assert of_account(system) is not None


def test_the_hold_of_the_account_shows_its_evidence(system: System) -> None:
    """How many messages to how many numbers, and since when."""
    ids = [sent(system, to=to) for to in ("27831230001", "27831230002", "27831230002")]
    system.now += 10 * MINUTE
    system.receive([reported(one, "012", system.now - MINUTE) for one in ids])
    found = of_account(system)
    assert found
    assert (Evidence(3, 3, 2, system.now - MINUTE), "3 messages to 2 numbers") == (
        found.evidence,
        hold.evidence_of(found),
    )


def written(at: float) -> str:
    """Return a time as Clickatell's callbacks have it."""
    return str(int(at))


@pytest.mark.parametrize("zone", ["unix", "iso"])
def test_an_old_limit_reported_by_a_callback_stops_no_code(
    producer: Producer, sandbox: Running, workers: Workers, client: redis.Redis, endpoint: str, zone: str
) -> None:
    """The code goes; a fresh report of the same limit holds it until an hour after it happened."""
    workers.start()
    old, fresh = (producer.send(f"2799940040{n}", "Hello").id for n in (1, 2))
    wait_until(lambda: all(one and one.sent_at for one in producer.statuses([old, fresh])), what="both to be sent")

    def report(message_id: str, at: float) -> None:
        moment = written(at) if zone == "unix" else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
        fields = {"apiMsgId": "0" * 32, "cliMsgId": message_id, "status": "014", "timestamp": moment, "to": "27"}
        assert 200 == urlopen(f"{endpoint}?{urlencode(fields)}", timeout=10).status

    report(old, time.time() - 2 * 86400)
    wait_until(lambda: producer.status(old).status is Status.UNDELIVERED, what="the report")  # type: ignore[union-attr]
    code = producer.send("27999400403", "Your code is 4711", lane=1).id
    wait_until(lambda: producer.status(code).sent_at, what="the code")  # type: ignore[union-attr]
    assert {} == hold.holds(client, 0)

    happened = int(time.time())
    report(fresh, happened)
    wait_until(lambda: "account" in hold.holds(client, 0), what="the hold")
    found = hold.holds(client, 0)["account"]
    assert (happened * 1000, happened * 1000 + HOUR) == (found.since, found.until)
