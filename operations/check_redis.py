"""Check Redis: whether it accepts writes, and keeps what the delivery guarantee requires it to keep."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import redis
from redis.exceptions import NoPermissionError, OutOfMemoryError, RedisError, ResponseError

from threelane.operations.finding import Finding, Grade
from threelane.producer.explanation import explain
from threelane.runtime.settings import Settings
from threelane.store import ceiling, keys, wrong_type
from threelane.store.connect import connect
from threelane.store.replies import reply_of, text_of
from threelane.store.write_check import Greeting, check_write, greet
from threelane.worker.fetch.lanes import LaneOrder

BINDING = "_kombu.binding.sms"  # of Celery's exchange on Redis
MOST_SKEW_SECONDS = 5.0
OLDEST_REDIS = 7  # for the commands and flags that the scripts use
MOST_LAG_SECONDS = 10
NEARLY_FULL = 0.8  # share of the memory limit
SECTIONS = ("memory", "persistence", "replication")  # of INFO
REPLICA = "replica"
_START = "start Redis, or correct THREELANE_REDIS_URL"
_PRIMARY = "set THREELANE_REDIS_URL to the primary; after a failover, does the host name lead to the new one?"


def findings(settings: Settings) -> Iterator[Finding]:
    """Yield findings about Redis; the first command that it does not answer ends them."""
    client = connect(settings)
    try:
        yield from _looked_at(client, is_broker_apart=settings.broker_url is not None)
    except (RedisError, OSError) as failed:
        yield refused(failed)
    finally:
        client.close()


def refused(failed: RedisError | OSError) -> Finding:
    """Return the finding for an error of Redis, with the remedy and the owner of an error reply."""
    if reply := reply_of(failed):
        denied = f": {text_of(failed)}" if isinstance(failed, NoPermissionError) else ""
        return Finding(Grade.ERROR, "Redis", f"{reply.meaning} ({reply.prefix}){denied}", reply.remedy, reply.owner)
    return Finding(Grade.ERROR, "Redis", explain(failed) if isinstance(failed, RedisError) else str(failed), _START)


def apart(client: redis.Redis, what: str, at: str) -> Iterator[Finding]:
    """Yield findings about a Redis at an address that is only the broker: it must also accept writes."""
    try:
        client.delete(LaneOrder.EMPTY)
    except (RedisError, OSError) as failed:
        found = refused(failed)
        yield found._replace(what=what, step=found.step.replace("THREELANE_REDIS_URL", "THREELANE_BROKER_URL"))
    else:
        yield Finding(Grade.OK, what, f"{at} answers and accepts writes")
        yield from queues(client, what)


def queues(client: redis.Redis, what: str) -> Iterator[Finding]:
    """Yield a finding for each key of the broker that has another type than Threelane's."""
    reading = {keys.queue(lane): client.llen for lane in keys.LANES} | {BINDING: client.smembers}
    for name, read in reading.items():
        try:
            read(name)
        except NoPermissionError:
            continue  # another user of the ACL than a worker's
        except ResponseError as failed:
            if reply_of(failed):
                return
            problem = f"the key {name} is of another type: workers fetch no nudge, and send what they find themselves"
            yield Finding(Grade.ERROR, what, problem, f"delete it (DEL {name}), and find out which program wrote it")


def _looked_at(client: redis.Redis, *, is_broker_apart: bool) -> Iterator[Finding]:
    greeting = greet(client)
    yield Finding(Grade.OK, "Redis", f"answers, version {greeting.version}")
    yield from _greeted(greeting)
    yield from _written(client, greeting)
    info = {name: _section(client, name) for name in SECTIONS}
    if unseen := [name for name, found in info.items() if found is None]:
        yield _not_seen(unseen)
    yield from _persistence(info["persistence"] or {})
    yield from _memory(info["memory"] or {})
    yield from _full(client)
    yield from _replicas(info["replication"] or {})
    yield from _clock(client)
    yield from _types(client)
    if not is_broker_apart:
        yield from queues(client, "broker, Redis")


def _greeted(greeting: Greeting) -> Iterator[Finding]:
    """Check what every user may see: version, role and mode."""
    if greeting.version.partition(".")[0].isdigit() and int(greeting.version.partition(".")[0]) < OLDEST_REDIS:
        detail = f"version {greeting.version} is too old"
        yield Finding(Grade.ERROR, "Redis", detail, "use Redis 7.0 or later, or Valkey")
    if greeting.mode == "cluster":
        yield Finding(Grade.ERROR, "Redis", "runs as a cluster", "use a Redis with cluster-enabled no")
    if greeting.mode == "sentinel":
        yield Finding(Grade.ERROR, "Redis", "is a Sentinel, which stores nothing", _PRIMARY)
    if greeting.role == REPLICA:
        yield Finding(Grade.ERROR, "Redis", "is a replica: it accepts no writes", _PRIMARY)


def _written(client: redis.Redis, greeting: Greeting) -> Iterator[Finding]:
    """Write, read and delete a key; the refusal of a replica or a cluster is reported already."""
    try:
        check_write(client)
    except RedisError as failed:
        reply = reply_of(failed)
        if reply is None:
            raise
        is_known = (greeting.role == REPLICA, greeting.mode == "cluster")
        if not any(is_known):
            yield refused(failed)
    else:
        yield Finding(Grade.OK, "Redis", "accepts writes")


def _section(client: redis.Redis, name: str) -> dict[str, Any] | None:
    """Return a section of INFO; None if the user may not see it."""
    try:
        found: Any = client.info(name)
    except NoPermissionError:
        return None
    return dict(found)


def _not_seen(sections: list[str]) -> Finding:
    step = "run check as a user that may run INFO, as those in deploy/redis-users.acl"
    return Finding(Grade.WARNING, "Redis", f"the user may not run INFO: not seen are {', '.join(sections)}", step)


def _persistence(info: dict[str, Any]) -> Iterator[Finding]:
    if info.get("aof_last_write_status", "ok") != "ok":
        yield Finding(
            Grade.ERROR, "Redis", "could not write its append-only file", "check the disk and the log of Redis"
        )
    if info and not info.get("aof_enabled"):
        yield Finding(Grade.ERROR, "Redis", "has no append-only file", "set appendonly yes: see deploy/redis.conf")


def _memory(info: dict[str, Any]) -> Iterator[Finding]:
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        yield Finding(Grade.ERROR, "Redis", f"may evict records ({policy})", "set maxmemory-policy noeviction")
    if info and not info.get("maxmemory"):
        step = "set maxmemory: intake then stops before memory runs out"
        yield Finding(Grade.WARNING, "Redis", "has no memory limit", step)


def _full(client: redis.Redis) -> Iterator[Finding]:
    """Check the memory use: near the ceiling Redis still takes the writes of workers, and intake has stopped."""
    memory = ceiling.read(client)
    share = memory.share
    if share > NEARLY_FULL:
        usage = f"Redis uses {share:.0%} of its memory limit; intake stops at {ceiling.INTAKE_SHARE:.0%}"
        step = "let workers drain the backlog: threelane top; or raise maxmemory of Redis"
        yield Finding(Grade.ERROR if share > ceiling.INTAKE_SHARE else Grade.WARNING, "memory", usage, step)
    elif not memory.is_known:  # the user may see no ceiling, and Redis itself refuses at it
        try:
            client.set(keys.PROBE, b"", xx=True)
        except OutOfMemoryError as failed:
            yield refused(failed)._replace(what="memory")
        except ResponseError:
            pass  # reported already, or this user may not set the key


def _replicas(info: dict[str, Any]) -> Iterator[Finding]:
    """Report replicas that would lose messages in a failover."""
    found = [one for name, one in info.items() if name.startswith("slave") and isinstance(one, dict)]
    late = [one for one in found if one.get("state") != "online" or int(one.get("lag", 0) or 0) > MOST_LAG_SECONDS]
    if late:
        where = ", ".join(f"{one.get('ip')}:{one.get('port')}" for one in late)
        step = "check their network and their log: a failover to one of them would lose messages"
        yield Finding(Grade.WARNING, "Redis", f"{len(late)} of {len(found)} replicas lag: {where}", step)
    elif found:
        yield Finding(Grade.OK, "Redis", f"is a primary with {len(found)} replicas")


def _types(client: redis.Redis) -> Iterator[Finding]:
    """Report each key of another type than Threelane's; those that this user may not read are not examined."""
    try:
        found = wrong_type.find(client)
    except ResponseError as failed:
        if reply_of(failed):
            return  # as reported: it is a cluster, for example
        raise
    for name in found:
        problem = f"the key {name} is of another type: what needs it fails, and nothing else is the cause"
        step = f"threelane damaged remove {name}, and find out which program wrote it"
        yield Finding(Grade.ERROR, "keys", problem, step)


def _clock(client: redis.Redis) -> Iterator[Finding]:
    skew = time.time() - client.time()[0]
    if abs(skew) > MOST_SKEW_SECONDS:
        detail = f"this machine is {skew:+.0f} s off the clock of Redis"
        yield Finding(Grade.WARNING, "clock", detail, "synchronise both clocks (NTP)")
