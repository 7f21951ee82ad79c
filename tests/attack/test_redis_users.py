"""Somebody has the address of one process's Redis user: what each user tries, and what Redis refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import redis
from redis.exceptions import NoPermissionError

from deploy.redis_users import USERS
from tests.former_jobs import DAY_MS, former_row
from tests.guarded_redis import MISSING, GuardedRedis
from tests.servers import wait_until
from threelane import Producer, ProducerSettings, Unavailable
from threelane.producer.files.earlier import Earlier, enter
from threelane.store import batches, keys, registry, suppression
from threelane.store.keys import KINDS, Key
from threelane.store.suppression import Entry

pytestmark = [pytest.mark.skipif(bool(MISSING), reason=MISSING), pytest.mark.xdist_group("redis_users")]

NAMES = tuple(one.name for one in USERS)
ID, NUMBER = "0" * 32, "27831234567"
ACME = keys.names(keys.space_of("acme"))
LOOP = "while true do end"
WRITES_AND_LOOPS = "redis.call('HSET', KEYS[1], 'a', 'b') while true do end"
SENDERS = {"producer", "reader"}
WITH_RECORDS = SENDERS | {"worker", "callbacks", "api", "exporter", "operator"}
MOVERS = WITH_RECORDS - {"exporter"}
LISTERS = {"reader", "worker", "api", "exporter", "operator"}


class Attempt(NamedTuple):
    """What somebody tries with an address, and the users that may do it, since their process must."""

    what: str
    command: Sequence[Any]
    allowed: set[str] = set()  # noqa: RUF012 - never changed


ATTEMPTS = (
    Attempt("read the text of a waiting message, id known", ("HGET", keys.record(ID), "body"), WITH_RECORDS),
    Attempt("change a waiting message, id known", ("HSET", keys.record(ID), "to", NUMBER), MOVERS),
    Attempt("list ids: SCAN", ("SCAN", "0"), {"worker", "api", "operator"}),
    Attempt("list ids: KEYS", ("KEYS", "*")),
    Attempt("list ids: an index", ("ZRANGE", keys.QUEUED[1], 0, -1), LISTERS),
    Attempt("list ids: nudges", ("LRANGE", keys.queue(1), 0, -1)),
    Attempt("list ids: events", ("XRANGE", keys.EVENTS, "-", "+"), {"worker", "api", "operator"}),
    Attempt("list ids: each key that changes (CLIENT TRACKING)", ("CLIENT", "TRACKING", "ON", "BCAST")),
    Attempt("list ids: keyspace events", ("SUBSCRIBE", "__keyspace@0__:x")),
    Attempt("list ids: all channels", ("PSUBSCRIBE", "*")),
    Attempt("list ids: arguments of slow commands", ("SLOWLOG", "GET")),
    Attempt("list ids: SORT", ("SORT", keys.QUEUED[1], "BY", "x")),
    Attempt("list ids: replication", ("PSYNC", "?", "-1")),
    Attempt("list ids: a batch", ("HSCAN", keys.batch_rows(ID), 0), LISTERS - {"exporter"}),
    Attempt("list ids: a batch, whole", ("HGETALL", keys.batch_rows(ID)), LISTERS - {"exporter"}),
    Attempt("list batches", ("ZRANGE", keys.BATCHES, 0, -1), LISTERS),
    Attempt("take nudges", ("RPOP", keys.queue(1)), {"worker", "operator"}),
    Attempt("take nudges of an account", ("RPOP", keys.queue(1, "acme")), {"worker", "operator"}),
    Attempt("delete an index of an account", ("DEL", ACME.QUEUED[1]), {"operator"}),
    Attempt("list ids of an account that wait", ("ZRANGE", ACME.WAITING, 0, -1), LISTERS),
    Attempt("hold an account of the file", ("HSET", ACME.HOLDS, "x", "{}"), {"worker", "callbacks", "api", "operator"}),
    Attempt("raise the rate of an account", ("HSET", ACME.RATE, "x", "1"), {"worker", "api", "operator"}),
    Attempt("report that callbacks of an account arrive", ("SET", ACME.HEARD, "1"), {"callbacks", "operator"}),
    Attempt("drop nudges", ("LTRIM", keys.queue(1), 1, 0)),
    Attempt("drop events: XADD MAXLEN 0", ("XADD", keys.EVENTS, "MAXLEN", 0, "*", "a", "b"), MOVERS),
    Attempt("drop events: XTRIM", ("XTRIM", keys.EVENTS, "MAXLEN", 0), {"worker", "operator"}),
    Attempt("delete an index", ("DEL", keys.QUEUED[1]), {"operator"}),
    Attempt("let an index expire", ("PEXPIRE", keys.QUEUED[1], 1), {"operator"}),
    Attempt("empty an index", ("ZREMRANGEBYSCORE", keys.QUEUED[1], "-inf", "+inf"), {"operator"}),
    Attempt("replace an index", ("SET", keys.QUEUED[1], "x", "PX", 1), {"operator"}),
    Attempt("write an empty index as a hash", ("HSET", keys.QUEUED[1], "a", "b"), {"operator"}),
    Attempt("write empty nudges as a hash", ("HSET", keys.queue(1), "a", "b"), {"operator"}),
    Attempt("write unused events as an index", ("ZADD", keys.EVENTS, 1, "a"), {"operator"}),
    Attempt("write an unused count as a list", ("LPUSH", keys.TALLY, "a"), {"operator"}),
    Attempt("change when a country got its first message", ("HSET", keys.COUNTRIES, "ZA", "{}"), {"operator"}),
    Attempt("forget a country", ("HDEL", keys.COUNTRIES, "ZA"), {"operator"}),
    Attempt("replace the events", ("SET", keys.EVENTS, "x"), {"operator"}),
    Attempt("replace nudges", ("SET", keys.queue(1), "x"), {"operator"}),
    Attempt("replace a waiting message, id known", ("SET", keys.record(ID), "x"), {"operator"}),
    Attempt("rename a key", ("RENAME", keys.SUPPRESSED, keys.record(ID))),
    Attempt("copy an index into a readable key", ("COPY", keys.QUEUED[1], keys.record(ID), "REPLACE")),
    Attempt("read a key whole: DUMP", ("DUMP", keys.SUPPRESSED)),
    Attempt("write a key whole: RESTORE", ("RESTORE", keys.record(ID), 0, "x", "REPLACE")),
    Attempt("take a key whole: GETDEL", ("GETDEL", keys.HEARD)),
    Attempt("look into a key: OBJECT", ("OBJECT", "ENCODING", keys.record(ID))),
    Attempt("look into the events: XINFO", ("XINFO", "STREAM", keys.EVENTS)),
    Attempt("create an operator key", ("HSET", keys.API_KEYS, "k1", "{}"), {"operator"}),
    Attempt("read the digests of API keys", ("HGETALL", keys.API_KEYS), {"api", "operator"}),
    Attempt("redirect a webhook", ("HSET", keys.PRODUCERS, "shop", "{}"), {"operator"}),
    Attempt("read the secret of a webhook", ("HGET", keys.PRODUCERS, "shop"), {"webhooks", "api", "operator"}),
    Attempt("grant the right to bypass a STOP", ("HSET", keys.RIGHTS, "shop", "{}"), {"operator"}),
    Attempt("delete all suppressions", ("DEL", keys.SUPPRESSED), {"operator"}),
    Attempt("replace all suppressions", ("SET", keys.SUPPRESSED, "x", "PX", 1), {"operator"}),
    Attempt("delete one suppression", ("HDEL", keys.SUPPRESSED, "1"), {"worker", "callbacks", "api", "operator"}),
    Attempt("list suppressed numbers", ("HGETALL", keys.SUPPRESSED), {"worker", "api", "operator"}),
    Attempt("look up whether a number is suppressed", ("HGET", keys.SUPPRESSED, NUMBER), WITH_RECORDS),
    Attempt("hold the account", ("HSET", keys.HOLDS, "x", "{}"), {"worker", "callbacks", "api", "operator"}),
    Attempt("raise a budget", ("HSET", keys.BUDGETS, "x", "{}"), {"operator"}),
    Attempt("raise the rate of all workers", ("HSET", keys.RATE, "x", "1"), {"worker", "api", "operator"}),
    Attempt("write a worker's report", ("HSET", keys.worker("x"), "beat", "1"), {"worker", "operator"}),
    Attempt("log in to the console", ("HSET", keys.console("x"), "key", "k1"), {"api", "operator"}),
    Attempt("use the gateway's session", ("GET", keys.session("x")), {"worker", "operator"}),
    Attempt("read operators' requests", ("ZRANGE", keys.ACCOUNT_REQUESTS, 0, -1), {"worker", "api", "operator"}),
    Attempt("answer an operator's request", ("SET", keys.account_answer(ID), "{}", "PX", 1), {"worker", "operator"}),
    Attempt("send a voucher to a worker", ("PUBLISH", keys.voucher_channel(ID), "x"), {"worker", "api", "operator"}),
    Attempt("FLUSHALL", ("FLUSHALL",)),
    Attempt("CONFIG SET", ("CONFIG", "SET", "maxmemory", "1")),
    Attempt("CONFIG GET", ("CONFIG", "GET", "maxmemory"), {"admin"}),
    Attempt("DEBUG", ("DEBUG", "SLEEP", "0")),
    Attempt("MONITOR", ("MONITOR",)),
    Attempt("ACL SETUSER", ("ACL", "SETUSER", "producer", "+@all")),
    Attempt("ACL LIST", ("ACL", "LIST")),
    Attempt("REPLICAOF", ("REPLICAOF", "NO", "ONE")),
    Attempt("CLIENT KILL", ("CLIENT", "KILL", "ID", "0"), {"admin"}),
    Attempt("CLIENT LIST", ("CLIENT", "LIST"), {"admin"}),
    Attempt("CLIENT PAUSE", ("CLIENT", "PAUSE", "1")),
    Attempt("CLIENT UNBLOCK", ("CLIENT", "UNBLOCK", "0")),
    Attempt("CLIENT NO-EVICT", ("CLIENT", "NO-EVICT", "on")),
    Attempt("CLIENT REPLY", ("CLIENT", "REPLY", "ON")),
    Attempt("WAIT", ("WAIT", "0", "1")),
    Attempt("list channels", ("PUBSUB", "CHANNELS")),
    Attempt("MODULE LOAD", ("MODULE", "LOAD", "/x")),
    Attempt("broadcast to workers", ("PUBLISH", "/0.celery.pidbox", "x"), {"worker", "operator"}),
    Attempt("a key of another application", ("GET", "session:1")),
)
DRY = (
    Attempt("hear a voucher on its way to a worker", ("SUBSCRIBE", keys.voucher_channel(ID)), {"worker", "operator"}),
    Attempt("SHUTDOWN", ("SHUTDOWN",), {"admin"}),
    Attempt("SCRIPT KILL", ("SCRIPT", "KILL"), {"admin"}),
)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedRedis]:
    """A Redis with the users of deploy/redis-users.acl, and a second for SCRIPT KILL to become possible."""
    server = GuardedRedis(tmp_path_factory.mktemp("users")).start()
    server.admin().config_set("busy-reply-threshold", 1000)
    yield server
    server.stop()


@pytest.fixture
def stored(guarded: GuardedRedis) -> redis.Redis:
    """What there is to steal; returns the client of the test."""
    client = guarded.admin()
    client.flushall()  # what an earlier user was allowed to replace
    client.hset(keys.record(ID), mapping={"status": "queued", "body": "your code is 1234"})
    client.hset(keys.PRODUCERS, "shop", '{"webhook": "https://shop.example/x", "secret": "do-not-log-me"}')
    return client


def _refused(client: redis.Redis, command: Sequence[Any]) -> bool:
    try:
        client.execute_command(*command)
    except NoPermissionError:
        return True
    except redis.ResponseError as failed:  # not allowed to anybody; else permitted, and wrong
        return "not allowed" in str(failed)
    return False


@pytest.mark.parametrize("name", NAMES)
def test_a_user_is_refused_what_its_process_does_not_need(
    name: str, guarded: GuardedRedis, stored: redis.Redis, table: Callable[[str, str, str], None]
) -> None:
    """Each row is one command of somebody with this address; the admin reaches no data."""
    with redis.Redis.from_url(guarded.plain_url_of(name)) as user:
        found = {one.what for one in ATTEMPTS if not _refused(user, one.command)}
    for one in DRY:  # not for real: the server would end
        if stored.execute_command("ACL", "DRYRUN", name, *one.command) in (b"OK", "OK"):
            found.add(one.what)
    every = (*ATTEMPTS, *DRY)
    for one in every:
        table(name, one.what, "done" if one.what in found else "refused")

    assert {one.what for one in every if name in one.allowed} == found


WORDS = {
    "HSET": "ab", "HSETNX": "ab", "HINCRBY": "a1", "ZADD": "1a", "XADD": "*ab", "LPUSH": "a", "SADD": "a", "SET": "a",
    "INCRBY": "1",
}  # fmt: skip
WRITES = {
    "hash": ("HSET", "HSETNX", "HINCRBY"),
    "zset": ("ZADD",),
    "stream": ("XADD",),
    "list": ("LPUSH",),
    "set": ("SADD",),
    "string": ("SET", "INCRBY"),
}


@pytest.mark.parametrize("name", [one.name for one in USERS if one.name != "operator"])
def test_no_key_can_be_written_as_another_type(name: str, guarded: GuardedRedis) -> None:
    """An empty index has no type: as a hash it would stop its lane until an operator deletes it."""
    tester = guarded.admin()
    every = {keys.key(key, "1" if KINDS[key].suffix else ""): KINDS[key].type for key in Key}
    every |= {keys.queue(lane): "list" for lane in keys.LANES}
    wrong = [
        (command, key) for key, kind in every.items() for of, them in WRITES.items() if of != kind for command in them
    ]
    allowed = [
        (command, key)
        for command, key in wrong
        if tester.execute_command("ACL", "DRYRUN", name, command, key, *WORDS[command]) in (b"OK", "OK")
    ]
    assert [] == allowed


@pytest.mark.parametrize("name", [one.name for one in USERS if one.name != "admin"])
def test_a_script_of_somebody_else_reaches_no_more_than_the_user(
    name: str, guarded: GuardedRedis, stored: redis.Redis
) -> None:
    """EVAL runs under the user's own permissions, also on a key that it may declare."""
    source = "return redis.call(unpack(ARGV))"
    with redis.Redis.from_url(guarded.plain_url_of(name)) as user:
        for one in ATTEMPTS:
            if name in one.allowed or one.command[0] in (
                "CONFIG",
                "ACL",
                "CLIENT",
                "MONITOR",
                "MODULE",
            ):  # refused above
                continue
            declared = [one.command[1]] if len(one.command) > 1 and str(one.command[1]).startswith("tl:") else []
            with pytest.raises(redis.ResponseError):
                user.eval(source, len(declared), *declared, *map(str, one.command))
    assert stored.hget(keys.PRODUCERS, "shop")


def test_the_admin_ends_a_script_that_blocks_everybody(
    guarded: GuardedRedis, table: Callable[[str, str, str], None]
) -> None:
    """A user with EVAL can always write a loop; what is shipped can end it, and only the admin may."""
    attacker = redis.Redis.from_url(guarded.plain_url_of("producer"), socket_timeout=120)
    admin = redis.Redis.from_url(guarded.plain_url_of("admin"), socket_timeout=60)
    other = redis.Redis.from_url(guarded.plain_url_of("producer"), socket_timeout=60)
    admin.ping()
    other.ping()
    with ThreadPoolExecutor(1) as pool:
        loop = pool.submit(lambda: _error_of(lambda: attacker.eval(LOOP, 0)))
        wait_until(lambda: "BUSY" in _error_of(other.ping), what="Redis to report that it is busy")
        assert "permission" in _error_of(lambda: other.execute_command("SCRIPT", "KILL"))
        admin.execute_command("SCRIPT", "KILL")
        assert "killed" in loop.result(60).lower()
    assert other.ping()
    table("producer", "EVAL 'while true do end'", "blocks all; ended by SCRIPT KILL of admin")


def test_a_script_that_wrote_ends_with_redis_and_its_user_is_locked_out(
    tmp_path: Path, table: Callable[[str, str, str], None]
) -> None:
    """SCRIPT KILL cannot undo a write, so Redis refuses it: the steps of docs/deploy.md."""
    server = GuardedRedis(tmp_path).start()
    try:
        server.admin().config_set("busy-reply-threshold", 1000)
        kept = server.admin().hset(keys.PRODUCERS, "shop", "{}")
        attacker = redis.Redis.from_url(server.plain_url_of("producer"), socket_timeout=120, retry=None)
        admin = redis.Redis.from_url(server.plain_url_of("admin"), socket_timeout=60)
        admin.ping()
        with ThreadPoolExecutor(1) as pool:
            loop = pool.submit(lambda: _error_of(lambda: attacker.eval(WRITES_AND_LOOPS, 1, keys.record(ID))))
            wait_until(lambda: "BUSY" in _error_of(admin.ping), what="Redis to report that it is busy")
            assert "UNKILLABLE" in _error_of(lambda: admin.execute_command("SCRIPT", "KILL"))
            assert "BUSY" in _error_of(lambda: admin.execute_command("CLIENT", "KILL", "USER", "producer"))
            assert "BUSY" in _error_of(lambda: admin.execute_command("ACL", "LOAD"))
            users = server.folder / "users.acl"
            users.write_text(users.read_text().replace("user producer on", "user producer off"))
            _error_of(lambda: admin.execute_command("SHUTDOWN", "NOSAVE"))
            assert loop.result(60)
        assert server.server.process
        server.server.process.wait(60)
        server.start()
        assert "password" in _error_of(lambda: redis.Redis.from_url(server.plain_url_of("producer")).ping())
        assert redis.Redis.from_url(server.plain_url_of("worker")).ping()
        found = server.admin().hexists(keys.PRODUCERS, "shop"), server.admin().exists(keys.record(ID))
        assert (bool(kept), 0) == found
    finally:
        server.stop()
    table("producer", "the same after a write", "blocks all; SCRIPT KILL is refused; SHUTDOWN NOSAVE of admin ends it")


def _error_of(command: Callable[[], Any]) -> str:
    try:
        command()
    except redis.RedisError as failed:
        return str(failed) or type(failed).__name__
    return ""


def test_a_producer_does_its_work_and_a_damaged_record_stops_nothing(
    guarded: GuardedRedis, stored: redis.Redis
) -> None:
    """Send, refuse a suppressed number and a legal notice without the right, cancel, and set a record aside."""
    stored.acl_log_reset()
    entry = Entry(source="operator", first=1, last=1)
    suppression.add(stored, [("27820000001", entry)])
    registry.put(stored, "bank", bypass=True)
    notice = {"to": "27820000001", "text": "Hello", "legal_notice": True}
    settings: dict[str, Any] = {"redis_url": guarded.plain_url_of("producer"), "redis_ca_file": None}
    with Producer(ProducerSettings(**settings, producer="shop")) as shop:
        sent = shop.send("27999500001", "Hello", client_message_id="one")
        refused = shop.send_many([{"to": "27820000001", "text": "Hello"}, notice])
        assert ["122", "101"] == [one.code for one in refused]
        stored.hset(keys.record(sent.id), "lane", "nine")
        again = shop.send_many([{"to": "27999500001", "text": "Hello", "client_message_id": "one"}])
        assert 1 == len(again)
        assert ["cancelled"] == [one.answer for one in shop.cancel([shop.send("27999500002", "x", delay=60).id])]
    with Producer(ProducerSettings(**settings, producer="bank")) as bank:
        assert bank.send_many([notice])[0].accepted
    assert {f"producer key {keys.PRODUCERS}"} >= set(guarded.refusals())  # where earlier versions stored rights


def test_a_reader_sees_its_batches_and_a_producer_only_what_it_knows(
    guarded: GuardedRedis, stored: redis.Redis
) -> None:
    """A producer looks up ids that it has; listing a batch needs the user that sees all producers' ids."""
    stored.acl_log_reset()
    found: dict[str, Any] = {}
    for user in ("producer", "reader"):
        settings: dict[str, Any] = {"redis_url": guarded.plain_url_of(user), "redis_ca_file": None}
        with Producer(ProducerSettings(**settings, producer="shop")) as shop:
            sent = shop.send("27999500001", f"Hello {user}", batch="spring", delay=60)
            known = batches.known(redis.Redis.from_url(guarded.plain_url_of(user)), "shop", "spring", [sent.id, ID])
            assert [True, False] == known
            if user == "reader":
                found = {one.id: one.status for one in shop.batch_report("spring")}
                assert ["spring"] == [one.name for one in shop.batches()]
                assert {"cancelled"} == {one.answer for one in shop.cancel_batch("spring")}
            else:
                with pytest.raises(Unavailable, match="permission"):
                    shop.batch("spring")
    for user in ("api", "operator"):  # with reader, those that docs/batches.md lists
        settings = {"redis_url": guarded.plain_url_of(user), "redis_ca_file": None}
        with Producer(ProducerSettings(**settings, producer="shop")) as shop:
            assert ["spring"] == [one.name for one in shop.batches() if one.ends]
            assert (2, 2) == (getattr(shop.batch("spring"), "accepted", 0), len(list(shop.batch_report("spring"))))
    assert 2 == len(found)
    assert ["producer"] == [one.partition(" ")[0] for one in guarded.refusals()]


def test_a_producer_may_continue_a_job_of_an_earlier_version(guarded: GuardedRedis, stored: redis.Redis) -> None:
    """It reads the records of which it knows the ids, and lists them in the job's batch."""
    stored.acl_log_reset()
    old = former_row(stored, "job.csv", 1, "27831234560,Hello", producer="shop")
    settings: dict[str, Any] = {"redis_url": guarded.plain_url_of("producer"), "redis_ca_file": None}
    with Producer(ProducerSettings(**settings, producer="shop")) as shop:
        earlier = Earlier("job.csv", "job.csv", most_rows=1)
        found = earlier.of(shop, "shop")
        assert found is not None
        assert [old] == [one.id for one in found.all]
        enter(shop, earlier, 90 * DAY_MS)
        assert [True] == shop.query(lambda client: batches.known(client, "shop", "job.csv", [old]))
        assert [""] == shop.query(lambda client: batches.former_ids(client, "shop", "job.csv", [ID]))
        assert 1 == shop.query(lambda client: batches.rows_left(client, batches.digest("shop", "job.csv")))
    assert [] == guarded.refusals()
