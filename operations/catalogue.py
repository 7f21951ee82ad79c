"""Catalogue: every metric of every process, its labels and what they may say, and the question it answers.

``docs/metrics.md`` is written from it: ``python -m threelane.operations.catalogue > docs/metrics.md``.  Tests hold it
against what the processes expose.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from threelane.contract.gateways import declared
from threelane.contract.refusal import Code, Owner
from threelane.store import keys
from threelane.store.states import Status
from threelane.worker.account import hold
from threelane.worker.gateway import tables
from threelane.worker.gateway.outcome import Kind
from threelane.worker.policy.legacy import TRANSPORT
from threelane.worker.policy.rule import Scope, Verdict
from threelane.worker.upkeep import duties
from threelane.worker.webhooks import dispatcher
from threelane.worker.webhooks.post import Result

MOST = 50  # values of a label that others choose; the rest is summed up as "other"
OTHER = "other"
MOST_SERIES_OF_EXPORTER = 3_000
MOST_SERIES_OF_PROCESS = 1_000


class Type(StrEnum):
    """The types of Prometheus that are in use."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Where(StrEnum):
    """The process that tells a metric; what several tell is summed up."""

    EXPORTER = "exporter"
    WORKER = "worker"
    CALLBACKS = "callbacks"
    WEBHOOKS = "webhooks"


class Label(NamedTuple):
    """A label: the values that are known beforehand, and how many others there may be."""

    meaning: str
    known: frozenset[str] = frozenset()
    others: int = 0  # that many, and "other"


class Metric(NamedTuple):
    """One family of series."""

    name: str
    type: Type
    where: tuple[Where, ...]
    labels: tuple[str, ...]
    meaning: str  # as the process tells it, too
    question: str

    @property
    def series(self) -> frozenset[str]:
        """The names by which it can be asked for."""
        match self.type:
            case Type.COUNTER:
                return frozenset({f"{self.name}_total"})
            case Type.HISTOGRAM:
                return frozenset({f"{self.name}_bucket", f"{self.name}_count", f"{self.name}_sum"})
        return frozenset({self.name})


_RULES = (*tables.rules(), *TRANSPORT.rules.values(), TRANSPORT.otherwise)
_OURS = {"worker_lost", "in_doubt", "no_look_up", "forgotten", "no_receipt", "expired", "suppressed", hold.BY_HAND}
CODES = frozenset({rule.code for rule in _RULES} | {code.value for code in Code} | _OURS)
UNLISTED = frozenset({one.code for table in tables.each() for one in (*table.by_hundred.values(), table.otherwise)})
ROUNDS = frozenset(duty.name for duty in (*duties.DUTIES, *dispatcher.DUTIES))

LABELS = {
    "lane": Label("the lane", frozenset(map(str, keys.LANES))),
    "status": Label("a state of a message, see the delivery guarantee", frozenset(Status)),
    "code": Label("a code of a policy table, or one of ours; an operator's own policy may add some", CODES, MOST),
    "owner": Label("who can mend it", frozenset(Owner)),
    "reason": Label("the policy table's word for a code", frozenset(rule.reason for rule in _RULES) | {""}, MOST),
    "outcome": Label("how the attempt ended", frozenset(Kind)),
    "gateway": Label("the API that is used", frozenset(declared())),
    "scope": Label(
        "what it is about: the account, a lane, senders or prefixes (their number only); of a budget, whose it is",
        frozenset({*Scope, *(f"lane:{lane}" for lane in keys.LANES), "lane"}),
        MOST,
    ),
    "period": Label("of a budget", frozenset({"day", "month"})),
    "cost_centre": Label("the cost centres that cost most", frozenset({"none"}), MOST),
    "producer": Label("the producers that cost most", frozenset({"none"}), MOST),
    "country": Label("the countries that cost most", frozenset({"none"}), MOST),
    "word": Label("what a reply says", frozenset({"stop", "start", OTHER})),
    "source": Label("who put it there", frozenset({"STOP", "operator", "import"}), MOST),
    "round": Label("which part of housekeeping", ROUNDS),
    "result": Label(
        "what became of it",
        frozenset(
            {"moved", "noted", "repeated", "late", "never_sent", "unknown", "adopted", "queued", "ask", "dead"}
            | {"stop", "start", "told", "incomplete", "part", "dropped", *Result}
        ),
    ),
}

COUNTER, GAUGE, HISTOGRAM = Type
_EXPORTER = (Where.EXPORTER,)
_WORKER = (Where.WORKER,)
_BOTH = (Where.WORKER, Where.CALLBACKS)
_HOOKS = (Where.WEBHOOKS,)

# fmt: off
METRICS = (
    # is it flowing?
    Metric("threelane_redis_up", GAUGE, _EXPORTER, (), "Whether Redis answered this scrape",
           "Is Redis there? While it is not, nothing else of the exporter is told."),
    Metric("threelane_lane_depth", GAUGE, _EXPORTER, ("lane",), "Messages that are due and not claimed",
           "How many wait?"),
    Metric("threelane_lane_oldest_seconds", GAUGE, _EXPORTER, ("lane",), "Age of the oldest of them",
           "How long does the unluckiest wait? The first thing to look at."),
    Metric("threelane_messages", GAUGE, _EXPORTER, ("status",), "Messages in a state that is not final",
           "Where are the messages now?"),
    Metric("threelane_accepted", COUNTER, _EXPORTER, ("lane",), "Messages accepted", "How much comes in?"),
    Metric("threelane_repeated", COUNTER, _EXPORTER, ("lane",), "Messages asked for again under the same client id",
           "Do producers repeat themselves, since they see no answers?"),
    Metric("threelane_parts", COUNTER, _EXPORTER, ("lane",), "Message parts accepted", "How much will be paid for?"),
    Metric("threelane_refused", COUNTER, _EXPORTER, ("code",), "Messages refused at the door",
           "What do producers do wrong?"),
    Metric("threelane_moved", COUNTER, _EXPORTER, ("lane", "status"), "Messages that came into a state",
           "How much is sent, delivered, undelivered?"),
    Metric("threelane_workers", GAUGE, _EXPORTER, (), "Workers that reported within 20 seconds",
           "Does anybody work?"),
    Metric("threelane_workers_of_lane_1", GAUGE, _EXPORTER, (), "Those of them that fetch lane 1",
           "Does anybody send login codes?"),
    Metric("threelane_workers_worth_having", GAUGE, _EXPORTER, (), "Workers that the backlog is worth",
           "Would more workers help? For an autoscaler."),
    Metric("threelane_drain_minutes", GAUGE, _EXPORTER, (), "Minutes to drain at the allowed rate",
           "When is the backlog gone?"),
    Metric("threelane_redis_memory_share", GAUGE, _EXPORTER, (), "Share of its memory ceiling that Redis uses",
           "When does intake refuse? At 0.9."),
    Metric("threelane_accept_to_gateway_seconds", HISTOGRAM, _WORKER, ("lane",),
           "From accept, or from when it was due, to the first call of the gateway", "Is a login code fast?"),
    Metric("threelane_gateway_call_seconds", HISTOGRAM, _WORKER, ("gateway",), "One call of the gateway",
           "Is it the gateway that is slow?"),
    Metric("threelane_calls_under_way", GAUGE, _WORKER, (), "Calls of the gateway under way in this process",
           "Is a worker at its limit of connections?"),
    Metric("threelane_claimed", COUNTER, _WORKER, ("lane",), "Messages claimed by this process",
           "Which worker does the work, and for which lane?"),
    Metric("threelane_released", COUNTER, _WORKER, ("lane",),
           "Messages this process put on their lane when they were due", "Does what is scheduled come back?"),
    Metric("threelane_deferred", COUNTER, _WORKER, ("lane",),
           "Messages that this process put off until their window opens", "How much waits for a sending window?"),
    # what went wrong, and whose is it?
    Metric("threelane_attempts", COUNTER, _WORKER, ("lane", "outcome", "reason"),
           "Attempts of this process by lane, outcome and policy reason", "What does the gateway answer?"),
    Metric("threelane_alarms", COUNTER, _BOTH, ("code", "owner"),
           "Answers that somebody should look at, by rule and owner",
           "Did something come that no table lists, or a fault of ours?"),
    Metric("threelane_on_hold", GAUGE, _EXPORTER, ("scope", "code"), "What is on hold, by code",
           "What stands still, and why?"),
    Metric("threelane_held", COUNTER, _EXPORTER, ("scope",), "Times something was put on hold",
           "Did it stand still while nobody looked?"),
    Metric("threelane_retried", COUNTER, _EXPORTER, ("lane", "code"), "Attempts that will be repeated",
           "Which codes cost us time?"),
    Metric("threelane_dead", COUNTER, _EXPORTER, ("code", "owner"), "Dead letters",
           "What was not sent, and who can mend it?"),
    Metric("threelane_erased", COUNTER, _EXPORTER, ("lane",), "Messages whose number and text were erased",
           "Is erased what has to be?"),
    Metric("threelane_left_to_newer", COUNTER, _EXPORTER, ("lane",), "Times a worker left a message to newer ones",
           "Do producers ask for what only a newer worker can do?"),
    Metric("threelane_redriven", COUNTER, _EXPORTER, ("lane",), "Dead letters put back", "Was it mended?"),
    Metric("threelane_in_doubt", COUNTER, _EXPORTER, ("lane", "code"), "Attempts that left a message in doubt",
           "Does the gateway lose answers?"),
    Metric("threelane_resolved_doubts", COUNTER, _EXPORTER, ("status",),
           "Messages in doubt that a look-up did not find", "What became of those in doubt?"),
    Metric("threelane_unknown", COUNTER, _EXPORTER, ("code", "owner"), "Messages whose end will never be known",
           "Of how many will nobody ever know?"),
    Metric("threelane_lapsed_leases", COUNTER, _EXPORTER, ("lane",), "Attempts whose worker died in the middle",
           "Do workers die?"),
    Metric("threelane_swept_messages", COUNTER, _EXPORTER, ("lane",), "Messages whose nudge was lost",
           "Does the broker lose nudges?"),
    Metric("threelane_cancelled", COUNTER, _EXPORTER, ("lane",), "Messages that a caller cancelled",
           "How much was called back?"),
    Metric("threelane_late", COUNTER, _EXPORTER, ("lane",), "Messages of lane 1 without a receipt in time",
           "Do login codes arrive?"),
    Metric("threelane_settled_elsewhere", COUNTER, _WORKER, (),
           "Attempts that something else had settled when they ended", "Are leases too short?"),
    Metric("threelane_lapsed", COUNTER, _WORKER, (), "Leases of dead workers that this process found",
           "Who cleans up after the dead?"),
    Metric("threelane_resolved", COUNTER, _WORKER, ("result",),
           "Messages in doubt by what a look-up of this process made of them", "Do look-ups find anything?"),
    Metric("threelane_polled", COUNTER, _WORKER, (),
           "Messages that this process asked the gateway for, since no receipt had come", "Do receipts fail to come?"),
    Metric("threelane_swept", COUNTER, _WORKER, ("lane",), "Messages whose lost nudge this process found",
           "Which worker found them?"),
    Metric("threelane_housekeeping_failed", COUNTER, (Where.WORKER, Where.WEBHOOKS), ("round",),
           "Rounds of housekeeping that Redis failed", "Which part of a process is stuck?"),
    Metric("threelane_receipts", COUNTER, _BOTH, ("result",), "Status callbacks by what they changed",
           "Do receipts come in, and do they fit?"),
    # recipients
    Metric("threelane_replies", COUNTER, (Where.CALLBACKS,), ("result",),
           "Replies of recipients by what was made of them", "Do replies come in?"),
    Metric("threelane_replies_told", COUNTER, _EXPORTER, ("word",), "Replies of recipients: stop, start or other",
           "Do people say STOP?"),
    Metric("threelane_suppressions", COUNTER, _EXPORTER, ("source",), "Entries put on the list of suppressed numbers",
           "Who says that a number is left alone?"),
    Metric("threelane_suppressions_lifted", COUNTER, _EXPORTER, (), "Entries taken off it", "Who came back?"),
    Metric("threelane_suppressed_numbers", GAUGE, _EXPORTER, (), "Numbers on the list of suppressed ones",
           "How many are left alone?"),
    Metric("threelane_bypassed", COUNTER, _EXPORTER, ("lane",),
           "Legal notices that passed over the list of suppressed numbers", "Is that right used with care?"),
    # money
    Metric("threelane_balance_credits", GAUGE, _EXPORTER, (), "The balance as it was last read", "What is left?"),
    Metric("threelane_balance_age_seconds", GAUGE, _EXPORTER, (), "How long ago that was", "Can I believe it?"),
    Metric("threelane_balance_unread", GAUGE, _EXPORTER, (), "1: the last reading of the balance failed",
           "Does the gateway tell us the balance?"),
    Metric("threelane_left_credits", GAUGE, _EXPORTER, (), "The balance less what was claimed since",
           "What is left by now?"),
    Metric("threelane_committed_credits", GAUGE, _EXPORTER, ("lane",), "Estimates of all that waits",
           "What will it cost to send all that waits?"),
    Metric("threelane_short_credits", GAUGE, _EXPORTER, (), "Credits missing to pay for all that waits",
           "How much must be topped up at least?"),
    Metric("threelane_burn_credits_per_hour", GAUGE, _EXPORTER, (), "Credits charged in an hour, of late",
           "How fast does it go?"),
    Metric("threelane_hours_left", GAUGE, _EXPORTER, (), "Hours until the balance runs dry", "When does it run dry?"),
    Metric("threelane_drift_credits", GAUGE, _EXPORTER, (), "Credits that went without a charge",
           "Does somebody else spend from the account? Are charges missing?"),
    Metric("threelane_lane_reserved", GAUGE, _EXPORTER, ("lane",), "1: it waits, credits are kept for others",
           "Does a lane wait, since credits are kept for the lanes above?"),
    Metric("threelane_reserved", COUNTER, _EXPORTER, ("lane",),
           "Times a lane waited, since credits are kept for the lanes above", "Did it, while nobody looked?"),
    Metric("threelane_charged_credits", COUNTER, _EXPORTER, ("lane", "cost_centre"), "Credits charged",
           "What is spent, in which lane, by which cost centre?"),
    Metric("threelane_charged_parts", COUNTER, _EXPORTER, ("lane",), "Message parts that a charge was told for",
           "What does a part cost?"),
    Metric("threelane_charged_by_producer_credits", COUNTER, _EXPORTER, ("producer",), "Credits charged",
           "Who spends it?"),
    Metric("threelane_charged_by_country_credits", COUNTER, _EXPORTER, ("country",), "Credits charged",
           "Where is it spent?"),
    Metric("threelane_budget_credits", GAUGE, _EXPORTER, ("scope", "period"), "Budgets", "Who may spend how much?"),
    Metric("threelane_budget_used_credits", GAUGE, _EXPORTER, ("scope", "period"), "Reserved and spent of it",
           "Whose budget runs out?"),
    # what producers are told
    Metric("threelane_webhooks", COUNTER, _HOOKS, ("result",),
           "Webhook posts of this process by result: taken, failed, refused_address; dead: laid aside after the last "
           "try; dropped: the producer's backlog was full", "Do producers take what we tell them?"),
    Metric("threelane_webhook_events", COUNTER, _HOOKS, (), "Events this process took from the stream",
           "Is the stream of outcomes read?"),
)
# fmt: on

BY_NAME = {one.name: one for one in METRICS}


def beforehand(metric: Metric) -> Iterator[tuple[str, ...]]:
    """Yield the labels that are told as 0 before anything happened: a count that begins at 1 has no increase."""
    lanes = [str(lane) for lane in keys.LANES]
    match metric.name:
        case "threelane_moved":
            yield from ((lane, status) for lane in lanes for status in Status)
        case "threelane_retried":
            yield from ((lane, code) for lane in lanes for code in _codes(Verdict.RETRY, Verdict.REAUTH))
        case "threelane_in_doubt":
            yield from ((lane, code) for lane in lanes for code in _codes(Verdict.UNSURE))
        case "threelane_dead":
            yield from sorted({(one.code, one.owner) for one in _RULES if one.verdict not in _ALIVE})
        case "threelane_refused":
            yield from ((code,) for code in Code)
        case _ if metric.labels == ("lane",):
            yield from ((lane,) for lane in lanes)


_ALIVE = (Verdict.HOLD, Verdict.UNSURE)


def _codes(*verdicts: Verdict) -> list[str]:
    return sorted({one.code for one in _RULES if one.verdict in verdicts})


def of_series(name: str) -> Metric | None:
    """Return the metric that a series belongs to."""
    return next((one for one in METRICS if name in one.series), None)


_HEAD = """# Metrics

Written by `python -m threelane.operations.catalogue > docs/metrics.md`; change
[the catalogue](../operations/catalogue.py).

The exporter tells what is true of the whole fleet, from Redis; run one. Every other process tells of itself, and what
several tell is summed up: `sum by (lane) (rate(threelane_claimed_total[5m]))`. Besides, each has the `process_` and
`python_` metrics of the Prometheus client. Alerts: [the runbook](runbook.md).
"""
_TAIL = f"""
## How many series

However many messages, producers, cost centres and codes there are: the exporter tells below {MOST_SERIES_OF_EXPORTER:,}
series, and each other process below {MOST_SERIES_OF_PROCESS:,}. A test holds both to it. A value keeps the series that
it once had until the exporter is started anew, so that no counter falls. A scrape of the exporter reads as much with a
million messages as with none: `python -m bench.exporter`."""


def document() -> Iterator[str]:
    """Yield the lines of docs/metrics.md."""
    yield _HEAD
    for where in Where:
        yield f"## {where.capitalize()}\n"
        yield "| metric | type | labels | meaning | answers |\n|---|---|---|---|---|"
        for one in METRICS:
            if where in one.where:
                labels = ", ".join(f"`{label}`" for label in one.labels)
                series = f"{one.name}_total" if one.type is COUNTER else one.name
                yield f"| `{series}` | {one.type} | {labels} | {one.meaning} | {one.question} |"
        yield ""
    yield "## Labels\n"
    yield "Nothing else is ever a label: no id, no number, no text, no sender.\n"
    yield "| label | meaning | values | besides |\n|---|---|---|---|"
    for name, label in LABELS.items():
        values = ", ".join(f"`{value}`" for value in sorted(label.known) if value)
        besides = f"at most {label.others} more, and `{OTHER}`" if label.others else ""
        yield f"| `{name}` | {label.meaning} | {values} | {besides} |"
    yield _TAIL


def main() -> None:
    """Print the document."""
    print("\n".join(document()))


if __name__ == "__main__":
    main()
