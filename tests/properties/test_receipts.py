"""Receipts: for any reports, in any order and however often, a message ends as it truly ended.

The truth comes from a model of the vendor's two tables of statuses: the first final status; without one, the status
that is furthest on the way.  With the status goes its charge, which is counted once.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlencode

import msgspec
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.properties.system import System
from tests.servers import RedisServer, stored
from threelane.gateways.one import callbacks as one
from threelane.producer import cancel
from threelane.store import keys
from threelane.store.states import FINAL, Status
from threelane.worker.gateway.outcome import EMULATED, AttemptOutcome, Known, LookUp, OutcomeKind
from threelane.worker.inbound import central, platform
from threelane.worker.inbound.report import StatusReport
from threelane.worker.policy.statuses import OF_ACCOUNT
from threelane.worker.process.settings import WorkerSettings
from threelane.worker.receipt.poll import poll
from threelane.worker.receipt.receipt import GIVEN_BACK
from threelane.worker.send.claim import Claimed
from threelane.worker.send.judge import Decision
from threelane.worker.send.settle import Settlement

EXAMPLES = int(os.environ.get("THREELANE_EXAMPLES", "20"))
DAY = 24 * 3600 * 1000
ITS_ID = "7e1c40b2a9d84f3f8a5b6c7d8e9f0011"
TAKEN = AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id=ITS_ID)
UNKNOWN, SCHEDULED, AT_GATEWAY, AT_NETWORK, END = range(5)


class Step(NamedTuple):
    """How far a status is on a message's way, and what the message is then."""

    at: int
    becomes: Status | None = None


def _end(status: Status) -> Step:
    return Step(END, status)


_DELIVERED, _FAILED = _end(Status.DELIVERED), _end(Status.UNDELIVERED)
_EXPIRED, _CANCELLED = _end(Status.EXPIRED), _end(Status.CANCELLED)
_WAITS, _TAKEN, _AWAY = (Step(at, Status.SENT) for at in (SCHEDULED, AT_GATEWAY, AT_NETWORK))

# fmt: off
LEGACY = {  # the vendor's table of message statuses; the last is in none
    "001": Step(UNKNOWN), "002": _TAKEN, "003": _AWAY, "004": _DELIVERED, "005": _FAILED, "006": _CANCELLED,
    "007": _FAILED, "008": _TAKEN, "009": _FAILED, "010": _EXPIRED, "011": _WAITS, "012": _FAILED, "013": _CANCELLED,
    "014": _FAILED, "099": Step(UNKNOWN),
}
ONE = {  # name and number; the last three are in no table
    ("UNKNOWN", 1): Step(UNKNOWN), ("QUEUED", 2): _TAKEN, ("SCHEDULED", 3): _WAITS, ("SENT_TO_SUPPLIER", 4): _AWAY,
    ("DEVICE_ACK", 5): _DELIVERED, ("READ", 6): _DELIVERED, ("EXPIRED", 20): _EXPIRED,
    ("STOPPED_BY_USER", 21): _CANCELLED, ("STOPPED_BY_ADMIN", 22): _CANCELLED, ("DELIVERY_FAILURE", 23): _FAILED,
    ("EMULATED", 24): _FAILED, ("INSUFFICIENT_ACCOUNT_BALANCE", 25): _FAILED, ("VOLUME_LIMIT", 26): _FAILED,
    ("VOLUME_LIMIT_DAILY", 27): _FAILED, ("VOLUME_LIMIT_MONTHLY", 28): _FAILED,
    ("RECIPIENT_DOES_NOT_EXIST", 29): _FAILED, ("STOP_MARKETING_MESSAGES", 30): _FAILED,
    ("EXCESSIVE_MESSAGES_TO_RECIPIENT", 31): _FAILED, ("ROUTING_ERROR", 100): _FAILED,
    ("NEW_WAY", 4): _TAKEN, ("NEW_END", 77): _FAILED, ("NEW_RIDDLE", 9): Step(UNKNOWN),
}
PLATFORM = {(status,): step for status, step in LEGACY.items()}  # the same, and its callbacks have no charge
STATES = {  # how a message stands when the first receipt comes, and as what
    "new": Status.QUEUED,        "planned": Status.SCHEDULED,   "sending": Status.SENDING,  "sent": Status.SENT,
    "in doubt": Status.IN_DOUBT, "to be retried": Status.SCHEDULED, "queued again": Status.QUEUED,
    "dead": Status.DEAD,         "expired here": Status.EXPIRED, "cancelled here": Status.CANCELLED,
    "emulated": Status.EMULATED, "never known": Status.UNKNOWN,
}
NEVER_TRIED = ("new", "planned")
OUTCOMES = {
    "sent": TAKEN, "in doubt": AttemptOutcome(OutcomeKind.LOST),
    "to be retried": AttemptOutcome(OutcomeKind.REFUSED, "901"),
    "queued again": AttemptOutcome(OutcomeKind.REFUSED, "901"), "dead": AttemptOutcome(OutcomeKind.REFUSED, "113"),
    "expired here": AttemptOutcome(OutcomeKind.REFUSED, "901"),
    "cancelled here": AttemptOutcome(OutcomeKind.REFUSED, "901"),
    "emulated": EMULATED, "never known": TAKEN,
}
# fmt: on
RETURNS = ("sending", "sent", "in doubt", "to be retried")  # tried once, and valid
WITH_A_PAST = ("expired here", "queued again", "never known")


class StatusSent(NamedTuple):
    """One status of one message; ``charge`` in millionths, or None when the report names none."""

    status: Any  # of LEGACY, PLATFORM or ONE
    charge: int | None

    @property
    def name(self) -> str:
        return self.status if isinstance(self.status, str) else self.status[0]

    @property
    def step(self) -> Step:
        return LEGACY[self.name] if self.name in LEGACY else ONE[self.status]


@dataclass
class Story:
    """One message: its origin, its state, and the reports about it in their order."""

    state: str
    lane: int
    centre: str
    reports: list[StatusSent]
    id: str = ""
    claimed: Claimed | None = None


class Truth(NamedTuple):
    """How a message has to end."""

    status: Status
    network: str
    charge: int


def assumed(stands: Status, best: StatusSent | None) -> int:
    """Return the charge when none is reported: the estimate on the One API and Platform REST."""
    if best is None or isinstance(best.status, str) or best.name in GIVEN_BACK:
        return 0
    moves = best.step.becomes not in (None, stands) and stands not in FINAL
    return 1_000_000 if moves or stands is Status.UNKNOWN else 0


def truth(story: Story) -> Truth:
    """Return how a message ends."""
    stands = STATES[story.state]
    if story.state in NEVER_TRIED:
        return Truth(stands, "", 0)
    ends = [one for one in story.reports if one.step.at == END]
    on_the_way = sorted((one for one in story.reports if 0 < one.step.at < END), key=lambda one: one.step.at)
    best = ends[0] if ends else on_the_way[-1] if on_the_way else None
    if best and best.name in OF_ACCOUNT and story.state in RETURNS:
        return Truth(Status.QUEUED, "", former_charge(story, best))
    nothing = [one for one in story.reports if one.step.at == UNKNOWN]
    other_ends = [one for one in ends if best and one.name != best.name]
    trusted = (
        [one for one in ends if best and one.name == best.name] + on_the_way[::-1] + nothing[::-1] + other_ends[::-1]
    )
    named = next((one.charge for one in trusted if one.charge is not None), None)
    charge = assumed(stands, best) if named is None else named
    if best and best.step.becomes and stands not in FINAL:
        stands = best.step.becomes
    return Truth(stands, best.name if best else "", charge)


def former_charge(story: Story, end: StatusSent) -> int:
    """Return what the attempt cost that ended before its message was returned: by its end, or by what came before."""
    place = story.reports.index(end)
    before = story.reports[:place]
    at = {step: [one for one in before if one.step.at == step] for step in range(END)}
    latest_first = [one for step in range(END - 1, -1, -1) for one in at[step][::-1]]
    named = next((one.charge for one in (end, *latest_first) if one.charge is not None), None)
    if named is None and not isinstance(end.status, str):
        return 1_000_000
    late = (one.charge for one in story.reports[place:] if one.charge is not None)
    return next(late, 0) if named is None else named


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """A message of one API's family: a status has one charge, or none, however often it is reported."""
    statuses = draw(st.sampled_from((sorted(LEGACY), sorted(PLATFORM), sorted(ONE))))
    reported = draw(st.lists(st.sampled_from(statuses), max_size=8))
    charges = st.sampled_from((None, 0, 300_000, 800_000, 2_400_000, 999_999_999_999))
    of_status = {one: draw(charges) for one in dict.fromkeys(reported)}
    state, lane = draw(st.sampled_from(sorted(STATES))), draw(st.sampled_from(keys.LANES))
    return Story(
        state, lane, draw(st.sampled_from(("", "news"))), [StatusSent(one, of_status[one]) for one in reported]
    )


def report(message_id: str, sent: StatusSent) -> StatusReport:
    """Return the report read from a callback; a charge of the Portal's APIs is what a later version may report."""
    if isinstance(sent.status, str):
        fields = {"cliMsgId": message_id, "apiMsgId": ITS_ID, "status": sent.status, "timestamp": "4102444800"}
        if sent.charge is not None:
            fields["charge"] = f"{sent.charge / 1_000_000:.6f}"
        return central.read(urlencode(fields).encode(), b"").reports[0]
    if sent.status in PLATFORM:
        flat = {"clientMessageId": message_id, "messageId": ITS_ID, "statusCode": sent.name}
        (read,) = platform.read(b"", json.dumps(flat).encode()).reports
        return msgspec.structs.replace(read, charge_millionths=sent.charge)
    name, number = sent.status
    update = {"clientMessageId": message_id, "messageId": ITS_ID, "status": name, "statusCode": number}
    body = json.dumps({"event": {"messageStatusUpdate": [update]}}).encode()
    (read,) = one.read(body).reports
    return StatusReport(read.id, read.gateway_id, read.network_status, read.to, sent.charge, read.text, read.unlisted)


class NobodyKnows:
    """A gateway that answers no question."""

    async def status(self, _gateway_id: str) -> LookUp:
        return LookUp(Known.FAILED)


@pytest.fixture(scope="module")
def system(redis_server: RedisServer) -> Iterator[System]:
    loop = asyncio.new_event_loop()
    pace = WorkerSettings(redis_url=redis_server.url, parts_per_second=100_000, look_ups_per_second=1_000)
    made = System(redis_server.port, loop, pace)
    yield made
    made.close()
    loop.close()


def arrange(system: System, all_stories: Sequence[Story]) -> None:
    """Bring every message into its state, by the verbs of the system."""
    system.empty()
    past = [one for one in all_stories if one.state in WITH_A_PAST]
    for story in past:
        begin(system, story)
    system.now += 6 * DAY + 1
    system.release()
    for lane in keys.LANES:
        system.run(poll(system.client, NobodyKnows(), system.settings, lane, system.now))
    for story in past:
        if story.state == "expired here":
            system.claim(story.lane, [story.id], "later")
    for story in all_stories:
        if story not in past:
            begin(system, story)
    given_up = [one.id for one in all_stories if one.state == "cancelled here"]
    cancel.cancel(system.sync, given_up, DAY, system.now)
    seen = system.glance([one.id for one in all_stories])
    assert {one.id: STATES[one.state] for one in all_stories} == {one.id: seen.status(one.id) for one in all_stories}


def begin(system: System, story: Story) -> None:
    """Take a message in, and let its first attempt come to what it shall."""
    fields = {"lane": story.lane, "cost_centre": story.centre, "delay": 3600 if story.state == "planned" else 0}
    draft = system.draft(**{name: value for name, value in fields.items() if value})
    story.id = draft.message.id
    system.accept([draft])
    if story.state in NEVER_TRIED:
        return
    (story.claimed,) = system.claim(story.lane, [story.id], "first").claimed
    if story.state != "sending":
        answered(system, story.claimed, OUTCOMES[story.state])


def answered(system: System, claimed: Claimed, outcome: AttemptOutcome) -> bool:
    """Let the gateway's answer to an attempt arrive; False when a receipt was first."""
    decision: Decision = system.judge(claimed, outcome)
    (settled,) = system.settle([Settlement(claimed, outcome, decision)])
    return settled


def outcomes(system: System) -> Counter[tuple[str, str]]:
    """Count the outcomes published to producers: message and status."""
    events = [fields for _, fields in system.sync.xrange(keys.EVENTS)]
    return Counter((one[b"id"].decode(), one[b"status"].decode()) for one in events if one[b"type"] == b"outcome")


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data(), all_stories=st.lists(stories(), min_size=1, max_size=6))
def test_a_message_ends_as_it_truly_ended(system: System, data: st.DataObject, all_stories: list[Story]) -> None:
    """First final, else the furthest; a charge once in record and tally; each end published once; nothing created."""
    arrange(system, all_stories)
    before, outcomes_before = set(system.sync.keys("tl:m:*")), outcomes(system)
    order = data.draw(st.permutations([n for n, one in enumerate(all_stories) for _ in one.reports]), "order")
    left = [list(one.reports) for one in all_stories]
    reports = [report(all_stories[n].id, left[n].pop(0)) for n in order]
    strangers = data.draw(st.lists(st.integers(0, len(reports)), max_size=3), "strangers")
    for place in strangers:
        reports.insert(place, report(f"{place:x}".rjust(32, "f"), StatusSent("004", 800_000)))
    while reports:
        size = data.draw(st.integers(1, 20), "batch")
        system.receive(reports[:size])
        reports = reports[size:]
        system.now += 1_000

    for story in all_stories:  # the gateway's answer to an attempt comes last of all
        expected = truth(story)
        if story.state == "sending" and story.claimed:
            moved = expected.status is not Status.SENDING
            assert moved is not answered(system, story.claimed, TAKEN)
            story.state = "sending" if moved else "sent"

    seen = system.glance([one.id for one in all_stories])
    for story in all_stories:
        record = seen.records[story.id]
        charge = int(record.get("charge", 0))
        assert truth(story) == Truth(Status(record["status"]), record.get("network", ""), charge), story
        names = [] if story.state in NEVER_TRIED else [one.name for one in story.reports]
        assert [f"status={name}" for name in names] == [
            line.split()[1] for line in record.get("reports", "").splitlines()
        ]
        indexes = [key for key, ids in seen.indexes.items() if story.id in ids]
        assert (0 if truth(story).status in FINAL else 1) == len(indexes)
        ended_before = STATES[story.state] in FINAL or (story.state == "dead" and truth(story).status is Status.DEAD)
        assert (truth(story).status in {*FINAL, Status.DEAD}) == ("ended" in record)
        ends = {} if ended_before or truth(story).status not in FINAL else {(story.id, truth(story).status): 1}
        assert ends == {one: n for one, n in (outcomes(system) - outcomes_before).items() if one[0] == story.id}
    charged: Counter[str] = Counter()
    for story in all_stories:
        charged[f"charged:{story.lane}:{story.centre}"] += truth(story).charge
    assert +charged == Counter({name: n for name, n in seen.tally.items() if name.startswith("charged:") and n})
    assert before == set(system.sync.keys("tl:m:*"))
    assert {one.id for one in all_stories} == {key.decode().removeprefix("tl:m:") for key in before}


# fmt: off
ORDERS = [  # the statuses of one message, and its cost: the same in each order in which its end is the same
    ([("010", None), ("003", 800_000)], 800_000),
    ([("010", 0), ("003", 800_000)], 0),
    ([("004", None), ("003", 800_000), ("001", 300_000)], 800_000),
    ([("004", 800_000), ("003", 300_000), ("008", 100_000)], 800_000),
]
# fmt: on


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize(("reports", "charge"), ORDERS)
def test_the_cost_of_a_message_does_not_depend_on_the_order_of_receipts(
    system: System, reports: list[tuple[str, int | None]], charge: int, backwards: bool
) -> None:
    """The charge of the status that is furthest, of those that name one."""
    story = Story("sent", 3, "", [StatusSent(*one) for one in reports])
    arrange(system, [story])
    system.receive([report(story.id, one) for one in (story.reports[::-1] if backwards else story.reports)])
    assert str(charge) == system.glance([story.id]).records[story.id]["charge"]


def test_a_final_status_that_contradicts_the_first_does_not_take_its_charge_back(system: System) -> None:
    """Delivered, and charged when it was handed over; a stray "expired, not charged" changes neither."""
    story = Story("sent", 3, "", [StatusSent("003", 800_000), StatusSent("004", None), StatusSent("010", 0)])
    arrange(system, [story])
    system.receive([report(story.id, one) for one in story.reports])
    seen = system.glance([story.id])
    record = seen.records[story.id]
    assert ("delivered", "004", "800000") == (record["status"], record["network"], record["charge"])
    assert 800_000 == seen.tally["charged:3:"]


def test_reports_of_one_message_do_not_fill_the_memory(system: System) -> None:
    """Each is kept unchanged, until there are 2,000 characters of them."""
    story = Story("sent", 3, "", [])
    arrange(system, [story])
    for _ in range(20):
        system.receive([report(story.id, StatusSent("003", 800_000))] * 20)
    kept = system.glance([story.id]).records[story.id]["reports"]
    assert 2_000 <= len(kept) < 2_400
    assert {"status=003 timestamp=4102444800 charge=0.800000"} == {line.partition(" ")[2] for line in kept.splitlines()}


def test_a_dead_letter_that_was_sent_after_all_has_not_ended(system: System) -> None:
    """The network has it: until its end is reported it is on its way, and looked up."""
    story = Story("dead", 1, "", [])
    arrange(system, [story])
    system.receive([report(story.id, StatusSent("003", 800_000))])
    seen = system.glance([story.id])
    assert "ended" not in seen.records[story.id]
    assert system.now + 600_000 == seen.indexes[keys.AWAITING[1]][story.id]
    assert int(seen.records[story.id]["accepted"]) == system.sync.zscore(keys.EXPECTED, story.id)


def test_the_model_knows_every_status_of_both_tables() -> None:
    """So that a status which is added is not left out here."""
    from threelane.gateways.one.statuses import ONE_STATUSES
    from threelane.worker.policy.statuses import STATUSES

    assert {"099"} == set(LEGACY) ^ set(STATUSES)
    assert {"NEW_WAY", "NEW_END", "NEW_RIDDLE"} == {name for name, _ in ONE} ^ set(ONE_STATUSES)


def test_an_empty_redis_stays_empty(system: System, client: redis.Redis) -> None:
    """An unknown id leaves no key behind, not even a count."""
    results = system.receive([report("f" * 32, StatusSent(status, 800_000)) for status in LEGACY])
    assert (["unknown"] * len(LEGACY), 0) == (results, stored(client))
