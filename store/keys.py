"""Keys: every Redis key and every name on the broker.

``KINDS`` is the table of keys: what each holds and when it expires.  ``key`` builds their names.  The fields of a
record are in record.py, the names of counts in tally.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from functools import cache
from hashlib import blake2b
from typing import NamedTuple, NewType, cast

from threelane.store.states import Status

LANES = (1, 2, 3)
PREFIX = "tl:"

RecordKey = NewType("RecordKey", str)
IndexKey = NewType("IndexKey", str)  # a sorted set of the ids of messages
ApiRateKey = NewType("ApiRateKey", str)
BreakerKey = NewType("BreakerKey", str)
WorkerKey = NewType("WorkerKey", str)
ReplyKey = NewType("ReplyKey", str)
ReplyPartsKey = NewType("ReplyPartsKey", str)
ConfirmedKey = NewType("ConfirmedKey", str)
DeliveriesKey = NewType("DeliveriesKey", str)  # pending or undelivered
DeliveryKey = NewType("DeliveryKey", str)
TextedKey = NewType("TextedKey", str)
BatchKey = NewType("BatchKey", str)  # of a batch itself, or of its rows
StreamKey = NewType("StreamKey", str)  # of events, or of the inbox
WaitingKey = NewType("WaitingKey", str)  # these two of another account than that of a script
TallyKey = NewType("TallyKey", str)


class Key(StrEnum):
    """The name of a key after ``tl:``; scripts name keys by these members."""

    RECORD = "m"
    DUE = "due"
    QUEUED = "queued"
    PAUSED = "paused"
    PAUSED_ORDER = "paused-order"
    PAUSES = "pauses"
    LEASES = "leases"
    DOUBT = "doubt"
    DEAD = "dead"
    DAMAGED = "damaged"
    AWAITING = "awaiting"
    EXPECTED = "expected"
    LATE = "late"
    VISIBILITY = "visibility"
    OWNERS = "owners"
    WAITING = "waiting"
    STOPPING = "stopping"
    TALLY = "tally"
    EVENTS = "events"
    HOLDS = "holds"
    BREAKER = "breaker"
    SUSPECTS = "suspects"
    RATE = "rate"
    CLAIMED = "claimed"
    WORKER = "worker"
    WORKERS = "workers"
    LANE_1_WORKER = "lane-1-worker"
    SESSION = "session"
    LOGIN = "login"
    SWEEP = "sweep"
    SWEEPING = "sweeping"
    NUDGES = "nudges"
    STAND_BY_TURN = "stand-by-turn"
    ABSENT = "absent"
    ERASING = "erasing"
    COPYING = "copying"
    SUPPRESSED = "suppressed"
    REACH = "reach"
    AUDIT = "audit"
    ACCOUNTS = "accounts"
    HEARD = "heard"
    PRODUCERS = "producers"
    RIGHTS = "rights"
    API_KEYS = "api-keys"
    API_RATE = "api-rate"
    API_USED = "api-used"
    CEILING = "ceiling"
    CONSOLE = "console"
    CONSOLE_TRIES = "console-tries"
    WINDOWS = "windows"
    HOLIDAYS = "holidays"
    TEMPLATES = "templates"
    OPT_OUT_LINES = "opt-out-lines"
    COUNTRIES = "countries"
    PRICES = "prices"
    BALANCE = "balance"
    BALANCE_TURN = "balance:turn"
    BALANCE_PROBE = "balance:probe"
    ACCOUNT_REQUESTS = "account-requests"
    ACCOUNT_ANSWER = "account-answer"
    BURN = "burn"
    CENTRES = "centres"
    STORED = "stored"
    BUDGETS = "budgets"
    SPENT = "spent"
    REPLY = "reply"
    REPLY_PARTS = "reply-parts"
    REPLY_HALVES = "reply-halves"
    REPLY_OWNERS = "reply-owners"
    TEXTED = "texted"
    INBOX = "inbox"
    CONFIRMATIONS = "confirmations"
    CONFIRMED = "confirmed"
    DELIVERIES = "deliveries"
    DELIVERY = "delivery"
    UNDELIVERED = "undelivered"
    BATCHES = "batches"
    BATCH = "batch"
    BATCH_ROWS = "batch-rows"
    LIMITS = "limits"
    LIMIT_COUNTS = "limit-counts"
    SAME_TEXT_A = "same-text-a"
    SAME_TEXT_B = "same-text-b"
    RECIPIENTS_A = "recipients-a"
    RECIPIENTS_B = "recipients-b"
    NEIGHBOURS_A = "neighbours-a"
    NEIGHBOURS_B = "neighbours-b"
    RUNS = "runs"
    BLOCKS_TO_HOLD = "blocks-to-hold"
    WRITE_CHECK = "write-check"
    PROBE = "probe"


class KeyKind(NamedTuple):
    """A row of the table of keys: Redis type, content, suffix of the name, expiry."""

    type: str
    holds: str
    suffix: str = ""  # what follows the name; "": there is only one such key
    expires: str = ""  # "": never
    by_account: bool = False  # one per account at the gateway; its name ends with @<account>, except the default's


# fmt: off
KINDS: dict[Key, KeyKind] = {
    Key.RECORD: KeyKind("hash", "the record of one message: Field; without its body after it was sent or ended",
                        "message id", "the retention after it was sent or ended"),
    Key.DUE: KeyKind("zset", "ids that wait for a time; score: when they are due, ms", "lane", by_account=True),
    Key.QUEUED: KeyKind("zset", "ids that are due and not claimed; score: when they were queued, ms", "lane",
                        by_account=True),
    Key.PAUSED: KeyKind("zset", "ids of paused batches; score: when their validity ends, ms", by_account=True),
    Key.PAUSED_ORDER: KeyKind("zset", "the same, by batch and in the order to be sent: <digest of the batch>:<lane>:"
                              "<since it waits, or when it is due, ms>:<id>", by_account=True),
    # a pause is of a batch, whose messages may be of several accounts; PAUSED and PAUSED_ORDER have those of each
    Key.PAUSES: KeyKind("hash", "digest of a paused batch -> JSON of its name, since when and by whom: pauses.py"),
    Key.LEASES: KeyKind("zset", "ids with an attempt in progress; score: when the lease expires, ms", "lane",
                        by_account=True),
    Key.DOUBT: KeyKind("zset", "ids in doubt; score: when to query the gateway next, ms", "lane", by_account=True),
    # one list for operators, since a dead letter waits for nothing at the gateway; a redrive puts each in its account
    Key.DEAD: KeyKind("zset", "dead letters; score: since when, ms"),
    Key.DAMAGED: KeyKind("zset", "the latest 1,000 ids whose record was unreadable, for doctor; score: since when, ms"),
    Key.AWAITING: KeyKind("zset", "ids that were sent and have no final receipt; score: when to query the gateway, ms",
                          "lane", by_account=True),
    # one, like the events that follow from it: a message is late wherever it is, also when its account changes
    Key.EXPECTED: KeyKind("zset", "ids of lane 1 that may lack a final receipt; score: since when, ms"),
    Key.LATE: KeyKind("zset", "the same, as earlier versions write it after a send; score: when the event is due, ms"),
    Key.WAITING: KeyKind("zset", "messages off the plain path: <lane>:<cause>:<since, ms>:<id>, in this order",
                         by_account=True),
    # two accounts may give the same id to different messages
    Key.OWNERS: KeyKind("hash", "gateway id that an acceptance gave to a message -> the other message that has it",
                        "", "8 days", by_account=True),
    Key.VISIBILITY: KeyKind("hash", "how soon look-ups find what the gateway accepted: Sight", by_account=True),
    Key.STOPPING: KeyKind("zset", "ids that the gateway holds and is to stop; score: when to request it, ms",
                          by_account=True),
    # counts of an account are added up over accounts, but not split once they are one number
    Key.TALLY: KeyKind("hash", "counts of events, written by the scripts: Count", by_account=True),
    # producers read one stream, whichever account sent their messages
    Key.EVENTS: KeyKind("stream", "outcomes, replies and late messages for producers: EventField; the sweep trims it"),
    Key.HOLDS: KeyKind("hash", "holds: scope -> JSON of cause, since, until and evidence", by_account=True),
    Key.SUSPECTS: KeyKind("hash", "scope -> JSON of its failures so far, which may become a hold", "",
                          "minutes after the last failure", by_account=True),
    # its row among the holds is of the account, and both change together: two accounts with one login share neither
    Key.BREAKER: KeyKind("hash", "the breaker of an address and account at the gateway, which opened once: Breaking",
                         "fingerprint", "8 days after its last change", by_account=True),
    Key.RATE: KeyKind("hash", "the token buckets all workers share: Rate", by_account=True),
    Key.CLAIMED: KeyKind("hash", "lane -> when the latest of its claimed ids was queued, ms", by_account=True),
    # names of workers are of the installation; each serves one account
    Key.WORKER: KeyKind("hash", "a worker's last report: beat fetched lanes rate served gateway fault", "worker",
                        "a day"),
    Key.WORKERS: KeyKind("zset", "names of workers; score: when each reported last, ms"),
    Key.LANE_1_WORKER: KeyKind("string", "a worker that fetches lane 1 only", "", "when it stops reporting",
                               by_account=True),
    # as that of the breaker, the row that it belongs to is among the holds of the account
    Key.LOGIN: KeyKind("string", "the turn to repeat a refused login", "fingerprint", "at the next turn",
                       by_account=True),
    Key.SESSION: KeyKind("string", "the gateway session of workers with the same credentials, and its locks",
                         "api:fingerprint, and :renewing or :pinged", "with the session", by_account=True),
    # misspelt is only kept for the default account: the list of suppressed numbers is one for all
    Key.SWEEP: KeyKind("hash", "state of each lane at the last sweep: <lane>:mark, <lane>:empty; misspelt: suppressed "
                       "numbers under a former spelling, at the last hourly count", by_account=True),
    Key.SWEEPING: KeyKind("string", "lock: one sweep at a time", "", "before the next sweep", by_account=True),
    Key.NUDGES: KeyKind("hash", "messages without a nudge of the last 15 minutes: <kind>:<lane> -> how many; "
                        "<kind>:<lane>:at -> when the last, ms: missing.py", by_account=True),
    Key.STAND_BY_TURN: KeyKind("string", "lock: one worker of an account at a time takes over what waits in others",
                               "lane", "before the next", by_account=True),
    Key.ABSENT: KeyKind("hash", "account, or account:lane, without a worker that is ready -> since when, ms"),
    Key.ERASING: KeyKind("string", "lock: one erasure round per hour", "", "an hour"),
    Key.COPYING: KeyKind("string", "lock: one round of copying outcomes to batches per hour", "", "an hour"),
    # who must not get messages must not get them through another account either; so are limits, budgets and prefixes
    Key.SUPPRESSED: KeyKind("hash", "numbers that must not be sent to: MSISDN -> JSON list, see suppression.py"),
    Key.REACH: KeyKind("hash", "our number, or * -> which messages a STOP to it stops: reach.py"),
    Key.AUDIT: KeyKind("stream", "the latest 10,000 changes by operators: who, what, detail"),
    # producers have no accounts file; each message is accepted by the version of the routes that it was routed by
    Key.ACCOUNTS: KeyKind("hash", "the accounts and routes that the workers publish: AccountsField; absent while the "
                          "installation has one account"),
    # whether the callbacks of an account arrive shows only what came by its own address
    Key.HEARD: KeyKind("string", "when a callback endpoint last stored a report, ms; to within some seconds",
                       by_account=True),
    Key.PRODUCERS: KeyKind("hash", "name of a producer -> JSON of its rights and its webhook"),
    Key.RIGHTS: KeyKind("hash", "the same name -> JSON of what accept needs of it; without address and secret"),
    Key.API_KEYS: KeyKind("hash", "id of an API key -> JSON of its digest, producer and rights"),
    Key.API_USED: KeyKind("hash", "<id of an API key>:<start of a secret's digest> -> when it was last used, ms"),
    Key.CEILING: KeyKind("string", "the memory ceiling of Redis in bytes, 0 if it has none", "", "a minute"),
    Key.API_RATE: KeyKind("hash", "token bucket of an API key: Rate", "key id", "when it is full"),
    Key.CONSOLE: KeyKind("hash", "a login to the console: key csrf made said search number look", "login",
                         "12 hours"),
    Key.CONSOLE_TRIES: KeyKind("string", "refused logins to the console: logins.py",
                               "every, or address: or key: and a bucket", "an hour"),
    Key.WINDOWS: KeyKind("hash", "lane:2, lane:3 or tag:<tag> -> when its messages may be sent, as text"),
    Key.HOLIDAYS: KeyKind("hash", "<country, * for all>:<day> -> the name of a holiday, on which no window is open"),
    Key.TEMPLATES: KeyKind("hash", "<name>@<version> -> JSON of a template's text; <name> -> JSON of its last and "
                           "newest version: templates.py"),
    Key.OPT_OUT_LINES: KeyKind("hash", "lane:<lane> or tag:<tag> -> the line that is added to its texts"),
    Key.COUNTRIES: KeyKind("hash", "country -> JSON of its first message: FirstMessage; *: until when countries are "
                           "learned, ms"),
    # each account has its own contract with Clickatell
    Key.PRICES: KeyKind("hash", "country -> the last price of a part, millionths of a credit", by_account=True),
    Key.BALANCE: KeyKind("hash", "last report of the gateway: credits at error; less claims since: left",
                         by_account=True),
    Key.BALANCE_TURN: KeyKind("string", "lock: one balance query at a time", "", "before the next", by_account=True),
    Key.BALANCE_PROBE: KeyKind("string", "the same while the account has no credit", "", "10 seconds", by_account=True),
    Key.ACCOUNT_REQUESTS: KeyKind("zset", "JSON of operators' requests that a worker is to make; score: when each "
                                  "lapses, ms: account_requests.py", "", "half a minute", by_account=True),
    # request ids are random, so this needs no account
    Key.ACCOUNT_ANSWER: KeyKind("string", "JSON of the answer to one of them", "request id", "a minute"),
    Key.BURN: KeyKind("hash", "minute of Unix time -> credits charged in it; the last day", by_account=True),
    Key.CENTRES: KeyKind("hash", "centre:<name> -> since when its credits are counted; producer:<name> -> how many"),
    # it shares out the memory of Redis, which all accounts use; CENTRES, likewise, bounds what the counts take of it
    Key.STORED: KeyKind("hash", "producer -> how many of its messages wait to be sent; *: of all, -: without a name"),
    Key.BUDGETS: KeyKind("hash", "<scope>:<period> -> JSON of the limit"),
    Key.SPENT: KeyKind("hash", "scope -> credits reserved and charged in a day or month", "period", "40, 400 days"),
    Key.BATCHES: KeyKind("zset", "digests of all batches; score: when a message was last accepted into it, ms"),
    Key.BATCH: KeyKind("hash", "a batch: BatchField", "digest",
                       "400 days after its last message was accepted"),
    Key.BATCH_ROWS: KeyKind("hash", "a message id in octets -> tag of its subscriber, then its outcome; "
                            "= and an id -> its id of an earlier version: batches.py",
                            "digest", "THREELANE_BATCH_DAYS after its last message was accepted"),
    Key.LIMITS: KeyKind("hash", "<scope>:<period> -> JSON of an operator's limit: limits.py"),
    Key.LIMIT_COUNTS: KeyKind("hash", "the same names -> window, messages in it, messages deferred to the next"),
    Key.SAME_TEXT_A: KeyKind("hash", "person and checksum of a text -> id of its message and when; in turn with -b", "",
                             "three times the longest limit"),
    Key.SAME_TEXT_B: KeyKind("hash", "the same, of the turn before or after", "", "three times the longest limit"),
    Key.RECIPIENTS_A: KeyKind("hash", "lanes and person -> times of the latest messages; in turn with -b", "",
                              "three to six times the longest limit"),
    Key.RECIPIENTS_B: KeyKind("hash", "the same, of the turn before or after", "",
                              "three to six times the longest limit"),
    Key.NEIGHBOURS_A: KeyKind("hash", "a thousand numbers -> the last digits of those that lane 1 was sent to", "",
                              "15 minutes"),
    Key.NEIGHBOURS_B: KeyKind("hash", "the same, of the turn before or after", "", "15 minutes"),
    Key.RUNS: KeyKind("hash", "a thousand numbers -> JSON of a run of neighbouring ones: Run", "", "a day"),
    # a run of neighbours may go on in another account
    Key.BLOCKS_TO_HOLD: KeyKind("hash", "a thousand numbers -> since when claims are to hold them, ms, and the "
                                "accounts in which one did"),
    # two accounts may give the same id to different replies; a STOP is confirmed through the account that got it
    Key.REPLY: KeyKind("string", "marks a processed reply", "reply id", "8 days", by_account=True),
    Key.REPLY_PARTS: KeyKind("hash", "received parts of a long reply", "from:to:reference:total", "8 days",
                             by_account=True),
    Key.REPLY_HALVES: KeyKind("zset", "keys of incomplete replies; score: when to publish the received parts, ms",
                              by_account=True),
    Key.REPLY_OWNERS: KeyKind("hash", "<number of ours>, <number> <keyword> or * -> producer that gets its replies"),
    # the callbacks of an account have its replies, which answer what was sent through it
    Key.TEXTED: KeyKind("hash", "digest of a person, and our number -> producer that texted last that day: texted.py",
                        "day:bucket", "7 days", by_account=True),
    Key.INBOX: KeyKind("stream", "the latest 10,000 replies that belong to no producer: EventField; trimmed as events"),
    Key.CONFIRMATIONS: KeyKind("zset", "confirmations of a STOP to send, as JSON; score: when they expire, ms",
                               by_account=True),
    Key.CONFIRMED: KeyKind("string", "marks a number whose STOP was confirmed", "digest of the number", "a day"),
    Key.DELIVERIES: KeyKind("zset", "events to post to a webhook; score: when to try next, ms", "producer"),
    Key.DELIVERY: KeyKind("hash", "the same ids -> JSON of event and attempts", "producer"),
    Key.UNDELIVERED: KeyKind("zset", "events that a webhook never accepted; score: since when, ms", "producer"),
    Key.WRITE_CHECK: KeyKind("string", "written, read and deleted at once by check, doctor and the exporter", "",
                             "a minute"),
    Key.PROBE: KeyKind("string", "never exists: processes delete it, or set it if it exists, to find out whether Redis "
                       "accepts a write"),
}
# fmt: on
"""The table of keys."""


class Space(NamedTuple):
    """The cell of a cluster and the account at the gateway that keys belong to; "" if there is only one."""

    cell: str = ""
    account: str = ""


HERE = Space()
"""The space of the default account, whose keys have no suffix."""


@cache
def space_of(account: str) -> Space:
    """Return the space of an account; of "" that of the default account."""
    return Space(account=account) if account else HERE


def key(name: Key, suffix: str = "", space: Space = HERE) -> str:
    """Return a key; ``suffix`` follows its name, such as the id of a message."""
    begin, end = _ends(name, space)
    return begin + suffix + end


@cache
def _ends(name: Key, space: Space) -> tuple[str, str]:
    """Return what stands before and after the suffix of a key."""
    tag = f"{{{space.cell}}}:" if space.cell else ""
    account = _mark(space) if KINDS[name].by_account else ""
    return f"{PREFIX}{tag}{name}{':' if KINDS[name].suffix else ''}", account


def _mark(space: Space) -> str:
    """Return the end of the names that belong to an account."""
    return f"@{space.account}" if space.account else ""


def by_lane(name: Key, space: Space = HERE) -> dict[int, IndexKey]:
    """Return the keys of an index that each lane has its own of."""
    return {lane: IndexKey(key(name, str(lane), space)) for lane in LANES}


INDEXES = {
    Status.SCHEDULED: Key.DUE,
    Status.QUEUED: Key.QUEUED,
    Status.PAUSED: Key.PAUSED,
    Status.SENDING: Key.LEASES,
    Status.IN_DOUBT: Key.DOUBT,
    Status.DEAD: Key.DEAD,
    Status.SENT: Key.AWAITING,
}
"""The index of each state, one per lane except those of dead letters and paused messages; a final id is in none."""
_OF_ALL_LANES = (Status.SCHEDULED, Status.SENDING, Status.IN_DOUBT, Status.SENT)


class Names:
    """The names of all keys that a space has one of, or one per lane, and that belong to its account.

    No other module builds them: ``names(space).QUEUED[1]``.
    """

    def __init__(self, space: Space) -> None:
        """Build them; use ``names``, which builds them once."""
        self.DUE = by_lane(Key.DUE, space)
        self.QUEUED = by_lane(Key.QUEUED, space)
        self.LEASES = by_lane(Key.LEASES, space)
        self.DOUBT = by_lane(Key.DOUBT, space)
        self.AWAITING = by_lane(Key.AWAITING, space)
        self.PAUSED = IndexKey(key(Key.PAUSED, space=space))
        self.PAUSED_ORDER = key(Key.PAUSED_ORDER, space=space)
        self.WAITING = WaitingKey(key(Key.WAITING, space=space))
        self.STOPPING = key(Key.STOPPING, space=space)
        self.FORMER = {one: IndexKey(f"{PREFIX}{INDEXES[one]}{_mark(space)}") for one in _OF_ALL_LANES}
        """The indexes of all lanes that version 0.1 wrote for the default account; workers move their ids:
        worker/upkeep/adopt.py.  Those of other accounts are empty."""
        self.TALLY = TallyKey(key(Key.TALLY, space=space))
        self.HOLDS = key(Key.HOLDS, space=space)
        self.SUSPECTS = key(Key.SUSPECTS, space=space)
        self.RATE = key(Key.RATE, space=space)
        self.CLAIMED = key(Key.CLAIMED, space=space)
        self.SWEEP = key(Key.SWEEP, space=space)
        self.SWEEPING = key(Key.SWEEPING, space=space)
        self.NUDGES = key(Key.NUDGES, space=space)
        self.STAND_BY_TURN = {lane: key(Key.STAND_BY_TURN, str(lane), space) for lane in LANES}
        self.LANE_1_WORKER = key(Key.LANE_1_WORKER, space=space)
        self.VISIBILITY = key(Key.VISIBILITY, space=space)
        self.OWNERS = key(Key.OWNERS, space=space)
        self.PRICES = key(Key.PRICES, space=space)
        self.BALANCE = key(Key.BALANCE, space=space)
        self.BALANCE_TURN = key(Key.BALANCE_TURN, space=space)
        self.BALANCE_PROBE = key(Key.BALANCE_PROBE, space=space)
        self.BURN = key(Key.BURN, space=space)
        self.ACCOUNT_REQUESTS = key(Key.ACCOUNT_REQUESTS, space=space)
        self.REPLY_HALVES = key(Key.REPLY_HALVES, space=space)
        self.CONFIRMATIONS = key(Key.CONFIRMATIONS, space=space)
        self.HEARD = key(Key.HEARD, space=space)


@cache
def names(space: Space = HERE) -> Names:
    """Return the names of a space."""
    return Names(space)


OF_DEFAULT = names(HERE)
DUE, QUEUED, LEASES, DOUBT = OF_DEFAULT.DUE, OF_DEFAULT.QUEUED, OF_DEFAULT.LEASES, OF_DEFAULT.DOUBT
AWAITING, STOPPING, FORMER = OF_DEFAULT.AWAITING, OF_DEFAULT.STOPPING, OF_DEFAULT.FORMER
PAUSED, PAUSED_ORDER, WAITING = OF_DEFAULT.PAUSED, OF_DEFAULT.PAUSED_ORDER, OF_DEFAULT.WAITING
TALLY, HOLDS, SUSPECTS, RATE = OF_DEFAULT.TALLY, OF_DEFAULT.HOLDS, OF_DEFAULT.SUSPECTS, OF_DEFAULT.RATE
CLAIMED, SWEEP, SWEEPING = OF_DEFAULT.CLAIMED, OF_DEFAULT.SWEEP, OF_DEFAULT.SWEEPING
NUDGES, LANE_1_WORKER = OF_DEFAULT.NUDGES, OF_DEFAULT.LANE_1_WORKER
STAND_BY_TURN = OF_DEFAULT.STAND_BY_TURN
VISIBILITY, OWNERS, PRICES = OF_DEFAULT.VISIBILITY, OF_DEFAULT.OWNERS, OF_DEFAULT.PRICES
BALANCE, BALANCE_TURN, BALANCE_PROBE = OF_DEFAULT.BALANCE, OF_DEFAULT.BALANCE_TURN, OF_DEFAULT.BALANCE_PROBE
BURN, ACCOUNT_REQUESTS = OF_DEFAULT.BURN, OF_DEFAULT.ACCOUNT_REQUESTS
REPLY_HALVES, CONFIRMATIONS, HEARD = OF_DEFAULT.REPLY_HALVES, OF_DEFAULT.CONFIRMATIONS, OF_DEFAULT.HEARD
"""Those of the default account, for readers that know no other; no worker uses them (tests/unit/test_keys.py)."""

DEAD = key(Key.DEAD)
PAUSES = key(Key.PAUSES)
DAMAGED = key(Key.DAMAGED)
CEILING = key(Key.CEILING)
ABSENT = key(Key.ABSENT)
ERASING = key(Key.ERASING)
COPYING = key(Key.COPYING)
SUPPRESSED = key(Key.SUPPRESSED)
EVENTS = StreamKey(key(Key.EVENTS))
EXPECTED = key(Key.EXPECTED)
LATE = key(Key.LATE)
REACH = key(Key.REACH)
AUDIT = key(Key.AUDIT)
ACCOUNTS = key(Key.ACCOUNTS)
PRODUCERS = key(Key.PRODUCERS)
RIGHTS = key(Key.RIGHTS)
API_KEYS = key(Key.API_KEYS)
API_USED = key(Key.API_USED)
WINDOWS = key(Key.WINDOWS)
HOLIDAYS = key(Key.HOLIDAYS)
TEMPLATES = key(Key.TEMPLATES)
OPT_OUT_LINES = key(Key.OPT_OUT_LINES)
COUNTRIES = key(Key.COUNTRIES)
REPLY_OWNERS = key(Key.REPLY_OWNERS)
INBOX = StreamKey(key(Key.INBOX))
WORKERS = key(Key.WORKERS)
BUDGETS = key(Key.BUDGETS)
SPENT = key(Key.SPENT)
CENTRES = key(Key.CENTRES)
STORED = key(Key.STORED)
LIMITS = key(Key.LIMITS)
LIMIT_COUNTS = key(Key.LIMIT_COUNTS)
BATCHES = key(Key.BATCHES)
RUNS = key(Key.RUNS)
BLOCKS_TO_HOLD = key(Key.BLOCKS_TO_HOLD)
WRITE_CHECK = key(Key.WRITE_CHECK)
PROBE = key(Key.PROBE)

TASK = "threelane.send"


_RECORD = key(Key.RECORD)
_TEXTED = key(Key.TEXTED)


def index_of(status: Status, lane: int, space: Space = HERE) -> IndexKey | None:
    """Return the index that has the ids of a state and a lane; None for a final state."""
    name = INDEXES.get(status)
    return IndexKey(key(name, str(lane) if KINDS[name].suffix else "", space)) if name else None


def indexes_of(*statuses: Status, space: Space = HERE) -> tuple[IndexKey, ...]:
    """Return all indexes of a space that may have ids of these states, lane 1 first, with those of earlier versions."""
    own = (index_of(status, lane, space) for status in statuses for lane in LANES)
    of_all_lanes = (names(space).FORMER.get(status) for status in statuses)
    return tuple(dict.fromkeys(index for index in (*own, *of_all_lanes) if index))


def record(message_id: str) -> RecordKey:
    """Return the key of a message's record."""
    return RecordKey(_RECORD + message_id)


def records(message_ids: Iterable[str]) -> list[RecordKey]:
    """Return the keys of messages' records, in their order."""
    return cast("list[RecordKey]", [_RECORD + one for one in message_ids])


def login(fingerprint: str, space: Space = HERE) -> str:
    """Return the key of the turn to repeat the login with these credentials."""
    return key(Key.LOGIN, fingerprint, space)


def session(name: str, space: Space = HERE) -> str:
    """Return the key of the gateway session that workers with the same credentials share."""
    return key(Key.SESSION, name, space)


def breaker(fingerprint: str, space: Space = HERE) -> BreakerKey:
    """Return the key of the breaker of an address and account at the gateway."""
    return BreakerKey(key(Key.BREAKER, fingerprint, space))


def worker(name: str) -> WorkerKey:
    """Return the key of a worker's report."""
    return WorkerKey(key(Key.WORKER, name))


def api_rate(key_id: str) -> ApiRateKey:
    """Return the key of an API key's token bucket."""
    return ApiRateKey(key(Key.API_RATE, key_id))


def console(digest: str) -> str:
    """Return the key of a console login."""
    return key(Key.CONSOLE, digest)


def console_tries(bucket: str) -> str:
    """Return the key that counts wrong keys at the console's login."""
    return key(Key.CONSOLE_TRIES, bucket)


def account_answer(request_id: str) -> str:
    """Return the key of the answer to an operator's request to the gateway."""
    return key(Key.ACCOUNT_ANSWER, request_id)


def voucher_channel(request_id: str) -> str:
    """Return the channel on which a voucher reaches the worker that redeems it: Redis stores no message."""
    return f"{PREFIX}voucher:{request_id}"


def reply(reply_id: str, space: Space = HERE) -> ReplyKey:
    """Return the key that marks a processed reply."""
    return ReplyKey(key(Key.REPLY, reply_id, space))


def reply_parts(reply_key: str, space: Space = HERE) -> ReplyPartsKey:
    """Return the key of the parts of a long reply."""
    return ReplyPartsKey(key(Key.REPLY_PARTS, reply_key, space))


def texted(day: int, bucket: str, space: Space = HERE) -> TextedKey:
    """Return the key of the marks of some persons who were texted on a day (of Unix time)."""
    return TextedKey(f"{_TEXTED}{day}:{bucket}{_mark(space)}")


def confirmed(number: str) -> ConfirmedKey:
    """Return the key that marks a number whose STOP was confirmed; a digest, which erasures can leave."""
    return ConfirmedKey(key(Key.CONFIRMED, blake2b(number.encode(), digest_size=16).hexdigest()))


def batch(digest: str) -> BatchKey:
    """Return the key of a batch."""
    return BatchKey(key(Key.BATCH, digest))


def batch_rows(digest: str) -> BatchKey:
    """Return the key of the rows of a batch."""
    return BatchKey(key(Key.BATCH_ROWS, digest))


def deliveries(producer: str) -> DeliveriesKey:
    """Return the key of the events to post to a producer's webhook."""
    return DeliveriesKey(key(Key.DELIVERIES, producer))


def delivery(producer: str) -> DeliveryKey:
    """Return the key of the contents of these events."""
    return DeliveryKey(key(Key.DELIVERY, producer))


def undelivered(producer: str) -> DeliveriesKey:
    """Return the key of the events that a producer's webhook never accepted."""
    return DeliveriesKey(key(Key.UNDELIVERED, producer))


def queue(lane: int, account: str = "") -> str:
    """Return the name of a lane's Celery queue, which is also its routing key."""
    return f"sms.{lane}@{account}" if account else f"sms.{lane}"


@cache
def lane_of(queue_name: str) -> int | None:
    """Return the lane of a Celery queue, of whichever account; None for another queue."""
    name, at, account = queue_name.partition("@")
    return next((lane for lane in LANES if name == queue(lane) and bool(at) == bool(account)), None)


def kind(name: str) -> KeyKind:
    """Return the row of the table for a key; raises KeyError for a key that is not Threelane's."""
    rest = name.removeprefix(PREFIX)
    if found := _kind(rest):
        return found
    of_account, at, _ = rest.rpartition("@")
    found = _kind(of_account) if at else None
    if found is None or not found.by_account:
        raise KeyError(name)
    return found


def _kind(rest: str) -> KeyKind | None:
    for prefix in _prefixes(rest):
        if prefix in set(Key) and (prefix == rest or KINDS[Key(prefix)].suffix):
            return KINDS[Key(prefix)]
    return None


def _prefixes(name: str) -> Iterator[str]:
    """Yield a name, and the name without its last parts, one after the other."""
    while name:
        yield name
        name = name.rpartition(":")[0]
