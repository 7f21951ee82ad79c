"""Look-ups: a code in doubt behind thousands of newsletters in doubt; how many of them are looked up before it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from tests.chaos.shows.report import Report
from tests.chaos.shows.stage import CODE_TEXT, NEWS_TEXT, Scale, Stage, wait
from threelane.store.states import Status

NEWSLETTERS = 2_000
MOST_POSITION = 20
FIRST_LOOK_UP_SECONDS = 5.0  # the first of THREELANE_DOUBT_DELAYS_SECONDS
LONGEST_SECONDS = 180.0
# A proper answer, and no proof: the gateway took the message. Lost answers would be an outage to the breaker.
UNSURE = {"do": "code_after", "code": "109", "times": None}


def play(scale: Scale, console: Console, _kinds: Sequence[str] = ()) -> bool:
    """Put all in doubt, the code last; returns whether its look-up is among the first 20 after it fell due."""
    newsletters = int(NEWSLETTERS * scale.messages)
    with Stage(scale, {"THREELANE_PARTS_PER_SECOND": "2000"}, callbacks=False) as stage:
        stage.arm(UNSURE)
        news = stage.send({"to": f"27999{500_000 + n}", "text": NEWS_TEXT, "lane": 3} for n in range(newsletters))
        wait(lambda: stage.moved_to(Status.IN_DOUBT) >= newsletters, 60)
        (code,) = stage.send([{"to": "27999450000", "text": CODE_TEXT, "lane": 1}])
        wait(lambda: stage.moved_to(Status.IN_DOUBT) > newsletters, 60)
        sent_at = stage.arrivals()[code]
        ours = {*news, code}
        wait(lambda: code in _looked_up(stage, ours, sent_at), LONGEST_SECONDS * min(1, scale.seconds))
        looked_up = _looked_up(stage, ours, sent_at)
        wait(lambda: stage.statuses([code])[code].status is not Status.IN_DOUBT, 5)
        status = stage.statuses([code])[code].status
    due_at = sent_at + FIRST_LOOK_UP_SECONDS
    first = looked_up.get(code)
    before = sorted(at for one, at in looked_up.items() if one != code and at >= due_at)
    report = Report(f"show 3: {newsletters} newsletters in doubt and one code, API {scale.gateway}")
    report.count("looked up in all", len(looked_up))
    report.count("look-ups since the code was due", len(before))
    report.count("look-up of the code after it was due, s", first - due_at if first else "none")
    position = 1 + sum(at < first for at in before) if first else None
    report.limit("position of the code's look-up", position, MOST_POSITION)
    report.count("the code is", status)
    return report.show(console)


def _looked_up(stage: Stage, ours: set[str], since: float) -> dict[str, float]:
    """Return when each message was looked up first; those of one request count in its order."""
    found: dict[str, float] = {}
    for request in stage.requests("querymsg", since):
        for place, one in enumerate(request["looked_up"]):
            if one in ours:
                found.setdefault(one, request["at"] + place / 1_000_000)
    return found
