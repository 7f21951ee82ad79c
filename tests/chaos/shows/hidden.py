"""Hidden: a gateway that takes messages and hides them, answers 901 after taking, or loses requests: copies counted.

Callbacks are off: only look-ups can resolve a doubt.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from tests.chaos.shows.report import Report
from tests.chaos.shows.stage import CODE_TEXT, Scale, Stage, wait
from threelane.store import keys
from threelane.store.states import Status

HIDDEN, REFUSED = 100, 100
SHORT_GRACE = "1,2,4"  # seconds: a resend from doubt comes soon, and so do the next ones if nothing stops them
HIDE_SECONDS, WARM_UP_SECONDS, STREAM_SECONDS, LAG_SECONDS = 60.0, 60.0, 60.0, 30.0
CODES_A_SECOND = 10
MOST_WAIT_SECONDS = 15.0
NUMBERS = {"hidden": "2799951", "refused": "2799952"}  # prefixes of recipients
UNSETTLED = (Status.QUEUED, Status.SENDING, Status.SCHEDULED, Status.IN_DOUBT)
LOST = {"do": "cut_before", "times": None, "probability": 0.05}
LOST_ANSWERS = {"do": "lose_answer", "times": None, "probability": 0.05}


def play(scale: Scale, console: Console, kinds: Sequence[str] = ()) -> bool:
    """Play the three scenes, or some; returns whether all kept their limits."""
    scenes = {"hides": _hides, "901": _refuses_what_it_took, "lost": _loses}
    played = [scenes[kind](scale, console) for kind in kinds or scenes]
    return all(played)


def _hides(scale: Scale, console: Console) -> bool:
    """At most two copies of a message that the gateway took and hides; what stays unresolved is reported."""
    number, grace = max(10, int(HIDDEN * scale.messages)), sum(map(float, SHORT_GRACE.split(",")))
    with Stage(scale, {"THREELANE_DOUBT_DELAYS_SECONDS": SHORT_GRACE}, callbacks=False) as stage:
        stage.arm({"do": "hide", "times": None, "to": NUMBERS["hidden"]})
        hidden: list[str] = []
        others = _Stream(stage)
        for n in range(number):
            hidden += stage.send([{"to": f"{NUMBERS['hidden']}{n:04}", "text": CODE_TEXT, "lane": 1 + n % 3}])
            others.send()
        ends = time.time() + max(4 * grace, HIDE_SECONDS * scale.seconds)
        while time.time() < ends:  # look-ups prove something only while later messages are found
            others.send()
        wait(lambda: not _unreported(stage, hidden), 4 * grace)
        wait(lambda: not _unsettled(stage, others.ids), 4 * grace)
        copies, hit, states = _copies(stage), _hit(stage), stage.statuses(hidden)
        unreported = _unreported(stage, hidden)
    ends_as = Counter(f"{states[one].status} {states[one].code}".strip() for one in hidden)
    report = Report(f"show 5: {number} messages taken and hidden, API {scale.gateway}")
    report.limit("copies of one message, most", max(copies[one] for one in hidden), 2)
    for name, times in sorted(ends_as.items()):
        report.count(f"  ended as {name}", times)
    report.limit("neither sent nor reported", len(unreported), 0)
    report.count("other messages", len(others.ids))
    report.limit("  lost", sum(not copies[one] for one in others.ids), 0)
    report.limit("  twice", sum(copies[one] > 1 for one in others.ids if one not in hit), 0)
    return report.show(console)


def _refuses_what_it_took(scale: Scale, console: Console) -> bool:
    """One copy of a message that was answered 901 after the gateway took it."""
    number = max(10, int(REFUSED * scale.messages))
    with Stage(scale, {}, callbacks=False) as stage:
        fault = {"do": "code_after", "code": "901", "times": number, "to": NUMBERS["refused"]}
        stage.arm(fault)
        ids = stage.send({"to": f"{NUMBERS['refused']}{n:04}", "text": CODE_TEXT, "lane": 1} for n in range(number))
        wait(lambda: not _unsettled(stage, ids), 30)
        copies, unsettled = _copies(stage), _unsettled(stage, ids)
    report = Report(f"show 5: 901 after taking, {number} messages, API {scale.gateway}")
    report.limit("copies of one message, most", max(copies[one] for one in ids), 1)
    report.limit("lost", sum(not copies[one] for one in ids), 0)
    report.limit("not settled", len(unsettled), 0)
    return report.show(console)


def _loses(scale: Scale, console: Console) -> bool:
    """Lost codes arrive within 15 s once the grace is learned; none is sent twice, also when look-ups then lag."""
    with Stage(scale, {}, callbacks=False) as stage:
        stage.settings(lookup_lag_seconds=0.8)
        stream = _Stream(stage)
        stream.last(max(15.0, WARM_UP_SECONDS * scale.seconds))
        stage.arm(LOST, LOST_ANSWERS)
        measured = stream.last(STREAM_SECONDS * scale.seconds)
        wait(lambda: not _missing(stage, measured), MOST_WAIT_SECONDS + 5)
        waits = _waits(stage, measured)
        lost_twice = _lost_twice(stage, measured)
        missing = [one for one in _missing(stage, measured) if one not in lost_twice]
        lag_seconds = LAG_SECONDS * scale.seconds
        stage.settings(lookup_lag_seconds=lag_seconds)
        lagging = stream.last(1.5 * lag_seconds)
        stage.disarm()
        wait(lambda: not _unsettled(stage, lagging), 10 + 2 * lag_seconds)
        copies = _copies(stage)
    report = Report(f"show 5: 5 % of requests lost before they were taken, 5 % of answers lost, API {scale.gateway}")
    report.count("codes", len(measured))
    report.count("of them lost at first", len(waits) + len(missing))
    report.count("  wait, median, s", sorted(waits)[len(waits) // 2] if waits else "none arrived")
    report.limit("  wait, longest, s", max(waits, default=None if missing else 0.0), MOST_WAIT_SECONDS)
    report.limit("  not arrived, and not reported", len(missing), 0)
    report.count("  lost twice, and reported as unknown", len(lost_twice))
    report.limit("twice", sum(copies[one] > 1 for one in measured), 0)
    report.count(f"codes while look-ups lag {lag_seconds:.0f} s", len(lagging))
    report.limit("  twice", sum(copies[one] > 1 for one in lagging), 0)
    return report.show(console)


def _lost_twice(stage: Stage, ids: Sequence[str]) -> set[str]:
    """Return the messages whose resend was lost, too: there is no third copy, and no proof that there is a second."""
    wait(lambda: not any(one.status is Status.IN_DOUBT for one in stage.statuses(ids).values()), 30)
    return {one.id for one in stage.statuses(ids).values() if one.status is Status.UNKNOWN}


class _Stream:
    """A stream of ordinary codes."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.ids: list[str] = []

    def send(self) -> None:
        """Send the next code, a tenth of a second after the one before."""
        message = {"to": f"27999{600_000 + len(self.ids)}", "text": CODE_TEXT, "lane": 1}
        self.ids += self._stage.send([message])
        time.sleep(1 / CODES_A_SECOND)

    def last(self, seconds: float) -> list[str]:
        """Send for some time; returns the ids."""
        before, ends = len(self.ids), time.time() + seconds
        while time.time() < ends:
            self.send()
        return self.ids[before:]


def _copies(stage: Stage) -> Counter[str]:
    """Return how many copies of each message the gateway took."""
    return Counter(one["client_id"] for one in stage.ledger())


def _hit(stage: Stage) -> set[str]:
    """Return the messages of which a copy was hidden: those in one request with a hidden one, too."""
    return {one["client_id"] for one in stage.ledger() if "hide" in one["faults"]}


def _unreported(stage: Stage, ids: list[str]) -> list[str]:
    """Return the messages that are still on their way; those held for an operator are not."""
    later = (time.time() + 3600) * 1000
    indexes = keys.indexes_of(Status.IN_DOUBT)
    held = {one.decode() for index in indexes for one in stage.client.zrange(index, later, "+inf", byscore=True)}
    return [one for one in _unsettled(stage, ids) if one not in held]


def _unsettled(stage: Stage, ids: list[str]) -> list[str]:
    return [one.id for one in stage.statuses(ids).values() if one.status in UNSETTLED]


def _missing(stage: Stage, ids: list[str]) -> list[str]:
    arrived = stage.arrivals()
    return [one for one in ids if one not in arrived]


def _waits(stage: Stage, ids: list[str]) -> list[float]:
    """Return how long after its first attempt each message arrived, of those whose first attempt was lost."""
    first: dict[str, dict[str, Any]] = {}
    for attempt in stage.attempts():
        first.setdefault(attempt["client_id"], attempt)
    arrived, wanted = stage.arrivals(), set(ids)
    lost = (one for name, one in first.items() if name in wanted and one["fault"] == LOST["do"])
    return [arrived[one["client_id"]] - one["at"] for one in lost if one["client_id"] in arrived]
