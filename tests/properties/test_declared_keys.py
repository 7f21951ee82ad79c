"""Every key that a script touches is declared in its call, as Redis itself sees it: by MONITOR.

Every script runs here; a key that is made up inside one would work until Redis is a cluster.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
import pytest
import redis

from tests.layout import FOLDERS, ROOT
from tests.properties.system import System, open_system
from tests.properties.test_money import Walk
from tests.servers import RedisServer
from threelane.contract.prices import Prices
from threelane.contract.schedule import DAY
from threelane.store import access, find, inbox, keys, lua, registry, suppression, write_check
from threelane.store.batches import ROWS_KEPT_MS
from threelane.store.diverted import Why
from threelane.store.find import Filter
from threelane.store.scripts import Script
from threelane.store.states import Status
from threelane.store.suppression import Entry
from threelane.worker.doubt.hurry import hurry
from threelane.worker.doubt.sample import sample
from threelane.worker.gateway import breaking
from threelane.worker.gateway.context import LastAccepted
from threelane.worker.gateway.outcome import Known, LookUp
from threelane.worker.inbound.report import InboundReply, ReplyPart
from threelane.worker.process.internal_error import FaultStep
from threelane.worker.process.settings import WebhookSettings
from threelane.worker.receipt.late import late
from threelane.worker.receipt.poll import poll
from threelane.worker.reply import confirm, reply
from threelane.worker.reply.words import build
from threelane.worker.send.blame import Fault, blame
from threelane.worker.send.claim import claim
from threelane.worker.standby.take_over import Terms, take_over
from threelane.worker.upkeep import beat
from threelane.worker.upkeep.adopt import adopt
from threelane.worker.upkeep.copy_outcomes import copy_all
from threelane.worker.upkeep.erase import erase
from threelane.worker.upkeep.expire import expire
from threelane.worker.upkeep.forget_waits import forget_waits
from threelane.worker.webhooks.deliveries import Deliveries
from threelane.worker.webhooks.intake import GROUP, spread

END = "the end of the test"
NUMBER = "27831234567"
FILES = {file.resolve() for folder in FOLDERS for file in (ROOT / folder).rglob("*.lua")}
SCRIPTS = {file.stem for file in FILES if file.parent != lua.PARTS.resolve()}


OF_NO_ACCOUNT = {
    keys.TALLY,  # of operators: the suppression list, logins and rights, and what erasures and the inbox count
    keys.SWEEP,  # the number of misspelt suppressed numbers
}
"""Keys of the default account that counts of the whole installation are in."""


class Unhelpful:
    """A gateway that knows nothing."""

    can_look_up = True
    look_ups_per_request = 1

    async def status(self, _: str) -> LookUp:
        return LookUp(Known.FAILED)

    look_up = status


class Watched:
    """What ran on a Redis: each script with the keys of its call, and each key that it touched without."""

    def __init__(self, server: RedisServer) -> None:
        ours = [one for one in gc.get_objects() if isinstance(one, Script) and one.file in FILES]
        self.by_sha = {one.sha: one.name for one in ours}
        self.ran: set[str] = set()
        self.undeclared: set[tuple[str, str]] = set()
        self.touched: set[str] = set()  # keys of all commands
        self._client = redis.Redis(port=server.port)
        for one in ours:
            self._client.script_load(one.source)
        self._began = threading.Event()
        self._thread = threading.Thread(target=self._follow)
        self._thread.start()
        assert self._began.wait(10)

    def _follow(self) -> None:
        script, declared = "", set[str]()
        port = self._client.connection_pool.connection_kwargs["port"]
        with redis.Redis(port=port, socket_timeout=None).monitor() as monitor:
            self._began.set()
            for seen in monitor.listen():
                name, *words = seen["command"].split(" ")
                self.touched.update(word for word in words[:1] if word.startswith(keys.PREFIX))
                if seen["client_type"] == "lua":
                    if words[0] not in declared:
                        self.undeclared.add((script, words[0]))
                elif name.upper() == "EVALSHA":
                    script, declared = self.by_sha[words[0]], set(words[2 : 2 + int(words[1])])
                    self.ran.add(script)
                elif seen["command"].endswith(END):
                    return

    def stop(self) -> None:
        self._client.echo(END)
        self._thread.join(30)
        self._client.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of its own: scripts of other tests are none of this one's."""
    made = RedisServer(tmp_path).start()
    yield made
    made.stop()


@pytest.mark.parametrize("account", ["", "acme"])
def test_every_key_that_a_script_touches_is_declared(server: RedisServer, account: str) -> None:
    """All scripts, with and without budgets, over days; and each key of Redis is in the table of keys.

    In the space of an account, nothing of the default account is touched but what concerns no account.
    """
    pace: dict[str, Any] = {"parts_per_second": 100_000, "look_ups_per_second": 1_000}
    with open_system(server, account=account, **pace) as system:
        watched = Watched(server)
        try:
            for seed in (1, 2):
                walk = Walk(system, seed, assumes=bool(seed % 2))
                for _ in range(150):
                    walk.step()
            _do_the_rest(system)
        finally:
            watched.stop()
        client = system.sync
        kinds = {key.decode(): (client.type(key).decode(), client.pttl(key)) for key in client.scan_iter("tl:*")}

    assert set() == watched.undeclared
    assert SCRIPTS == watched.ran
    of_default = {name for name in watched.touched if keys.kind(name).by_account and "@" not in name}
    assert not account or set() == of_default - OF_NO_ACCOUNT
    assert {name: keys.kind(name).type for name in kinds} == {name: kind for name, (kind, _) in kinds.items()}
    assert [] == [name for name, (_, left) in kinds.items() if left > 0 and not keys.kind(name).expires]


def test_a_key_that_is_not_declared_is_seen(server: RedisServer) -> None:
    """Otherwise the test above would show nothing."""
    watched = Watched(server)
    with redis.Redis(port=server.port) as client:
        sha: Any = client.script_load("redis.call('SET', KEYS[1], 1) return redis.call('SET', KEYS[1] .. ':more', 1)")
        watched.by_sha[sha] = "bad"
        client.evalsha(sha, 1, "tl:known")
    watched.stop()

    assert {("bad", "tl:known:more")} == watched.undeclared


def _do_the_rest(system: System) -> None:
    """Run each script that a walk does not reach."""
    sync, client, now, names, space = system.sync, system.client, system.now, system.names, system.space
    sync.delete(names.HOLDS)  # a hold of the walk would keep what follows from being claimed
    draft = system.draft(lane=1, delay=60)
    (waiting,) = system.accept([draft, system.draft(batch="январь.csv")])[:1]
    system.move(waiting.id, now + 30_000)
    system.cancel([waiting.id])
    (paused,) = system.accept([system.draft(batch="news")])
    assert 1 == system.pause("news", [paused.id])
    assert [paused.id] == system.resume("news")
    (soon,) = system.accept([system.draft(lane=1)])
    (dying,) = system.accept([system.draft()])
    sync.zadd(names.FORMER[Status.SCHEDULED], {dying.id: 1})
    assert 1 == system.run(adopt(client, now, space))
    system.claim(3, [dying.id], "token of a worker that dies")
    system.now += system.settings.lease_ms
    assert dying.id in system.lapse()
    system.sweep(dict.fromkeys(keys.LANES, 0))
    system.sweep(dict.fromkeys(keys.LANES, 0))
    faults = [Fault(system.take(lane=3), "", FaultStep.CLAIM, "KeyError", left) for left in (False, True)]
    for _ in range(2):
        system.run(blame(system.client, 3, faults, system.settings, system.now))
    entry = Entry(source="operator", first=now, last=now, expires=now + 1)
    suppression.add(sync, [("27820000001", entry)])
    suppression.take_over(sync, [("27820000001", entry)])
    system.run(suppression.forget_over(client, now + 2))
    suppression.lift(sync, "27820000002")
    suppression.respell(sync, "27820000002")
    write_check.check_write(sync)
    beat.take_name(sync, system.settings)
    system.run(beat.forget(client))
    key = access.create(sync, "shop", now, unlimited=True, rate=1.0).key
    assert [0, True] == [access.take(sync, key, now), access.take(sync, key, now) > 0]
    assert list(find.search(sync, Filter(lane=1)))
    words = build({})
    system.run(
        reply.take(
            client,
            InboundReply("r1", NUMBER, "1", "STOP", related_id=soon.id),
            words,
            now,
            confirmation="x",
            space=space,
        )
    )
    system.run(reply.take(client, InboundReply("r2", NUMBER, "1", "START"), words, now + 1, space=space))
    system.run(reply.take(client, InboundReply("r3", "VODAFONE", "1", "Welcome"), words, now, space=space))
    (found,) = inbox.unassigned(sync)
    assert inbox.assign(sync, found, "shop")
    system.run(confirm.confirm(client, Prices({}), now, space=space))
    for number in (1, 2):
        part = ReplyPart(7, 2, number)
        system.run(reply.take(client, InboundReply(f"p{number}", NUMBER, "1", "x", part=part), words, now, space=space))
    one = system.take()
    sync.hset(keys.record(one), "stand_by", "bank")
    assert [one] == system.run(
        take_over(client, space, keys.space_of("bank"), 3, [one], Why.HOLD, Terms(Prices({})), now)
    )
    _break(system)
    system.run(late(client, 0, now, space))
    sync.zadd(names.WAITING, {f"1:retry:{now}:{soon.id}": 0})
    assert 1 == system.run(forget_waits(client, space))
    system.now = now + 90 * DAY
    for lane in keys.LANES:
        system.run(poll(client, Unhelpful(), system.settings, lane, system.now))
    latest = LastAccepted(soon.id, system.now, system.now)
    system.run(sample(client, Unhelpful(), latest, 1, 0, system.now, space))
    system.run(hurry(client, system.now, system.now, space))
    system.run(expire(client, system.settings.retention_ms, system.now, space))
    registry.put(sync, "shop", webhook="https://shop.example/x")
    _webhooks(system)
    assert system.run(copy_all(client, ROWS_KEPT_MS, system.now))
    with mock.patch("threelane.store.texted.spaces", return_value=(space,)):
        erase(sync, NUMBER, system.settings.retention_ms, system.now)


def _break(system: System) -> None:
    """Open the breaker, probe twice, and close it."""
    fingerprint, now, space = system.settings.gateway_fingerprint, system.now, system.space
    shared: dict[str, Any] = {"breaker": keys.breaker(fingerprint, space), "scope": breaking.scope_of(fingerprint)}
    failure: dict[str, Any] = {"code": "lost", "detail": "", "wait_ms": 0, "most_ms": 1, "jitter": 0.0}
    trip: dict[str, Any] = {"address": "https://gateway.example", "failures": 5, "began": now, "process": "one"}
    assert breaking.trip.within(space)(system.sync, now=now, first_ms=1, **trip, **failure, **shared)[0]
    assert breaking.take_probe.within(space)(system.sync, now=now + 9, token="1", ends=now + 99, **shared)
    assert breaking.fail_probe.within(space)(system.sync, now=now + 9, token="1", **failure, **shared)
    assert breaking.take_probe.within(space)(system.sync, now=now + 19, token="2", ends=now + 99, **shared)
    assert breaking.let_through.within(space)(system.sync, token="2", ends=now + 99, **shared)
    (code,) = system.accept([system.draft(lane=1)])
    assert system.run(claim(system.client, 1, [code.id], system.settings, now, pass_token="2")).claimed
    assert breaking.close_breaker.within(space)(system.sync, now=now + 19, token="2", process="two", **shared)


def _webhooks(system: System) -> None:
    sync = system.sync
    (event, _), *_ = sync.xrange(keys.EVENTS, count=1)  # type: ignore[misc]
    sync.xgroup_create(keys.EVENTS, GROUP, id="0")
    sync.xreadgroup(GROUP, "one", {keys.EVENTS: ">"})
    event_fields = {"type": "outcome", "id": event.decode(), "message_id": "m", "status": "dead"}
    content = msgspec.json.encode({"event": event_fields, "tries": 0, "reason": ""}).decode()
    spread(
        sync,
        deliveries=[keys.deliveries("shop"), keys.deliveries("bank")],
        contents=[keys.delivery("shop"), keys.delivery("bank")],
        now=system.now,
        group=GROUP,
        id=event.decode(),
        content=content,
        most=10,
        names=["shop", "bank"],
    )
    deliveries = Deliveries(system.client, "shop", WebhookSettings(redis_url="redis://127.0.0.1"))
    _, ((one, delivery),) = system.run(deliveries.take(10, system.now))
    system.run(deliveries.failed(one, delivery, "answered 500", system.now))
