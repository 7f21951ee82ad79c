"""Catalogue: every metric of every process, its labels and their values, and the question it answers.

``python -m threelane.operations.catalogue > docs/metrics.md`` generates the page.  Tests compare the catalogue with
what the processes expose.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple

from threelane.contract.accounts.account import DEFAULT, MOST_ACCOUNTS
from threelane.contract.gateways import declared
from threelane.contract.refusal import Code, Owner
from threelane.operations.age import CAUSES
from threelane.runtime.connections import Closed
from threelane.store import inbox, keys, limits, replies
from threelane.store.diverted import Why
from threelane.store.events import Route
from threelane.store.states import Status
from threelane.worker.account import hold
from threelane.worker.fetch.nudge import NudgeProblem
from threelane.worker.gateway import breaking, tables
from threelane.worker.gateway.breaker import FAILURES
from threelane.worker.gateway.outcome import OutcomeKind
from threelane.worker.inbound import media
from threelane.worker.inbound.report import Foreign
from threelane.worker.policy.legacy import TRANSPORT
from threelane.worker.policy.ours import MEANINGS, OURS
from threelane.worker.policy.rule import Scope, Verdict
from threelane.worker.process.internal_error import FaultStep
from threelane.worker.receipt.receipt import ReceiptResult
from threelane.worker.upkeep import duties
from threelane.worker.webhooks import dispatcher
from threelane.worker.webhooks.post import PostVerdict

ACCOUNT = "account"
MOST = 50  # values of a label with an open set of values; the rest is summed as "other"
OTHER = "other"
MOST_SERIES_OF_EXPORTER = 3_000
MOST_SERIES_OF_PROCESS = 1_000
SERIES_OF_ACCOUNT = 350


class Type(StrEnum):
    """The Prometheus metric types in use."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Where(StrEnum):
    """The kind of process that exposes a metric; queries sum over its processes."""

    EXPORTER = "exporter"
    WORKER = "worker"
    CALLBACKS = "callbacks"
    WEBHOOKS = "webhooks"


class Label(NamedTuple):
    """A label: its known values, and how many others it may have."""

    meaning: str
    known: frozenset[str] = frozenset()
    others: int = 0  # at most this many, and "other"


class Metric(NamedTuple):
    """One family of series."""

    name: str
    type: Type
    where: tuple[Where, ...]
    labels: tuple[str, ...]
    meaning: str  # also the help text that the process exposes
    question: str

    def labels_of(self, where: Where) -> tuple[str, ...]:
        """Return the labels of its series in a kind of process; a worker adds its account to each."""
        return (ACCOUNT, *self.labels) if where is Where.WORKER and ACCOUNT not in self.labels else self.labels

    @property
    def series(self) -> frozenset[str]:
        """The names of its series in queries."""
        match self.type:
            case Type.COUNTER:
                return frozenset({f"{self.name}_total"})
            case Type.HISTOGRAM:
                return frozenset({f"{self.name}_bucket", f"{self.name}_count", f"{self.name}_sum"})
        return frozenset({self.name})


_RULES = (*tables.rules(), *TRANSPORT.rules.values(), TRANSPORT.otherwise, *OURS.rules.values())
REPLIES = frozenset({"stop", "start", "help", "near_stop", "looks_like_stop"})
_OURS = {*MEANINGS, "expired", "suppressed", hold.BY_HAND}
CODES = frozenset({rule.code for rule in _RULES} | {code.value for code in Code} | _OURS)
UNLISTED = frozenset({one.code for table in tables.each() for one in (*table.by_hundred.values(), table.otherwise)})
PATHS = frozenset(path for gateway in declared().values() for path in gateway.callbacks)
ROUNDS = frozenset(duty.name for duty in (*duties.DUTIES, *dispatcher.DUTIES))

LIMITED = ("recipient", "same_text", "prefix", "country", "producer")

LABELS = {
    ACCOUNT: Label(
        f"the account at the gateway, by its name in the accounts file; `{DEFAULT}` is the account of the environment",
        frozenset({DEFAULT}),
        MOST_ACCOUNTS,
    ),
    "lane": Label("the lane", frozenset(map(str, keys.LANES))),
    "status": Label("a state of a message; see the delivery guarantee", frozenset(Status)),
    "code": Label(
        "a code of a policy table, or one of Threelane's own; an operator's policy file may add some", CODES, MOST
    ),
    "owner": Label("who can fix it", frozenset(Owner)),
    "reason": Label("the policy table's name for a code", frozenset(rule.reason for rule in _RULES) | {""}, MOST),
    "outcome": Label("how the attempt ended", frozenset(OutcomeKind)),
    "gateway": Label("the API that is used", frozenset(declared())),
    "scope": Label(
        "what is affected: the account, a lane, a gateway that does not answer, or senders or prefixes (only how many, "
        "not which); for a budget, its cost centre or producer",
        frozenset({*Scope, *(f"lane:{lane}" for lane in keys.LANES), "lane", breaking.SCOPE}),
        MOST,
    ),
    "period": Label("the period of a budget", frozenset({"day", "month"})),
    "cost_centre": Label("the cost centres with the highest charges", frozenset({"none"}), MOST),
    "producer": Label("the producers with the highest charges", frozenset({"none"}), MOST),
    "country": Label("the countries with the highest charges", frozenset({"none"}), MOST),
    "cause": Label("what a message waits for", frozenset(CAUSES)),
    "why": Label("why an account could not send", frozenset(Why)),
    "limit": Label("the limit for which a connection was closed: see docs/security.md", frozenset(Closed)),
    "limited": Label("what the limit concerns", frozenset(LIMITED)),
    "action": Label(
        "what happened to the messages; of a run: whether its prefix was put on hold",
        frozenset({"refused", "deferred", limits.ALARM, limits.HOLD}),
    ),
    "word": Label("what a reply means", REPLIES | {OTHER}),
    "route": Label("how the producer of a reply was found; inbox: it was not", frozenset(Route)),
    "removed_by": Label("what removed the reply", frozenset(inbox.Removal)),
    "source": Label("what added the entry", frozenset({"STOP", "operator", "import"}), MOST),
    "refusal": Label("why a login was refused", frozenset({"wrong_key", "no_right"})),
    "kind": Label("the first half of the file's type", frozenset(media.KINDS)),
    "path": Label("the last part of the callback's address", PATHS),
    "whose": Label("whose message it is", frozenset(Foreign)),
    "presented": Label("what the callback had", frozenset({"missing", "wrong"})),
    "credential": Label("what a callback presented", frozenset({"secret", "password"})),
    "used": Label("the current one, or the one before it", frozenset({"current", "previous"})),
    "reply": Label("an error reply of Redis", frozenset(replies.BY_PREFIX)),
    "round": Label("the housekeeping round", ROUNDS),
    "step": Label("the step that failed; `record`: a script found a damaged record", frozenset(FaultStep)),
    "problem": Label("why an entry of a queue is no nudge", frozenset(NudgeProblem)),
    "result": Label(
        "the result",
        frozenset(
            {*ReceiptResult, "adopted", "queued", "ask", "dead"}
            | {"told", "accepted", "refused", "incomplete", "part", "dropped", *REPLIES, *PostVerdict, *breaking.Probe}
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
    Metric("threelane_redis_up", GAUGE, _EXPORTER, (), "Whether Redis answered this scrape in time",
           "Is Redis up? While it is down or frozen, the exporter reports nothing else."),
    Metric("threelane_redis_writable", GAUGE, _EXPORTER, (), "Whether Redis accepted a write at this scrape",
           "Can workers write? 0: a replica, a disk error; see threelane check. At the memory ceiling it stays 1: "
           "messages are sent, and none is accepted (threelane_redis_memory_share)."),
    Metric("threelane_scrape_parts_missing", GAUGE, _EXPORTER, (),
           "Parts of this scrape that are missing because a key of Redis is of another type",
           "Did another program write to this Redis? threelane check names the keys."),
    Metric("threelane_lane_depth", GAUGE, _EXPORTER, ("account", "lane"), "Due messages that no worker has claimed",
           "How many messages wait?"),
    Metric("threelane_lane_oldest_seconds", GAUGE, _EXPORTER, ("account", "lane"),
           "Age of the oldest message that is due and not sent",
           "How long has the oldest message waited, wherever it is? Look at this first."),
    Metric("threelane_waiting", GAUGE, _EXPORTER, ("account", "lane", "cause"), "Messages that are not sent yet",
           "What do messages wait for: their lane, a hold, a retry, a look-up?"),
    Metric("threelane_messages", GAUGE, _EXPORTER, ("account", "status"), "Messages in a non-final state",
           "Where are the messages now?"),
    Metric("threelane_paused_messages", GAUGE, _EXPORTER, ("lane",), "Waiting messages of paused batches",
           "How much waits for an operator to resume its batch?"),
    Metric("threelane_oldest_pause_seconds", GAUGE, _EXPORTER, (),
           "How long the oldest pause of a batch lasts; 0: none", "Was a paused batch forgotten?"),
    Metric("threelane_expired_paused", COUNTER, _EXPORTER, ("account", "lane"),
           "Messages that expired while their batch was paused", "Does a pause cost messages?"),
    Metric("threelane_accepted", COUNTER, _EXPORTER, ("account", "lane"),
           "Messages accepted", "How much traffic comes in?"),
    Metric("threelane_repeated", COUNTER, _EXPORTER, ("account", "lane"),
           "Messages submitted again with the same client id",
           "Do producers retry because they get no response?"),
    Metric("threelane_parts", COUNTER, _EXPORTER, ("account", "lane"),
           "Message parts accepted", "How much will be charged?"),
    Metric("threelane_opt_out_lines", COUNTER, _EXPORTER, ("account", "lane"),
           "Accepted messages whose text got an opt-out line",
           "Do newsletters have the line?"),
    Metric("threelane_opt_out_parts", COUNTER, _EXPORTER, ("account", "lane"), "Message parts that opt-out lines cost",
           "What does the line cost?"),
    Metric("threelane_refused", COUNTER, _EXPORTER, ("code",), "Messages refused at accept",
           "What are producers getting wrong?"),
    Metric("threelane_new_countries", GAUGE, _EXPORTER, (),
           "Countries that got their first message within a day, and that no operator allowed",
           "Do messages go where they never went? threelane countries list names the countries and producers."),
    Metric("threelane_limited", COUNTER, _EXPORTER, ("limited", "action"), "Messages over a limit at accept",
           "Does one number, prefix, country or producer get more than usual? See limits.md."),
    Metric("threelane_neighbour_runs", COUNTER, _EXPORTER, ("action",), "Runs of neighbouring numbers in lane 1",
           "Is somebody pumping traffic to numbers of their own?"),
    Metric("threelane_moved", COUNTER, _EXPORTER, ("account", "lane", "status"), "Messages that entered a state",
           "How many are sent, delivered, undelivered?"),
    Metric("threelane_workers", GAUGE, _EXPORTER, ("account",), "Workers that reported within 20 seconds",
           "Are workers running?"),
    Metric("threelane_workers_of_lane_1", GAUGE, _EXPORTER, ("account",), "Reporting workers that fetch lane 1",
           "Are login codes being sent?"),
    Metric("threelane_workers_worth_having", GAUGE, _EXPORTER, ("account",),
           "Number of workers that the backlog justifies",
           "Would more workers help? Input for an autoscaler."),
    Metric("threelane_drain_minutes", GAUGE, _EXPORTER, ("account",),
           "Minutes to drain the backlog at the allowed rate",
           "When will the backlog be gone?"),
    Metric("threelane_redis_memory_share", GAUGE, _EXPORTER, (), "Fraction of its memory limit that Redis uses",
           "How close is 0.9, where intake stops?"),
    Metric("threelane_accept_to_gateway_seconds", HISTOGRAM, _WORKER, ("lane",),
           "From accept, or from the due time, to the first gateway call", "Are login codes fast?"),
    Metric("threelane_gateway_call_seconds", HISTOGRAM, _WORKER, ("gateway",), "Duration of one gateway call",
           "Is the gateway slow?"),
    Metric("threelane_calls_under_way", GAUGE, _WORKER, (), "Gateway calls in progress in this process",
           "Is a worker at its connection limit?"),
    Metric("threelane_claimed", COUNTER, _WORKER, ("lane",), "Messages claimed by this process",
           "Which worker does the work, and for which lane?"),
    Metric("threelane_released", COUNTER, _WORKER, ("lane",),
           "Due messages that this process put on their lane", "Are scheduled messages released?"),
    Metric("threelane_deferred", COUNTER, _WORKER, ("lane",),
           "Messages that this process deferred until their window opens", "How many wait for a sending window?"),
    # what went wrong, and who owns it?
    Metric("threelane_attempts", COUNTER, _WORKER, ("lane", "outcome", "reason"),
           "Attempts of this process by lane, outcome and policy reason", "How does the gateway respond?"),
    Metric("threelane_alarms", COUNTER, _BOTH, ("code", "owner"),
           "Responses that need attention, by rule and owner",
           "Did the gateway send an unlisted code, or is there a bug?"),
    Metric("threelane_internal_errors", COUNTER, (*_BOTH, Where.WEBHOOKS), ("step",),
           "Exceptions of Threelane's own code, or of an added gateway, at one message, by the step that failed",
           "Does a message make our code fail?"),
    Metric("threelane_unreadable_nudges", COUNTER, _WORKER, ("problem",),
           "Entries of the lanes' queues that this process dropped because they are no nudges, by problem",
           "Does something else write to the broker?"),
    Metric("threelane_on_hold", GAUGE, _EXPORTER, ("account", "scope", "code"), "Active holds by scope and code",
           "What is stopped, and why? Of senders and prefixes, every code but by_hand is inferred."),
    Metric("threelane_breaker_open", GAUGE, _EXPORTER, ("account",),
           "Breakers that are open: nothing is sent to their gateway", "Does the gateway answer?"),
    Metric("threelane_breaker_openings", COUNTER, _EXPORTER, ("account", "outcome"),
           "Times the breaker opened, by the last failure", "How often does the gateway stop answering, and how?"),
    Metric("threelane_gateway_probes", COUNTER, _EXPORTER, ("account", "result"),
           "Probes of a gateway that did not answer", "Is it being probed?"),
    Metric("threelane_workers_at_fault", GAUGE, _EXPORTER, ("account",),
           "Reporting workers that send nothing for a reason of their own",
           "Does a worker have a wrong address, or no network?"),
    Metric("threelane_workers_not_ready", GAUGE, _EXPORTER, ("account",),
           "Reporting workers that claim nothing yet, as after a refused login",
           "Does the gateway refuse a worker's credentials?"),
    Metric("threelane_held", COUNTER, _EXPORTER, ("account", "scope"), "Holds placed",
           "Has anything been on hold unnoticed?"),
    Metric("threelane_hold_probes", COUNTER, _EXPORTER, ("account", "scope"), "Messages that tested an inferred hold",
           "Is a sender or a prefix on hold still refused?"),
    Metric("threelane_holds_healed", COUNTER, _EXPORTER, ("account", "scope"),
           "Inferred holds that an accepted message lifted", "Do senders and prefixes recover without an operator?"),
    Metric("threelane_retried", COUNTER, _EXPORTER, ("account", "lane", "code"), "Failed attempts that will be retried",
           "Which codes cost time?"),
    Metric("threelane_dead", COUNTER, _EXPORTER, ("account", "code", "owner"), "Messages that became dead letters",
           "What was not sent, and who can fix it?"),
    Metric("threelane_erased", COUNTER, _EXPORTER, ("account", "lane"), "Messages whose number and text were erased",
           "Are messages erased as required?"),
    Metric("threelane_left_to_newer", COUNTER, _EXPORTER, ("account", "lane"),
           "Times a worker left a message to a newer worker",
           "Do producers use features that only newer workers support?"),
    Metric("threelane_redriven", COUNTER, _EXPORTER, ("account", "lane"), "Dead letters put back on their lane",
           "Were dead letters redriven?"),
    Metric("threelane_in_doubt", COUNTER, _EXPORTER, ("account", "lane", "code"),
           "Attempts that left a message in doubt",
           "Are gateway responses lost?"),
    Metric("threelane_verified_refusals", COUNTER, _EXPORTER, ("account", "lane", "code"),
           "Temporary refusals that are looked up before their retry",
           "How often does the gateway report an internal error?"),
    Metric("threelane_returned", COUNTER, _EXPORTER, ("account", "lane", "code"),
           "Accepted messages that the gateway then refused for the account, back on their lane",
           "How many messages are sent again, once, after a lack of credit or a limit?"),
    Metric("threelane_diverted", COUNTER, _EXPORTER, ("account", "lane", "why"),
           "Unsent messages of an account that could not send, taken over by its stand-by",
           "How much did the stand-by take, and why?"),
    Metric("threelane_taken_over", COUNTER, _EXPORTER, ("account", "lane", "why"),
           "Unsent messages that a stand-by took over",
           "What does this account send for others?"),
    Metric("threelane_reported_by_both", COUNTER, _EXPORTER, ("account", "lane"),
           "Reports on a message from the account that it left unsent: two gateways may have it",
           "Did a gateway take what it refused?"),
    Metric("threelane_reopened_doubts", COUNTER, _EXPORTER, ("account", "lane"),
           "Sent messages that the gateway no longer knows",
           "Does the gateway deny messages that it accepted?"),
    Metric("threelane_renamed", COUNTER, _EXPORTER, ("account", "lane"),
           "Sent messages that the gateway knows by another of its ids", "Are responses mixed up?"),
    Metric("threelane_hidden_samples", COUNTER, _EXPORTER, ("account",),
           "Accepted messages that no look-up found within the longest grace period", "Can look-ups be relied on?"),
    Metric("threelane_look_up_delay_seconds", GAUGE, _EXPORTER, ("account",),
           "Largest recent time until a look-up found an accepted message", "How soon do look-ups find messages?"),
    Metric("threelane_resolved_doubts", COUNTER, _EXPORTER, ("account", "status"),
           "Messages in doubt that no look-up found, by new state", "What became of messages in doubt?"),
    Metric("threelane_unknown", COUNTER, _EXPORTER, ("account", "code", "owner"),
           "Messages whose outcome will never be known",
           "How many have no known outcome?"),
    Metric("threelane_lapsed_leases", COUNTER, _EXPORTER, ("account", "lane"),
           "Attempts whose worker died before they finished",
           "Do workers crash?"),
    Metric("threelane_unpublished", COUNTER, _EXPORTER, ("account", "lane"),
           "Messages whose nudge the broker did not take; workers find them",
           "Can producers and workers publish to the broker?"),
    Metric("threelane_found_without_nudge", COUNTER, _EXPORTER, ("account", "lane"),
           "Messages that a worker claimed by a look, without a nudge",
           "Does the broker deliver nudges?"),
    Metric("threelane_swept_messages", COUNTER, _EXPORTER, ("account", "lane"),
           "Messages whose nudge was lost and that no look claimed",
           "Do looks fail? It should stay 0."),
    Metric("threelane_swept_again", COUNTER, _EXPORTER, ("account", "lane"),
           "Messages that the sweep found for the second time",
           "Do messages stay in a lane unnoticed? It should stay 0."),
    Metric("threelane_cancelled", COUNTER, _EXPORTER, ("account", "lane"), "Messages cancelled by a caller",
           "How many were cancelled?"),
    Metric("threelane_late", COUNTER, _EXPORTER, ("account", "lane"), "Messages of lane 1 without a receipt in time",
           "Do login codes arrive?"),
    Metric("threelane_settled_elsewhere", COUNTER, _WORKER, (),
           "Attempts whose message was already settled by the time they finished", "Are leases too short?"),
    Metric("threelane_lapsed", COUNTER, _WORKER, (), "Leases of dead workers that this process found",
           "Which worker cleans up after crashes?"),
    Metric("threelane_resolved", COUNTER, _WORKER, ("result",),
           "Messages in doubt that this process looked up, by result",
           "Do look-ups find anything?"),
    Metric("threelane_polled", COUNTER, _WORKER, (),
           "Messages that this process looked up because no receipt came", "Are receipts missing?"),
    Metric("threelane_swept", COUNTER, _WORKER, ("lane",), "Messages whose lost nudge this process found",
           "Which worker found them?"),
    Metric("threelane_redis_refused", COUNTER, (Where.WORKER, Where.CALLBACKS, Where.WEBHOOKS), ("reply",),
           "Commands that failed with an error reply of Redis, by reply",
           "Does Redis refuse commands, and why? See redis-errors.md."),
    Metric("threelane_housekeeping_failed", COUNTER, (Where.WORKER, Where.WEBHOOKS), ("round",),
           "Housekeeping rounds that failed because of Redis", "Which round is stuck?"),
    Metric("threelane_connections_closed", COUNTER, _BOTH, ("limit",),
           "Connections that the endpoint closed to keep its limits, by limit",
           "Does somebody hold connections open? Up to a few a minute are slow or idle clients."),
    Metric("threelane_receipts", COUNTER, _BOTH, ("account", "result"), "Status callbacks by result",
           "Do receipts arrive, and do they match?"),
    Metric("threelane_foreign_statuses", COUNTER, (Where.CALLBACKS,), ("path", "whose"),
           "Status callbacks of messages that are not Threelane's, or of another account than their address",
           "Does another application use the account (`other_application`)? Does Clickatell have the callback "
           "address of another account (`other_account`)? These are acknowledged and ignored."),
    Metric("threelane_console_logins_refused", COUNTER, _EXPORTER, ("refusal",), "Refused logins at the console",
           "Does somebody try keys at the console?"),
    # recipients
    Metric("threelane_callback_credentials", COUNTER, (Where.CALLBACKS,), ("account", "credential", "used"),
           "Genuine callbacks by account, and by the secret and password they used",
           "Does Clickatell still use the previous one, or can it be removed?"),
    Metric("threelane_callback_passwords_refused", COUNTER, (Where.CALLBACKS,), ("account", "presented"),
           "Callbacks at the right address that were refused for their user and password, by account",
           "Does Clickatell have THREELANE_CALLBACK_USER and _PASSWORD? Without them, no receipt is stored."),
    Metric("threelane_replies", COUNTER, (Where.CALLBACKS,), ("result",),
           "Replies from recipients by result", "Do replies arrive?"),
    Metric("threelane_reply_media", COUNTER, (Where.CALLBACKS,), ("kind",),
           "Files that came with replies, which are not kept, by kind", "Do recipients send pictures or recordings?"),
    Metric("threelane_replies_told", COUNTER, _EXPORTER, ("account", "word"),
           "Replies from recipients, by what they mean",
           "Do recipients opt out? near_stop: suppressed for a text such as \"stop please\"; looks_like_stop: only "
           "reported."),
    Metric("threelane_replies_routed", COUNTER, _EXPORTER, ("account", "route"),
           "Replies by how the producer that gets them was found", "Do replies reach the producers they are for?"),
    Metric("threelane_replies_unassigned", GAUGE, _EXPORTER, (), "Replies in the inbox: they belong to no producer",
           "Does an operator have to assign replies?"),
    Metric("threelane_replies_removed_unread", COUNTER, _EXPORTER, ("removed_by",),
           "Replies that left the inbox before an operator assigned or dismissed them",
           "Are replies lost? newer: the inbox was full; age: they were older than THREELANE_ERASE_AFTER_DAYS."),
    Metric("threelane_stop_confirmations", COUNTER, _EXPORTER, ("account", "result"),
           "Confirmations of a STOP, by result",
           "Is each STOP confirmed once, in time? Only if THREELANE_STOP_CONFIRMATION is set."),
    Metric("threelane_suppressions", COUNTER, _EXPORTER, ("source",), "Entries added to the suppression list",
           "What adds numbers to the list?"),
    Metric("threelane_suppressions_lifted", COUNTER, _EXPORTER, (), "Entries removed from the suppression list",
           "Are numbers removed from the list?"),
    Metric("threelane_suppressed_numbers", GAUGE, _EXPORTER, (), "Numbers on the suppression list",
           "How many numbers are suppressed?"),
    Metric("threelane_suppressed_misspelt", GAUGE, _EXPORTER, (),
           "Suppressed numbers under a former spelling, at the last hourly count",
           "Is threelane suppress migrate still to be run?"),
    Metric("threelane_bypassed", COUNTER, _EXPORTER, ("account", "lane"),
           "Legal notices that bypassed the suppression list", "Is the right to bypass used with care?"),
    # money
    Metric("threelane_balance_credits", GAUGE, _EXPORTER, ("account",), "Balance at the last reading",
           "How many credits were left at the last reading?"),
    Metric("threelane_balance_age_seconds", GAUGE, _EXPORTER, ("account",), "Age of the last balance reading",
           "Is the balance current?"),
    Metric("threelane_balance_unread", GAUGE, _EXPORTER, ("account",), "1: the last balance reading failed",
           "Can the balance be read?"),
    Metric("threelane_left_credits", GAUGE, _EXPORTER, ("account",), "Balance minus what was claimed since it was read",
           "How many credits are left now?"),
    Metric("threelane_committed_credits", GAUGE, _EXPORTER, ("account", "lane"),
           "Estimated cost of all waiting messages",
           "What will it cost to send everything that waits?"),
    Metric("threelane_short_credits", GAUGE, _EXPORTER, ("account",), "Credits missing to pay for all waiting messages",
           "How much must be topped up at least?"),
    Metric("threelane_burn_credits_per_hour", GAUGE, _EXPORTER, ("account",), "Credits charged per hour, recently",
           "How fast are credits spent?"),
    Metric("threelane_hours_left", GAUGE, _EXPORTER, ("account",),
           "Hours until the balance runs out", "When does it run out?"),
    Metric("threelane_drift_credits", GAUGE, _EXPORTER, ("account",), "Credits spent without a known charge",
           "Does something else spend from the account? Are charges missing?"),
    Metric("threelane_lane_reserved", GAUGE, _EXPORTER, ("account", "lane"),
           "1: the lane waits because credits are reserved for higher lanes",
           "Which lanes wait because of the reserve?"),
    Metric("threelane_reserved", COUNTER, _EXPORTER, ("account", "lane"),
           "Times a lane waited because credits are reserved for higher lanes",
           "Has a lane waited unnoticed?"),
    Metric("threelane_charged_credits", COUNTER, _EXPORTER, ("account", "lane", "cost_centre"), "Credits charged",
           "How much does each lane and cost centre spend?"),
    Metric("threelane_charged_parts", COUNTER, _EXPORTER, ("account", "lane"), "Message parts with a known charge",
           "What does a part cost?"),
    Metric("threelane_charged_by_producer_credits", COUNTER, _EXPORTER, ("account", "producer"), "Credits charged",
           "Which producers spend the credits?"),
    Metric("threelane_charged_by_country_credits", COUNTER, _EXPORTER, ("account", "country"), "Credits charged",
           "Which countries are credits spent on?"),
    Metric("threelane_budget_credits", GAUGE, _EXPORTER, ("scope", "period"), "Budget limits",
           "Who may spend how much?"),
    Metric("threelane_budget_used_credits", GAUGE, _EXPORTER, ("scope", "period"),
           "Reserved and spent credits of budgets",
           "Whose budget is running out?"),
    # events for producers
    Metric("threelane_webhooks", COUNTER, _HOOKS, ("result",),
           "Webhook posts of this process by result: taken, failed, refused_address; dead: set aside after the last "
           "attempt; dropped: discarded because the producer's backlog was full",
           "Are the producers' webhooks accepting events?"),
    Metric("threelane_webhook_events", COUNTER, _HOOKS, (), "Events this process took from the stream",
           "Is the event stream read?"),
)
# fmt: on

BY_NAME = {one.name: one for one in METRICS}


def beforehand(metric: Metric, accounts: Sequence[str] = (DEFAULT,)) -> Iterator[tuple[str, ...]]:
    """Yield the label values exposed as 0 from the start: a counter that first appears as 1 shows no increase."""
    if ACCOUNT in metric.labels:
        yield from ((account, *values) for account in accounts for values in _beforehand(metric))
    else:
        yield from _beforehand(metric)


def _beforehand(metric: Metric) -> Iterator[tuple[str, ...]]:
    """Yield the same without the account."""
    lanes = [str(lane) for lane in keys.LANES]
    match metric.name:
        case "threelane_moved":
            yield from ((lane, status) for lane in lanes for status in Status)
        case "threelane_retried":
            yield from ((lane, code) for lane in lanes for code in _codes(Verdict.RETRY, Verdict.REAUTH))
        case "threelane_verified_refusals":
            yield from ((lane, one.code) for lane in lanes for one in _RULES if one.look_up_first)
        case "threelane_unknown":
            yield from (("in_doubt_again", "gateway"), ("worker_lost", "operator"), ("disowned", "gateway"))
        case "threelane_hidden_samples":
            yield ()
        case "threelane_in_doubt":
            yield from ((lane, code) for lane in lanes for code in _codes(Verdict.UNSURE))
        case "threelane_dead":
            yield from sorted({(one.code, one.owner) for one in _RULES if one.verdict not in _ALIVE})
        case "threelane_breaker_openings":
            yield from ((kind,) for kind in sorted(FAILURES))
        case "threelane_gateway_probes":
            yield from ((result,) for result in breaking.Probe)
        case "threelane_replies_routed":
            yield from ((route,) for route in Route)
        case "threelane_replies_removed_unread":
            yield from ((one,) for one in inbox.Removal)
        case "threelane_console_logins_refused":
            yield from (("wrong_key",), ("no_right",))
        case "threelane_refused":
            yield from ((code,) for code in Code)
        case "threelane_limited":
            yield from ((kind, action) for kind in LIMITED for action in ("refused", "deferred"))
        case "threelane_neighbour_runs":
            yield from ((limits.ALARM,), (limits.HOLD,))
        case "threelane_hold_probes" | "threelane_holds_healed":
            yield from ((Scope.PREFIX,), (Scope.SENDER,))
        case _ if metric.labels in (("lane",), (ACCOUNT, "lane")):
            yield from ((lane,) for lane in lanes)


_ALIVE = (Verdict.HOLD, Verdict.UNSURE)


def _codes(*verdicts: Verdict) -> list[str]:
    return sorted({one.code for one in _RULES if one.verdict in verdicts})


def of_series(name: str) -> Metric | None:
    """Return the metric of a series."""
    return next((one for one in METRICS if name in one.series), None)


_HEAD = """# Metrics

Generated by `python -m threelane.operations.catalogue > docs/metrics.md` from
[the catalogue](../operations/catalogue.py).

The exporter reads Redis and reports the whole fleet; run exactly one. Every other process reports only itself, so sum
over processes, as in `sum by (lane) (rate(threelane_claimed_total[5m]))`. Each process also exposes the `process_` and
`python_` metrics of the Prometheus client. Alerts: [the runbook](runbook.md).

Everything that belongs to an account at the gateway has the label `account`; an installation with one account has the
value `default`. Each account may have its own currency, so sum credits by account only. Dead letters, batches,
suppression and budgets are the same for all accounts: `threelane_messages{status="dead"}` has no account.
"""
_TAIL = f"""
## How many series

The exporter exposes fewer than {MOST_SERIES_OF_EXPORTER:,} series for the first account and as many at most for each
further one, and every other process fewer than {MOST_SERIES_OF_PROCESS:,}, for any number of messages, producers, cost
centres and codes; a test checks the limits. A further account that sends little adds some {SERIES_OF_ACCOUNT} series.
Once a label value has a series, it keeps it until the exporter restarts, so no counter decreases. The cost of a scrape
does not depend on the number of messages; to measure it, run `python -m bench.exporter`."""


def document() -> Iterator[str]:
    """Yield the lines of docs/metrics.md."""
    yield _HEAD
    for where in Where:
        yield f"## {where.capitalize()}\n"
        yield "| metric | type | labels | meaning | answers |\n|---|---|---|---|---|"
        for one in METRICS:
            if where in one.where:
                labels = ", ".join(f"`{label}`" for label in one.labels_of(where))
                series = f"{one.name}_total" if one.type is COUNTER else one.name
                yield f"| `{series}` | {one.type} | {labels} | {one.meaning} | {one.question} |"
        yield ""
    yield "## Labels\n"
    yield "There are no other labels. In particular, no label contains an id, a number, a text or a sender.\n"
    yield "| label | meaning | values | others |\n|---|---|---|---|"
    for name, label in LABELS.items():
        values = ", ".join(f"`{value}`" for value in sorted(label.known) if value)
        rest = "" if name == ACCOUNT else f", and `{OTHER}`"
        others = f"at most {label.others} more{rest}" if label.others else ""
        yield f"| `{name}` | {label.meaning} | {values} | {others} |"
    yield _TAIL


def main() -> None:
    """Print the document."""
    print("\n".join(document()))


if __name__ == "__main__":
    main()
