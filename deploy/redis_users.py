"""Redis users: what each kind of process may do in Redis; ``python -m deploy.redis_users > deploy/redis-users.acl``.

``USERS`` is the table.  A key that a script declares must be readable and writable for EVALSHA itself, whatever the
script does with it.  So each user has a selector that allows EVAL and EVALSHA, and nothing else, on all its keys; the
commands of a script are checked one by one, by the other permissions.  The commands of a type have a selector of their
own, with the keys of that type only: an empty index cannot be written as a hash, which would stop its lane.  Commands
that delete or replace a whole key, remove a range, or look for a known id or field, have selectors of their own, with
fewer keys.

The file loads in Redis 7.0, which refuses a file with a subcommand that it does not know.  So no user has
``client|setinfo`` of Redis 7.2: redis-py goes on without it.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from threelane.store import keys, scripts
from threelane.store.keys import FORMER, INDEXES, KINDS, Key
from threelane.worker.fetch.lanes import LaneOrder

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "deploy" / "redis-users.acl"
PLACEHOLDER = re.compile(r">([A-Z]+)_PASSWORD ")
"""A password in the file: the user's name in capitals, followed by _PASSWORD."""

CLIENT = "client|id client|getname client|setname"
"""Each is named, since CLIENT TRACKING reports the name of every key that anybody changes, to any user that has it."""
CONNECTION = f"ping hello select info time {CLIENT} multi exec"
CALLED = re.compile(r"(?:redis\.p?call|of_table)(?:\(|, )'([A-Z]+)'|\{'([A-Z]+)', record")
ENDING = "del expire pexpire persist"  # the commands that delete a key, now or later
DISCARDING = "unlink"
STRINGS = "set incrby"  # SET replaces a key of any type; INCR of redis-py is INCRBY
OF_TYPE = {
    "hash": re.compile(r"h(?!ello)"),
    "zset": re.compile(r"z"),
    "stream": re.compile(r"x"),
    "list": re.compile(r"b?[lr](push|pop|len|range)"),
    "set": re.compile(r"s(add|rem|members)"),
    "string": re.compile(r"get$|set$|incrby$"),
}
"""The commands that write or read keys of one type only; the others are for connections, or for keys of any type."""
TRIMMING = "zremrangebyscore"  # one command empties an index
FINDING = "zscore"
LISTING = "zcard zrange"
COUNTED_BY_NUMBER = (
    Key.SAME_TEXT_A,
    Key.SAME_TEXT_B,
    Key.RECIPIENTS_A,
    Key.RECIPIENTS_B,
    Key.NEIGHBOURS_A,
    Key.NEIGHBOURS_B,
)
"""What accept counts for its limits: the names of these rows are numbers."""
LANE_LISTS = tuple(map(keys.queue, keys.LANES))
OF_ACCOUNTS = tuple(keys.queue(lane, "*") for lane in keys.LANES)
PUSHED = tuple(f"%W~{one}" for one in (*LANE_LISTS, *OF_ACCOUNTS))
COUNTED = tuple(f"%R~{one}" for one in (*LANE_LISTS, *OF_ACCOUNTS))
KOMBU_TYPES = {
    **dict.fromkeys((*LANE_LISTS, *OF_ACCOUNTS, LaneOrder.EMPTY), "list"),
    "_kombu.binding.*": "set",
    "_kombu.binding_permanent.*": "set",
    "_kombu.binding_deadlines": "zset",
    "*.celery.pidbox": "list",
}
"""The keys of the broker, with their types."""
KOMBU = tuple(f"~{one}" for one in KOMBU_TYPES)
ANY_ACCOUNT = keys.space_of("*")
VOUCHERS = keys.voucher_channel("*")
CHANNELS = (VOUCHERS, "/0.celery.pidbox", "/0.celery.pidbox/*", "/0.celeryev/*")


@dataclass(frozen=True, slots=True)
class RedisUser:
    """A row of the table: the keys that a process reads and writes, its scripts, and the commands outside of them.

    The keys of the most frequent commands come first, since Redis compares them in this order.  ``declares`` are keys
    that a script of this user declares, and that it may not touch.
    """

    name: str
    purpose: str
    both: tuple[Key, ...] = ()
    writes: tuple[Key, ...] = ()
    reads: tuple[Key, ...] = ()
    declares: tuple[Key, ...] = ()
    ends: tuple[Key, ...] = ()  # those that it may delete
    finds: tuple[Key, ...] = ()  # those in which it looks for a known id, and may not list others
    lists_ids: tuple[Key, ...] = ()  # those that it lists nevertheless
    looked_up: tuple[Key, ...] = ()  # hashes in which it looks up known fields, and may not list others
    edited: tuple[Key, ...] = ()  # the same, and changes or removes them
    noted: tuple[Key, ...] = ()  # hashes to which it adds fields, and changes and removes none
    trims: tuple[Key, ...] = (Key.DAMAGED,)  # indexes from which it removes what is old
    scripts: tuple[str, ...] = ()  # folder/name
    commands: str = ""
    lists: tuple[str, ...] = ()  # the patterns of the keys of the broker
    channels: tuple[str, ...] = ()
    every_key: bool = False
    connects: str = CONNECTION

    @property
    def password(self) -> str:
        """The placeholder of its password in the file."""
        return f"{self.name.upper()}_PASSWORD"

    @property
    def keys(self) -> tuple[Key, ...]:
        """The keys that its scripts may declare."""
        return (*self.both, *self.writes, *self.reads, *self.looked_up, *self.edited, *self.noted, *self.declares)

    def rule(self) -> str:
        """Return its line in an ACL file."""
        named = [*self.lists, *(["~tl:*"] if self.every_key else [])]
        for access, of in (("~", self.both), ("%W~", self.writes), ("%R~", self.reads)):
            named += [access + one for one in _patterns(*of)]
        words = ["user", self.name, "on", f">{self.password}", "resetkeys", *named]
        allowed = [*self._allowed()]
        if not self.every_key:
            allowed = [one for one in allowed if not _type_of(one)]
        words += ["resetchannels", *(f"&{one}" for one in self.channels), "-@all", *(f"+{one}" for one in allowed)]
        return " ".join([*words, *self._selectors()])

    def _selectors(self) -> Iterator[str]:
        if not self.scripts and not self.every_key:
            return
        declared = ["~tl:*"] if self.every_key else [f"~{one}" for one in _patterns(*self.keys)]
        declared += [one for one in self.lists if one.startswith("~")]  # kombu has a script, too
        yield f"({' '.join(declared)} -@all +evalsha +eval)"
        if self.every_key:
            return
        yield from self.by_type()
        kombu = [one for one in self.lists if one.startswith("~")]
        called = self._called() | set(self.commands.split())
        for access, of, more, commands in (
            ("~", self.ends, kombu, ENDING),
            ("~", tuple(one for one in self.ends if one in COUNTED_BY_NUMBER), [], DISCARDING),
            ("~", tuple(one for one in self.both if KINDS[one].type == "string"), [], STRINGS),
            ("%W~", tuple(one for one in self.writes if KINDS[one].type == "string"), [], "set"),
            ("%W~", self.trims, [], TRIMMING),
            ("%R~", self.looked_up, [], "hget hmget hlen pexpiretime"),
            ("~", self.edited, [], "hget hmget hlen hset hdel"),
            ("~", self.noted, [], "hget hexists hsetnx"),
            ("%R~", self.finds, [], FINDING),
            ("%R~", self.lists_ids, [], LISTING),
        ):
            if of and called & set(commands.split()):
                named = [*(access + one for one in _patterns(*of)), *more]
                used = [one for one in commands.split() if one in called or commands == ENDING]
                yield f"({' '.join(named)} -@all +{' +'.join(used)})"

    def by_type(self) -> Iterator[str]:
        """Yield a selector for each type of keys, with the commands that it may run on all its keys of this type."""
        allowed = [*self._allowed()]
        for kind in OF_TYPE:
            named = [one for one in self.lists if KOMBU_TYPES[one.partition("~")[2]] == kind]
            for access, of in (("~", self.both), ("%W~", self.writes), ("%R~", self.reads)):
                named += [access + one for one in _patterns(*(key for key in of if KINDS[key].type == kind))]
            commands = [one for one in allowed if _type_of(one) == kind]
            if named and commands:
                yield f"({' '.join(named)} -@all +{' +'.join(commands)})"

    def _called(self) -> set[str]:
        """Return the commands of its scripts."""
        found = [CALLED.findall(scripts_by_path()[one].source) for one in self.scripts]
        return {(direct or listed).lower() for names in found for direct, listed in names}

    def _allowed(self) -> Iterator[str]:
        """Return the commands that it may run on all its keys."""
        narrow = set() if self.every_key else set(f"{ENDING} {DISCARDING} {STRINGS} {TRIMMING}".split())
        for narrowed, commands in ((self.finds, FINDING), (self.lists_ids, LISTING)):
            narrow |= set(commands.split()) if narrowed else set()
        given = [one for one in f"{self.connects} {self.commands}".split() if one not in narrow]
        yield from given
        yield from sorted(self._called() - narrow - set(given))


def _type_of(command: str) -> str:
    """Return the type of the keys that a command needs; "" for others."""
    return next((kind for kind, pattern in OF_TYPE.items() if pattern.match(command)), "")


def _patterns(*names: Key) -> tuple[str, ...]:
    """Return the patterns of keys, with those of earlier versions and, last, those of accounts in the file.

    What has a suffix needs no other pattern for these.
    """
    former = {INDEXES[status]: name for status, name in FORMER.items()}
    found: list[str] = []
    of_accounts: list[str] = []
    for name in names:
        found.append(keys.key(name, "*" if KINDS[name].suffix else ""))
        found += [former[name]] if name in former else []
        if KINDS[name].by_account:
            of_accounts += [] if KINDS[name].suffix else [keys.key(name, space=ANY_ACCOUNT)]
            of_accounts += [keys.names(ANY_ACCOUNT).FORMER[status] for status in FORMER if INDEXES[status] is name]
    return tuple(dict.fromkeys((*found, *of_accounts)))


@cache
def scripts_by_path() -> dict[str, scripts.Script[..., object]]:
    """Return all scripts by folder and name, such as producer/accept."""
    found: dict[str, scripts.Script[..., object]] = {}
    for lua in sorted(ROOT.rglob("*.lua")):
        for file in lua.parent.glob("*.py"):
            if "@script(" in file.read_text(encoding="utf-8"):
                module = importlib.import_module("threelane." + ".".join(file.relative_to(ROOT).with_suffix("").parts))
                for one in vars(module).values():
                    if isinstance(one, scripts.Script):
                        found[one.file.relative_to(ROOT).with_suffix("").as_posix()] = one
    return found


# what every move of a message touches: store/parts/move.lua
BATCHED_BOTH = (Key.BATCH,)
BATCHED_WRITES = (Key.BATCH_ROWS, Key.BATCHES)
"""What accept lists in batches; rows name the ids of messages, which a producer may look up, and not list."""
MOVED_BOTH = (Key.RECORD, Key.TALLY, Key.STORED, Key.SPENT, Key.BURN, Key.CENTRES)
MOVED_WRITES = (
    Key.QUEUED,
    Key.LEASES,
    Key.DUE,
    Key.EVENTS,
    Key.WAITING,
    Key.AWAITING,
    Key.DOUBT,
    Key.DEAD,
    Key.PAUSED,
    Key.PAUSED_ORDER,
    Key.DAMAGED,
    Key.EXPECTED,
    Key.LATE,
    Key.STOPPING,
)
INDEXED = (Key.QUEUED, Key.PAUSED, Key.LEASES, Key.DUE, Key.AWAITING, Key.DOUBT, Key.DEAD)
LIMITED_BOTH = (Key.LIMIT_COUNTS, Key.RUNS)
PAUSE = ("producer/pause", "producer/resume", "store/complete")
INTAKE = ("producer/accept", "producer/cancel", "producer/reschedule")
DELIVERED = (Key.DELIVERIES, Key.DELIVERY, Key.UNDELIVERED)
READ_EVENTS = "xreadgroup xautoclaim xack xgroup|create"
READ_ALL = "hgetall hmget hget hlen hkeys hvals xlen zcard zrange zscore zmscore zcount zlexcount exists get llen"

USERS = (
    RedisUser(
        "producer",
        "services with the library or the command line: send, cancel by id, reschedule, status",
        both=(*MOVED_BOTH, *LIMITED_BOTH, *BATCHED_BOTH),
        writes=(*MOVED_WRITES, *BATCHED_WRITES, Key.BLOCKS_TO_HOLD),
        looked_up=(Key.SUPPRESSED, Key.BATCH_ROWS, Key.PAUSES, Key.TEMPLATES),
        noted=(Key.COUNTRIES,),
        edited=COUNTED_BY_NUMBER,
        reads=(Key.BUDGETS, Key.PRICES, Key.RIGHTS, Key.CEILING, Key.LIMITS, Key.OPT_OUT_LINES, Key.ACCOUNTS),
        declares=(Key.PRODUCERS,),
        ends=(Key.RECORD, Key.SPENT, Key.RUNS, Key.BATCH, Key.BATCH_ROWS, *COUNTED_BY_NUMBER),
        finds=INDEXED,
        lists_ids=(Key.DAMAGED, Key.RECORD),
        scripts=INTAKE,
        commands="memory|stats hgetall hmget hget get lpush llen pexpiretime",
        lists=PUSHED,
    ),
    RedisUser(
        "reader",
        "such services that also read events, list schedules or cancel by tag: they see all producers' ids",
        both=(*MOVED_BOTH, *MOVED_WRITES, *LIMITED_BOTH, *BATCHED_BOTH, *BATCHED_WRITES, Key.PAUSES),
        writes=(Key.BLOCKS_TO_HOLD,),
        looked_up=(Key.SUPPRESSED, Key.TEMPLATES),
        noted=(Key.COUNTRIES,),
        edited=COUNTED_BY_NUMBER,
        reads=(
            Key.BUDGETS,
            Key.PRICES,
            Key.RIGHTS,
            Key.CEILING,
            Key.LIMITS,
            Key.OPT_OUT_LINES,
            Key.ACCOUNTS,
            Key.WORKER,
            Key.WORKERS,
        ),
        declares=(Key.PRODUCERS,),
        ends=(Key.RECORD, Key.SPENT, Key.RUNS, Key.BATCH, Key.BATCH_ROWS, *COUNTED_BY_NUMBER),
        scripts=(*INTAKE, *PAUSE, "store/find"),
        commands=(
            "memory|stats hgetall hmget hget get lpush llen hset hdel zrange zrevrange zscan zlexcount hscan"
            f" pexpiretime {READ_EVENTS}"
        ),
        lists=PUSHED,
    ),
    RedisUser(
        "worker",
        "threelane worker",
        both=(
            *MOVED_BOTH,
            *MOVED_WRITES,
            *LIMITED_BOTH,
            *BATCHED_BOTH,
            *BATCHED_WRITES,
            Key.PAUSES,
            Key.ACCOUNTS,
            Key.HOLDS,
            Key.BLOCKS_TO_HOLD,
            Key.RATE,
            Key.SUPPRESSED,
            Key.BALANCE,
            Key.CLAIMED,
            Key.BREAKER,
            Key.SUSPECTS,
            Key.OWNERS,
            Key.PRICES,
            Key.VISIBILITY,
            Key.WORKER,
            Key.WORKERS,
            Key.LANE_1_WORKER,
            Key.LOGIN,
            Key.SESSION,
            Key.SWEEP,
            Key.SWEEPING,
            Key.NUDGES,
            Key.STAND_BY_TURN,
            Key.ABSENT,
            Key.ERASING,
            Key.COPYING,
            Key.BALANCE_TURN,
            Key.BALANCE_PROBE,
            Key.ACCOUNT_REQUESTS,
            Key.ACCOUNT_ANSWER,
            Key.CEILING,
            Key.REPLY,
            Key.REPLY_PARTS,
            Key.REPLY_HALVES,
            Key.TEXTED,
            Key.INBOX,
            Key.CONFIRMATIONS,
            Key.CONFIRMED,
            *DELIVERED,
            Key.PROBE,
            Key.WRITE_CHECK,
        ),
        reads=(Key.BUDGETS, Key.WINDOWS, Key.HOLIDAYS, Key.REPLY_OWNERS, Key.REACH, Key.RIGHTS, Key.LIMITS),
        edited=COUNTED_BY_NUMBER,
        declares=(Key.PRODUCERS,),
        noted=(Key.COUNTRIES,),
        trims=(Key.DAMAGED, Key.DEAD, Key.WORKERS, Key.BATCHES),
        ends=(
            Key.RECORD,
            Key.SPENT,
            Key.BREAKER,
            Key.SUSPECTS,
            Key.OWNERS,
            Key.WORKER,
            Key.LANE_1_WORKER,
            Key.LOGIN,
            Key.SESSION,
            Key.SWEEPING,
            Key.STAND_BY_TURN,
            Key.ERASING,
            Key.COPYING,
            Key.BALANCE_TURN,
            Key.BALANCE_PROBE,
            Key.REPLY,
            Key.REPLY_PARTS,
            Key.TEXTED,
            Key.PROBE,
            Key.WRITE_CHECK,
            Key.RUNS,
            Key.BATCH,
            Key.BATCH_ROWS,
            *COUNTED_BY_NUMBER,
        ),
        scripts=(
            *(f"worker/send/{one}" for one in ("claim", "settle", "blame")),
            *(f"worker/doubt/{one}" for one in ("hurry", "lapse", "resolve", "sample")),
            *(f"worker/gateway/{one}" for one in ("close_breaker", "fail_probe", "let_through", "take_probe", "trip")),
            *(f"worker/receipt/{one}" for one in ("late", "poll", "probe", "receipt")),
            *(f"worker/reply/{one}" for one in ("reply", "reply_part")),
            *(
                f"worker/upkeep/{one}"
                for one in ("adopt", "erase", "expire", "forget", "forget_waits", "report", "sweep")
            ),
            "worker/fetch/release",
            "producer/accept",
            *PAUSE,
            "worker/dead/redrive",
            "worker/standby/take_over",
            "store/find",
            "store/forget",
            "store/rewrite_rows",
            "store/suppress",
            "store/write_check",
        ),
        commands=(
            f"{READ_ALL} script|exists script|load scan zscan hscan set hset hdel hincrby hsetnx"
            " zadd zrem zrangebyscore zremrangebyscore xadd xtrim xrange xdel lpush rpush rpop brpop sadd srem smembers"
            " publish subscribe unsubscribe psubscribe punsubscribe watch unwatch memory|stats"
        ),
        lists=KOMBU,
        channels=CHANNELS,
    ),
    RedisUser(
        "callbacks",
        "threelane callbacks",
        both=(
            *MOVED_BOTH,
            Key.OWNERS,
            Key.PRICES,
            Key.REPLY,
            Key.REPLY_PARTS,
            Key.REPLY_HALVES,
            Key.CONFIRMED,
            Key.HOLDS,
            Key.SUSPECTS,
        ),
        writes=(*MOVED_WRITES, Key.INBOX, Key.HEARD, Key.PROBE, Key.CONFIRMATIONS),
        reads=(Key.BUDGETS, Key.RATE, Key.ACCOUNTS),
        looked_up=(Key.TEXTED, Key.REPLY_OWNERS, Key.REACH, Key.PAUSES),
        edited=(Key.SUPPRESSED,),
        ends=(Key.RECORD, Key.SPENT, Key.OWNERS, Key.REPLY, Key.REPLY_PARTS, Key.PROBE, Key.SUSPECTS),
        finds=INDEXED,
        lists_ids=(Key.DAMAGED, Key.RECORD),
        scripts=("worker/receipt/receipt", "worker/reply/reply", "worker/reply/reply_part"),
        commands="script|exists script|load hvals zrem set",
    ),
    RedisUser(
        "webhooks",
        "threelane webhooks",
        both=(Key.EVENTS, *DELIVERED),
        writes=(Key.PROBE,),
        reads=(Key.PRODUCERS,),
        ends=(Key.PROBE,),
        scripts=("worker/webhooks/shift", "worker/webhooks/spread", "worker/webhooks/take"),
        commands=f"script|exists script|load {READ_EVENTS} hgetall hget hdel hlen zrange zcard zrem del",
    ),
    RedisUser(
        "api",
        "threelane api, with the operator endpoints and the console",
        both=(
            *MOVED_BOTH,
            *MOVED_WRITES,
            *LIMITED_BOTH,
            *BATCHED_BOTH,
            *BATCHED_WRITES,
            Key.PAUSES,
            Key.API_RATE,
            Key.API_USED,
            Key.HOLDS,
            Key.SUSPECTS,
            Key.RATE,
            Key.BREAKER,
            Key.SUPPRESSED,
            Key.CONSOLE,
            Key.CONSOLE_TRIES,
            Key.ACCOUNT_REQUESTS,
            Key.ACCOUNTS,
        ),
        writes=(Key.API_USED, Key.PROBE, Key.BLOCKS_TO_HOLD, Key.AUDIT),
        edited=COUNTED_BY_NUMBER,
        reads=(
            Key.API_KEYS,
            Key.ABSENT,
            Key.LIMITS,
            Key.RIGHTS,
            Key.PRODUCERS,
            Key.BUDGETS,
            Key.PRICES,
            Key.CEILING,
            Key.OPT_OUT_LINES,
            Key.WINDOWS,
            Key.HOLIDAYS,
            Key.WORKER,
            Key.WORKERS,
            Key.LANE_1_WORKER,
            Key.BALANCE,
            Key.CLAIMED,
            Key.NUDGES,
            Key.VISIBILITY,
            Key.OWNERS,
            Key.HEARD,
            Key.SWEEP,
            Key.ACCOUNT_ANSWER,
            *DELIVERED,
        ),
        noted=(Key.COUNTRIES,),
        looked_up=(Key.TEMPLATES,),
        ends=(
            Key.RECORD,
            Key.SPENT,
            Key.ACCOUNT_REQUESTS,
            Key.API_RATE,
            Key.CONSOLE,
            Key.CONSOLE_TRIES,
            Key.BREAKER,
            Key.SUSPECTS,
            Key.RUNS,
            Key.BATCH,
            Key.BATCH_ROWS,
            *COUNTED_BY_NUMBER,
        ),
        scripts=(
            *INTAKE,
            *PAUSE,
            "store/access",
            "store/find",
            "store/suppress",
            "store/lift",
            "worker/dead/redrive",
        ),
        commands=(
            f"{READ_ALL} pexpiretime memory|stats scan zscan hscan zrevrange lpush xrange xinfo|groups incrby set hset"
            " hdel hincrby zadd zrem publish watch unwatch"
        ),
        lists=PUSHED,
        channels=(VOUCHERS,),
    ),
    RedisUser(
        "exporter",
        "threelane exporter",
        both=(Key.WRITE_CHECK,),
        reads=tuple(
            one
            for one in Key
            if one
            not in {
                Key.API_KEYS,
                Key.API_RATE,
                Key.API_USED,
                Key.CONSOLE,
                Key.CONSOLE_TRIES,
                Key.ACCOUNT_REQUESTS,
                Key.ACCOUNT_ANSWER,
                Key.PRODUCERS,
                Key.RIGHTS,
                Key.SESSION,
                Key.EVENTS,
                Key.REPLY,
                Key.REPLY_PARTS,
                Key.REPLY_OWNERS,
                Key.TEXTED,
                Key.DELIVERY,
                Key.BATCH_ROWS,
                Key.WRITE_CHECK,
                Key.SUPPRESSED,
                *COUNTED_BY_NUMBER,
            }
        ),
        looked_up=(Key.SUPPRESSED,),
        ends=(Key.WRITE_CHECK,),
        scripts=("store/write_check",),
        commands=f"{READ_ALL} memory|stats",
        lists=COUNTED,
    ),
    RedisUser(
        "operator",
        "the command line of operators",
        every_key=True,
        scripts=("store/assign", "store/respell"),
        commands=(
            f"{READ_ALL} script|exists script|load watch unwatch set del unlink expire pexpire persist pttl hset hsetnx"
            " pexpiretime hdel hexists hincrby hscan zadd zrem zrevrange zscan zremrangebyscore zrangebyscore xadd xack"
            " xtrim xautoclaim xreadgroup xgroup|create xrange xrevrange xdel xinfo|groups lpush rpush rpop brpop scan"
            " bgrewriteaof incrby sadd srem smembers publish subscribe unsubscribe psubscribe punsubscribe memory|stats"
        ),
        lists=KOMBU,
        channels=CHANNELS,
    ),
    RedisUser(
        "admin",
        "a person at redis-cli: end a script that blocks Redis, reload this file; no data",
        connects=f"ping hello info time {CLIENT} client|list client|info client|kill",
        commands=(
            "script|kill script|flush function|kill acl|load acl|log acl|whoami slowlog|len latency memory|stats"
            " memory|doctor config|get bgrewriteaof bgsave lastsave shutdown"
        ),
    ),
)
"""The users, each with what it may do; the file has one line for each, and ``default`` is off."""


DEFAULT = "user default off resetpass ~* &* +@all"
"""Nobody can log in as ``default``.  It has permissions all the same: Redis replays its append-only file as this user,
and checks the transactions in it again, those of scripts included.  Without them, a restart loses all messages since
the last rewrite of the file (https://github.com/redis/redis/issues/14541)."""


def acl_file() -> str:
    """Return the content of deploy/redis-users.acl."""
    return "\n".join([DEFAULT, *(one.rule() for one in USERS)]) + "\n"


if __name__ == "__main__":
    sys.stdout.write(acl_file())
