"""Webhooks: real dispatchers, a real Redis, a real receiver; every event arrives, and nowhere it should not."""

from __future__ import annotations

import socket
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis

from tests.integration.conftest import kill, log_of
from tests.integration.receiver import Receiver
from tests.servers import RedisServer, wait_until
from threelane.contract import signature
from threelane.demo.child import Child
from threelane.store import keys, registry
from threelane.store.events import Outcome, from_json
from threelane.store.registry import Registration
from threelane.worker.webhooks import undelivered
from threelane.worker.webhooks.intake import GROUP, spread

NUMBER = "27831234567"
QUICK = "0.05,0.05"  # three tries, at once
Dispatch = Callable[..., Child]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as made:
        yield made


@pytest.fixture
def dispatch(client: redis.Redis, redis_server: RedisServer, tmp_path: Path) -> Iterator[Dispatch]:
    """Starts dispatchers; ``webhook_timeout_seconds=1`` sets THREELANE_WEBHOOK_TIMEOUT_SECONDS."""
    children: list[Child] = []

    def start(**settings: Any) -> Child:
        given = {"webhook_private_addresses": True, "webhook_timeout_seconds": 1.5, "metrics_port": 0}
        given |= {"redis_url": redis_server.url, **settings}
        environment = {f"THREELANE_{name.upper()}": str(value) for name, value in given.items()}
        words = [sys.executable, "-c", "from threelane.interfaces.command.processes import webhooks; webhooks()"]
        child = Child("webhooks", words, tmp_path / f"webhooks-{len(children)}.log", environment)
        children.append(child)
        child.event("webhooks")
        return child

    yield start
    for child in children:
        child.stop()


def hook(client: redis.Redis, receiver: Receiver, name: str = "shop", path: str = "/hook") -> str:
    """Register a webhook at the receiver, and return its secret."""
    return registry.put(client, name, webhook=receiver.url(path), allow_loopback=True)[0].secret


def publish(client: redis.Redis, *ids: str, producer: str = "shop") -> list[str]:
    """Write outcomes as the scripts do, and return the ids of the events."""
    entry = {
        "type": "outcome",
        "producer": producer,
        "status": "delivered",
        "lane": "1",
        "to": NUMBER,
        "charge": "800000",
    }
    return [client.xadd(keys.EVENTS, {**entry, "id": one}).decode() for one in ids]  # type: ignore[union-attr]


def aside(client: redis.Redis, name: str = "shop") -> list[undelivered.Undelivered]:
    return list(undelivered.undelivered(client, name))


def left(client: redis.Redis, name: str = "shop") -> int:
    """Return how many events of a producer wait, are under way, or lie aside."""
    return int(client.hlen(keys.delivery(name)))


def counted(child: Child, result: str) -> float:
    """Return what the process counted of a result."""
    with urllib.request.urlopen(child.event("metrics")["url"]) as answer:
        lines = answer.read().decode().splitlines()
    wanted = f'threelane_webhooks_total{{result="{result}"}} '
    return float(next((line.removeprefix(wanted) for line in lines if line.startswith(wanted)), "0"))


def test_an_event_arrives_signed(client: redis.Redis, receiver: Receiver, dispatch: Dispatch) -> None:
    """The receiver can verify it with the headers, and reads the fields by name."""
    secret = hook(client, receiver)
    (event_id,) = publish(client, "0f3c")
    child = dispatch()
    (post,) = wait_until(receiver.got, what="the post")

    stamp, signed = post.headers[signature.TIMESTAMP], post.headers[signature.SIGNATURE]
    assert signature.verify(secret, stamp, post.body, signed, time.time())
    assert not signature.verify(secret + "x", stamp, post.body, signed, time.time())
    assert event_id == post.headers[signature.EVENT]
    signed = post.headers[signature.SIGNATURE_V2]
    assert signature.verify(secret, stamp, post.body, signed, time.time(), event=event_id)
    assert "application/json" == post.headers["Content-Type"]
    expected = Outcome(
        id=event_id, producer="shop", message_id="0f3c", status="delivered", lane=1, to=NUMBER, charge_millionths=800000
    )
    assert expected == from_json(post.body)
    wait_until(lambda: left(client) == 0, what="it to be done with")
    wait_until(lambda: counted(child, "taken") == 1, what="it to be counted")
    assert 0 == client.xpending(keys.EVENTS, "webhooks")["pending"]
    written = child.log.read_text(encoding="utf-8")
    assert [("shop", 200, 1)] == [
        (one["producer"], one["status"], one["tries"]) for one in log_of(child) if "id" in one
    ]
    assert not any(hidden in written for hidden in (NUMBER, secret, receiver.url()))


def test_an_event_goes_to_its_producer_alone(client: redis.Redis, receiver: Receiver, dispatch: Dispatch) -> None:
    """A reply without a producer goes to nobody; events without a webhook are skipped."""
    for name in ("shop", "bank"):
        hook(client, receiver, name, f"/{name}")
    registry.put(client, "quiet")
    dispatch()
    publish(client, "a")
    publish(client, "b", producer="bank")
    publish(client, "c", producer="quiet")
    publish(client, "d", producer="unheard of")
    client.xadd(keys.EVENTS, {"type": "invented"})
    client.xadd(keys.EVENTS, {"type": "reply", "id": "r1", "from": NUMBER, "text": "who is this?"})
    reply = {"type": "reply", "id": "r2", "from": NUMBER, "text": "yes", "producer": "bank", "route": "number"}
    client.xadd(keys.EVENTS, reply)  # type: ignore[arg-type]
    wait_until(lambda: len(receiver.posts) == 3, what="three posts")

    got = {
        path: sorted(post.event.get("message_id") or post.event["reply_id"] for post in receiver.got(path))
        for path in ("/shop", "/bank")
    }
    assert {"/shop": ["a"], "/bank": ["b", "r2"]} == got
    wait_until(lambda: client.xpending(keys.EVENTS, "webhooks")["pending"] == 0, what="nothing to be pending")
    wait_until(lambda: not client.keys("tl:del*"), what="nothing to be left of them")


def test_a_receiver_that_fails_and_recovers_gets_its_event(
    client: redis.Redis, receiver: Receiver, dispatch: Dispatch
) -> None:
    """The same event, the same body, a signature of its own for each try."""
    answers = iter([500, 429, 204])
    receiver.reactions["/hook"] = lambda _: (next(answers), {})
    secret = hook(client, receiver)
    publish(client, "a")
    child = dispatch(webhook_delays_seconds="0.3,0.3,0.3")
    wait_until(lambda: left(client) == 0 and len(receiver.posts) == 3, what="the third try")

    assert 1 == len({(post.body, post.headers[signature.EVENT]) for post in receiver.posts})
    for post in receiver.posts:
        stamp, signed = post.headers[signature.TIMESTAMP], post.headers[signature.SIGNATURE]
        assert signature.verify(secret, stamp, post.body, signed, time.time())
    tries = wait_until(lambda: [one for one in log_of(child) if "tries" in one][2:] and log_of(child))
    assert [(500, 1), (429, 2), (204, 3)] == [(one["status"], one["tries"]) for one in tries if "tries" in one]
    assert [] == aside(client)


def test_a_receiver_that_hangs_delays_nobody_else(client: redis.Redis, receiver: Receiver, dispatch: Dispatch) -> None:
    """It has eight posts under way and no more, while another's events all arrive."""

    def hang(_: Any) -> tuple[int, dict[str, str]]:
        receiver.released.wait(60)
        return 200, {}

    receiver.reactions["/slow"] = hang
    hook(client, receiver, "slow", "/slow")
    hook(client, receiver, "quick", "/quick")
    publish(client, *map(str, range(30)), producer="slow")
    dispatch(webhook_timeout_seconds=60)
    wait_until(lambda: len(receiver.got("/slow")) == 8, what="the slow one's share to be under way")
    publish(client, *map(str, range(100)), producer="quick")
    wait_until(lambda: left(client, "quick") == 0 and len(receiver.got("/quick")) == 100, what="the quick one's events")

    assert 8 == len(receiver.got("/slow")) == receiver.most_at_once["/slow"]
    receiver.released.set()
    wait_until(lambda: left(client, "slow") == 0, what="the rest")


def test_an_answer_that_never_ends_is_a_failure(client: redis.Redis, receiver: Receiver, dispatch: Dispatch) -> None:
    """After the time that is set, all of it."""

    def hang(_: Any) -> tuple[int, dict[str, str]]:
        receiver.released.wait(30)
        return 200, {}

    receiver.reactions["/hook"] = hang
    hook(client, receiver)
    publish(client, "a")
    dispatch(webhook_timeout_seconds=0.3, webhook_delays_seconds=QUICK)
    (dead,) = wait_until(lambda: aside(client), what="the dead letter")
    assert ("a", 3, "no answer in time") == (dead.about, dead.tries, dead.reason)


def test_of_an_answer_only_the_status_is_read(client: redis.Redis, receiver: Receiver, dispatch: Dispatch) -> None:
    """A body that is huge, or never comes, costs neither time nor memory."""
    receiver.reactions["/hook"] = lambda _: (200, {"Content-Length": "1000000000000"})
    hook(client, receiver)
    publish(client, "a", "b", "c")
    dispatch(webhook_timeout_seconds=60)
    wait_until(lambda: len(receiver.posts) == 3 and left(client) == 0, what="all to be taken")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(client: redis.Redis, receiver: Receiver, dispatch: Dispatch, status: int) -> None:
    """Or a receiver could send us, and a signed event, anywhere."""
    receiver.reactions["/hook"] = lambda _: (status, {"Location": receiver.url("/inside")})
    hook(client, receiver)
    publish(client, "a")
    dispatch(webhook_delays_seconds=QUICK)
    (dead,) = wait_until(lambda: aside(client), what="the dead letter")

    assert f"{status}: redirects are not followed" == dead.reason
    assert [] == receiver.got("/inside")
    assert 3 == len(receiver.got("/hook"))


def test_an_internal_address_is_refused_in_any_form(
    client: redis.Redis, receiver: Receiver, dispatch: Dispatch
) -> None:
    """As a number, mapped, or behind a name; no connection is even begun."""
    hosts = ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0", "127.1", "2130706433", socket.gethostname()]
    for number, host in enumerate(hosts):
        # as it would be stored if the registry had accepted it
        known = Registration(webhook=receiver.url("/hook", host), secret="hunter2")
        client.hset(keys.PRODUCERS, f"p{number}", msgspec.json.encode(known))
        publish(client, "a", producer=f"p{number}")
    child = dispatch(webhook_private_addresses=False, webhook_delays_seconds=QUICK)
    names = [f"p{number}" for number in range(len(hosts))]
    wait_until(lambda: all(aside(client, name) for name in names), what="all to be set aside")

    reasons = {host: aside(client, name)[0].reason for host, name in zip(hosts, names, strict=True)}
    malformed = {"127.1", "2130706433"}
    assert {"its address is not a public one"} == {why for host, why in reasons.items() if host not in malformed}
    assert 0 == receiver.connections
    assert counted(child, "refused_address") >= 3 * (len(hosts) - len(malformed))


@pytest.mark.parametrize("host", ["localhost", "[::ffff:127.0.0.1]"])
def test_the_same_addresses_are_reached_when_that_is_allowed(
    client: redis.Redis, receiver: Receiver, dispatch: Dispatch, host: str
) -> None:
    """So it is the rule that refuses them, and not the network."""
    known = Registration(webhook=receiver.url("/hook", host), secret="hunter2")
    client.hset(keys.PRODUCERS, "shop", msgspec.json.encode(known))
    publish(client, "a")
    dispatch()
    assert ["a"] == [post.message for post in wait_until(receiver.got)]


@pytest.mark.slow
def test_a_killed_dispatcher_loses_nothing(client: redis.Redis, receiver: Receiver, dispatch: Dispatch) -> None:
    """Killed twice in the middle, with posts under way and events half read: all arrive."""

    def slowly(_: Any) -> tuple[int, dict[str, str]]:
        time.sleep(0.02)
        return 200, {}

    receiver.reactions["/hook"] = slowly
    hook(client, receiver)
    wanted = {str(number) for number in range(600)}
    publish(client, *sorted(wanted))
    for most in (100, 300):
        victim = dispatch(webhook_timeout_seconds=0.5)
        wait_until(lambda most=most: len(receiver.posts) >= most, what=f"{most} posts")
        kill(victim)
    dispatch(webhook_timeout_seconds=0.5)
    wait_until(lambda: wanted == {post.message for post in receiver.posts}, what="every event")
    wait_until(lambda: left(client) == 0, what="nothing to be left")

    twice = len(receiver.posts) - len(wanted)
    assert 0 <= twice <= 2 * 8  # at most those under way when it was killed


def test_two_dispatchers_share_and_post_nothing_twice(
    client: redis.Redis, receiver: Receiver, dispatch: Dispatch
) -> None:
    """As long as none of them dies."""
    hook(client, receiver)
    children = [dispatch(), dispatch()]
    publish(client, *map(str, range(400)))
    wait_until(lambda: left(client) == 0 and len(receiver.posts) >= 400, what="all")

    assert sorted(map(str, range(400))) == sorted(post.message for post in receiver.posts)
    assert all(counted(child, "taken") > 0 for child in children)


@pytest.mark.slow
def test_entries_of_a_dead_dispatcher_are_taken_over_once(
    client: redis.Redis, receiver: Receiver, dispatch: Dispatch
) -> None:
    """It died before it put anything into the deliveries; two others find it, one spreads it."""
    hook(client, receiver)
    ids = publish(client, "a", "b")
    client.xgroup_create(keys.EVENTS, "webhooks", id="0")
    client.xreadgroup("webhooks", "dead", {keys.EVENTS: ">"})
    client.xclaim(keys.EVENTS, "webhooks", "dead", 0, ids, idle=60_000)  # it died a minute ago
    dispatch()
    dispatch()
    wait_until(lambda: len(receiver.posts) >= 2 and left(client) == 0, what="both")
    assert ["a", "b"] == sorted(post.message for post in receiver.posts)


def test_an_event_that_was_spread_is_not_spread_again(client: redis.Redis) -> None:
    """Two dispatchers may hold the same entry: one that was slow, and one that took it over from it."""
    registry.put(client, "shop", webhook="https://shop.example/x")
    (event_id,) = publish(client, "a")
    client.xgroup_create(keys.EVENTS, GROUP, id="0")
    client.xreadgroup(GROUP, "slow", {keys.EVENTS: ">"})
    client.xautoclaim(keys.EVENTS, GROUP, "heir", 0)

    for expected in (1, 0):  # the heir; then the slow one, when the webhook has taken it
        spread(
            client,
            deliveries=[keys.deliveries("shop")],
            contents=[keys.delivery("shop")],
            now=1,
            group=GROUP,
            id=event_id,
            content="{}",
            most=100,
            names=["shop"],
        )
        assert expected == left(client) == client.zcard(keys.deliveries("shop"))
        client.delete(keys.delivery("shop"), keys.deliveries("shop"))


def test_after_the_last_try_an_event_is_set_aside_and_can_be_redelivered(
    client: redis.Redis, receiver: Receiver, dispatch: Dispatch
) -> None:
    """Once, with all its tries again; listed until then."""
    status = [503]
    receiver.reactions["/hook"] = lambda _: (status[0], {})
    hook(client, receiver)
    (event_id,) = publish(client, "a")
    child = dispatch(webhook_delays_seconds=QUICK)
    (dead,) = wait_until(lambda: aside(client), what="the dead letter")
    assert (event_id, "outcome", "a", 3, "answered 503") == dead[:5]
    wait_until(lambda: counted(child, "dead") == 1, what="its count, which follows")
    assert 3 == len(receiver.posts)

    status[0] = 200
    assert 1 == undelivered.redeliver(client, "shop", int(time.time() * 1000))
    assert 0 == undelivered.redeliver(client, "shop", int(time.time() * 1000))
    wait_until(lambda: left(client) == 0, what="it to be taken")
    assert ["a"] * 4 == [post.message for post in receiver.posts]
    assert [] == aside(client)


def test_redis_coming_back_empty_ends_no_dispatcher(
    client: redis.Redis, receiver: Receiver, dispatch: Dispatch
) -> None:
    """The group and the webhook are gone; both can be made again."""
    hook(client, receiver)
    dispatch()
    publish(client, "before")
    wait_until(receiver.got)
    client.flushall()
    time.sleep(0.1)
    hook(client, receiver)
    publish(client, "after")
    wait_until(lambda: "after" in {post.message for post in receiver.posts}, what="the event after the flush")


def test_redis_away_for_a_while_ends_no_dispatcher(receiver: Receiver, dispatch: Dispatch, tmp_path: Path) -> None:
    """It waits, and goes on with what it finds."""
    (tmp_path / "redis").mkdir()
    server = RedisServer(tmp_path / "redis").start()
    client = redis.Redis(port=server.port)
    hook(client, receiver)
    child = dispatch(redis_url=server.url)
    publish(client, "before")
    wait_until(lambda: receiver.posts and left(client) == 0)
    server.kill()
    wait_until(lambda: [one for one in log_of(child) if one["event"] == "housekeeping_failed"])
    server.start()
    publish(client, "after")
    try:
        wait_until(lambda: "after" in {post.message for post in receiver.posts}, what="the event after the outage")
    finally:
        child.stop()
        client.close()
        server.stop()


def test_a_new_secret_is_in_force_within_seconds(client: redis.Redis, receiver: Receiver, dispatch: Dispatch) -> None:
    """Without a restart."""
    old = hook(client, receiver)
    dispatch()
    publish(client, "a")
    wait_until(receiver.got)
    new = registry.put(client, "shop", new_secret=True)[1]

    def signed_with(secret: str) -> bool:
        publish(client, "b")
        time.sleep(0.2)
        last = receiver.posts[-1]
        stamp, signed = last.headers[signature.TIMESTAMP], last.headers[signature.SIGNATURE]
        return signature.verify(secret, stamp, last.body, signed, time.time())

    wait_until(lambda: signed_with(new), what="the new secret")
    assert not signed_with(old)


def test_a_full_backlog_drops_and_logs_it(client: redis.Redis, receiver: Receiver, dispatch: Dispatch) -> None:
    """A dead receiver must not fill the Redis that login codes travel through."""
    receiver.reactions["/hook"] = lambda _: (500, {})
    hook(client, receiver)
    publish(client, *map(str, range(7)))
    child = dispatch(webhook_backlog=5, webhook_delays_seconds="60")
    wait_until(lambda: counted(child, "dropped") == 2, what="two to be dropped")
    assert 5 == left(client)
    assert 2 == len([one for one in log_of(child) if one["event"] == "webhook_dropped"])


def test_a_dispatcher_that_is_stopped_finishes_its_deliveries(
    client: redis.Redis, receiver: Receiver, dispatch: Dispatch
) -> None:
    """A deployment repeats no post."""

    def slowly(_: Any) -> tuple[int, dict[str, str]]:
        time.sleep(0.5)
        return 200, {}

    receiver.reactions["/hook"] = slowly
    hook(client, receiver)
    publish(client, *map(str, range(20)))
    first = dispatch(webhook_timeout_seconds=5)
    wait_until(lambda: len(receiver.posts) >= 8)
    first.stop()
    assert 0 == first.process.returncode
    assert 20 - len(receiver.posts) == left(client)
    dispatch(webhook_timeout_seconds=5)
    wait_until(lambda: left(client) == 0)
    assert 20 == len(receiver.posts)
