"""Progress and report of a batch: each message once, as its record has it, and after the record expired as it ended."""

from __future__ import annotations

import csv
import io
from collections import Counter
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.properties.system import System
from tests.servers import RedisServer
from threelane import Status
from threelane.interfaces.command.line import app
from threelane.runtime.exits import Exit
from threelane.store import batches, keys, progress
from threelane.store.batches import ERASED, ROWS_KEPT_MS, digest, subscriber_tag
from threelane.store.outcome import BatchMessage, encode
from threelane.store.progress import Progress
from threelane.store.rewrite_rows import erase_tags
from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind
from threelane.worker.inbound.report import StatusReport
from threelane.worker.upkeep.copy_outcomes import copy, copy_all

NAME = "февраль, =2.csv"
ACCEPTED = AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id="g" * 32)
REFUSED = AttemptOutcome(OutcomeKind.REFUSED, "113", "too many parts")
LOST = AttemptOutcome(OutcomeKind.LOST)
DAY = 24 * 3600 * 1000
EXPECTED = Counter(waiting=2, sending=1, in_doubt=1, sent=1, delivered=1, cancelled=1, failed=2)


@pytest.fixture
def states(system: System) -> dict[str, str]:
    """A batch with a message in each state, by the name of its state; beside it, one of another batch."""
    names = ("scheduled", "queued", "sending", "in_doubt", "sent", "delivered", "cancelled", "dead", "undelivered")
    drafts = {
        name: system.draft(to=f"2783123456{at}", batch=NAME, delay=60 if name == "scheduled" else None)
        for at, name in enumerate(names)
    }
    system.accept([*drafts.values(), system.draft(to="27831234599", batch="another")])
    ids = {name: draft.message.id for name, draft in drafts.items()}
    for name, outcome in (("in_doubt", LOST), ("dead", REFUSED), *((one, ACCEPTED) for one in _SENT)):
        system.attempt(ids[name], outcome)
    assert system.claim(3, [ids["sending"]], "token").claimed
    system.cancel([ids["cancelled"]])
    for name, status in (("delivered", Status.DELIVERED), ("undelivered", Status.UNDELIVERED)):
        report = StatusReport(ids[name], "g" * 32, "004" if name == "delivered" else "005", status, 1_500_000)
        system.receive([report])
    return ids


_SENT = ("sent", "delivered", "undelivered")


def read(system: System, name: str = NAME) -> Progress:
    found = progress.read(system.sync, "", name, system.now)
    assert found
    return found


def counts(found: Progress) -> Counter[str]:
    names = ("waiting", "sending", "in_doubt", "sent", "delivered", "cancelled", "emulated", "forgotten")
    return +Counter({name: getattr(found, name) for name in names} | {"failed": sum(found.failed.values())})


def run(server: RedisServer, *words: str) -> Result:
    return CliRunner().invoke(app, ["batch", *words], env={"THREELANE_REDIS_URL": server.url, "COLUMNS": "200"})


def test_each_message_counts_once_in_its_state(system: System, states: dict[str, str]) -> None:
    """The sums are the batch: nothing is missing, nothing counted twice, and nothing of another batch."""
    found = read(system)

    assert EXPECTED == counts(found)
    assert len(states) == found.accepted == sum(EXPECTED.values())
    assert {"too_many_parts": 1, "undelivered 005": 1} == found.failed
    assert states == {str(one.status): one.id for one in progress.messages(system.sync, "", NAME)}


def test_the_cost_is_charges_and_the_estimates_of_what_has_none(system: System, states: dict[str, str]) -> None:
    """Two receipts have a charge; what is sent or in doubt counts with its estimate, as does what waits, to come."""
    estimate = 1_000_000
    assert states
    found = read(system)

    assert (2 * 1_500_000 + 2 * estimate, 3 * estimate) == (found.cost_so_far, found.cost_to_come)


def test_the_time_left_is_that_of_all_that_is_sent_before(system: System) -> None:
    """At two parts a second: 3 of the batch and 4 that were queued before the last of them; none that came later."""
    system.sync.hset(keys.worker("one"), mapping={"rate": "2", "beat": system.now})
    system.sync.zadd(keys.WORKERS, {"one": system.now})
    for at, batch in enumerate(("", NAME, "", NAME, "", NAME, "", "")):
        system.accept(
            [system.draft(to=f"2783123450{at}", lane=1 if at == 0 else 3, **({"batch": batch} if batch else {}))]
        )
        system.now += 1

    assert 6 / 2 / 3600 == read(system).hours_left


def test_without_a_worker_the_time_left_is_unknown(system: System, states: dict[str, str]) -> None:
    """Rather than zero."""
    assert None is read(system).hours_left
    assert states


def test_outcomes_outlive_their_records(system: System, states: dict[str, str]) -> None:
    """Records expire after 8 days, batches list their rows for 90: state, cause, parts and charge stay right."""
    before, read_before = {one.id: one for one in progress.messages(system.sync, "", NAME)}, read(system)
    system.run(copy_all(system.client, ROWS_KEPT_MS, system.now + 1))
    gone = [one for name, one in states.items() if name not in ("scheduled", "queued", "sending", "in_doubt")]
    system.sync.delete(*keys.records(gone))
    found = read(system)

    assert EXPECTED == counts(found)
    assert read_before.cost_so_far == found.cost_so_far
    for one in progress.messages(system.sync, "", NAME):
        was = before[one.id]
        assert (was.status, was.parts, was.code, was.reason, was.charge_millionths) == (
            one.status, one.parts, one.code, one.reason, one.charge_millionths,
        )  # fmt: skip


def test_a_copy_never_hides_what_happened_later(system: System, states: dict[str, str]) -> None:
    """A dead letter is redriven, and a receipt comes after the copy."""
    own = digest("", NAME)
    system.run(copy(system.client, own, ROWS_KEPT_MS, system.now))
    assert 1 == system.redrive("113")["redriven"]
    system.receive([StatusReport(states["sent"], "g" * 32, "004", Status.DELIVERED, 800_000)])

    assert EXPECTED + Counter(waiting=1, delivered=1) - Counter(failed=1, sent=1) == counts(read(system))
    assert system.run(copy(system.client, own, ROWS_KEPT_MS, system.now)) > 0
    assert 0 == system.run(copy(system.client, own, ROWS_KEPT_MS, system.now))


def test_a_later_receipt_corrects_the_charge(system: System) -> None:
    """Also after its outcome was copied, while the record lives; the next copy keeps the corrected one."""
    one, own = system.take(batch=NAME), digest("", NAME)
    system.attempt(one, ACCEPTED)
    for charge in (800_000, 1_600_000):
        system.receive([StatusReport(one, "g" * 32, "004", Status.DELIVERED, charge)])
        (listed,) = progress.messages(system.sync, "", NAME)
        _, (on_page,) = progress.page(system.sync, own, 0, 10)
        assert [charge] * 3 == [read(system).cost_so_far, listed.charge_millionths, on_page.charge_millionths]
        assert 1 == system.run(copy(system.client, own, ROWS_KEPT_MS, system.now))
    system.sync.delete(keys.record(one))

    assert 1_600_000 == read(system).cost_so_far


def test_a_batch_is_visited_once_a_day_and_not_at_all_when_all_is_copied(system: System) -> None:
    """A million rows are not read every hour."""
    one = system.take(batch=NAME)
    system.attempt(one, ACCEPTED)
    system.receive([StatusReport(one, "g" * 32, "004", Status.DELIVERED, 800_000)])
    assert 1 == system.run(copy_all(system.client, ROWS_KEPT_MS, system.now))
    system.sync.delete(keys.record(one))
    assert 1 == system.run(copy_all(system.client, ROWS_KEPT_MS, system.now + DAY))
    system.run(copy_all(system.client, ROWS_KEPT_MS, system.now + 2 * DAY))
    own = keys.batch(digest("", NAME))
    noted = system.sync.hget(own, "copied")
    for days in (2.5, 3, 4):
        assert 0 == system.run(copy_all(system.client, ROWS_KEPT_MS, system.now + int(days * DAY)))

    assert noted == system.sync.hget(own, "copied")


def test_a_record_that_expired_uncopied_is_reported_as_forgotten(system: System, states: dict[str, str]) -> None:
    """Workers of earlier versions copy nothing; the number must not just be missing."""
    system.sync.delete(keys.record(states["sent"]))
    expected = EXPECTED - Counter(sent=1) + Counter(forgotten=1)

    assert expected == counts(read(system))
    system.run(copy(system.client, digest("", NAME), ROWS_KEPT_MS, system.now))
    assert expected == counts(read(system))


def test_a_batch_that_goes_on_loses_its_old_rows(system: System) -> None:
    """A name that is used for ever must not grow for ever."""
    old = system.take(batch=NAME)
    system.cancel([old])
    system.sync.delete(keys.record(old))
    own = digest("", NAME)
    system.sync.hset(keys.batch_rows(own), bytes.fromhex(old), subscriber_tag(own, "1") + _cancelled(old, system.now))
    new = system.take(batch=NAME)
    system.run(copy(system.client, own, ROWS_KEPT_MS, system.now + ROWS_KEPT_MS + DAY))

    assert [new] == [one for one, _ in batches.rows(system.sync, "", NAME)]


def _cancelled(message_id: str, at: int) -> bytes:
    return encode(BatchMessage(id=message_id, status=Status.CANCELLED, accepted_at=at), closed=True)


def test_the_list_of_batches_loses_those_that_are_forgotten(system: System) -> None:
    """It is the one key that does not expire."""
    system.take(batch=NAME)
    system.run(copy_all(system.client, ROWS_KEPT_MS, system.now + 399 * DAY))
    assert 1 == system.sync.zcard(keys.BATCHES)
    system.run(copy_all(system.client, ROWS_KEPT_MS, system.now + 401 * DAY))
    assert 0 == system.sync.zcard(keys.BATCHES)


def test_an_erasure_removes_a_persons_tags_and_keeps_the_rows(system: System, states: dict[str, str]) -> None:
    """In all batches, with the outcome of the row; nothing is sent to the person again."""
    own = digest("", NAME)
    system.run(copy(system.client, own, ROWS_KEPT_MS, system.now))
    erased = states["delivered"], subscriber_tag(own, "27831234565")
    system.take(to="27831234565", batch="another", text="And again")
    before = dict(batches.rows_of(system.sync, own))
    outcome = before[erased[0]].removeprefix(erased[1])

    assert 2 == erase_tags(system.sync, ["27831234565"])
    assert outcome
    assert before | {erased[0]: ERASED + outcome} == dict(batches.rows_of(system.sync, own))
    assert EXPECTED == counts(read(system))


def test_show_costs_the_same_beside_other_messages(system: System, states: dict[str, str]) -> None:
    """The same commands on the same keys, whatever else is stored."""

    def calls() -> dict[str, int]:
        system.sync.config_resetstat()
        read(system)
        stats: Any = system.sync.info("commandstats")
        return {name: one["calls"] for name, one in stats.items() if not name.startswith("cmdstat_config")}

    alone = calls()
    for start in range(0, 3_000, 50):
        system.accept([system.draft(to=f"2784{start + at:07}") for at in range(50)])

    assert alone == calls()
    assert states


def test_show_and_list_say_it_in_words(system: System, states: dict[str, str], redis_server: RedisServer) -> None:
    """Of a name in any script, and without the producer if only one has it."""
    shown, listed = run(redis_server, "show", NAME), run(redis_server, "list")

    assert (0, 0) == (shown.exit_code, listed.exit_code), shown.output + listed.output
    for words in (NAME, "waiting", "delivered", "too many parts", "5.00 credits", "unknown: no worker"):
        assert words in shown.output
    assert NAME in listed.output
    assert Exit.NOT_FOUND == run(redis_server, "show", "nobody's").exit_code
    assert Exit.USAGE == run(redis_server, "show", "a\u202eb").exit_code
    assert states


def test_a_name_of_two_producers_needs_the_producer(system: System, redis_server: RedisServer) -> None:
    """Rather than the progress of somebody else."""
    system.take(batch=NAME, producer="shop")
    system.take(to="27831234568", batch=NAME, producer="bank")

    assert Exit.USAGE == run(redis_server, "show", NAME).exit_code
    assert 0 == run(redis_server, "show", NAME, "--producer", "bank").exit_code


def test_a_report_has_a_row_for_each_message(system: System, states: dict[str, str], redis_server: RedisServer) -> None:
    """Numbers are masked, unless whole ones are requested."""
    for words, number in ((), "27831******"), (("--full",), "27831234560"):
        result = run(redis_server, "report", NAME, *words)
        rows = {row["state"]: row for row in csv.DictReader(io.StringIO(result.output))}

        assert states == {name: row["id"] for name, row in rows.items()}
        assert number == rows["scheduled"]["to"]
        assert ("113", "too_many_parts") == (rows["dead"]["code"], rows["dead"]["reason"])
        assert ("1.5", "yes") == (rows["delivered"]["credits"], rows["delivered"]["charged"])
        assert ["0", "0"] == [rows[name]["credits"] for name in ("dead", "cancelled")]
        assert "005" == rows["undelivered"]["code"]


def test_a_success_has_no_code_of_an_earlier_attempt(system: System, redis_server: RedisServer) -> None:
    """A message whose answer was lost was sent all the same; what failed at last is the network's status."""
    for at, status in enumerate((Status.DELIVERED, Status.UNDELIVERED)):
        one = system.take(to=f"2783123456{at}", batch=NAME)
        system.attempt(one, LOST)
        system.receive([StatusReport(one, "g" * 32, "004" if at == 0 else "007", status, 800_000)])
    rows = {row["state"]: row for row in csv.DictReader(io.StringIO(run(redis_server, "report", NAME).output))}

    assert ("", "") == (rows["delivered"]["code"], rows["delivered"]["reason"])
    assert ("007", "") == (rows["undelivered"]["code"], rows["undelivered"]["reason"])
    assert {"undelivered 007": 1} == read(system).failed


def test_cancel_cancels_what_was_not_sent_of_this_batch(
    system: System, states: dict[str, str], redis_server: RedisServer
) -> None:
    """The second time there is nothing to do, which has a code of its own."""
    result = run(redis_server, "cancel", NAME)

    assert 0 == result.exit_code, result.output
    assert "3 cancelled" in result.output
    assert EXPECTED + Counter(cancelled=3) - Counter(waiting=2, failed=1) == counts(read(system))
    assert 1 == read(system, "another").waiting
    system.cancel([states["sending"], states["in_doubt"]])
    assert states
