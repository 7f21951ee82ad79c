"""Rotation: secrets changed all at once, so operators put it off; and what a holder of an old secret can still do."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import redis

from tests.attack.test_wide_keys import made, threelane
from tests.integration.conftest import SECRET, api, running_api, threelane_child
from tests.integration.http_api import Api
from tests.integration.receiver import Receiver
from tests.integration.test_callbacks import Caller
from tests.integration.test_webhooks import Dispatch, dispatch, hook, publish, receiver
from tests.servers import RedisServer, wait_until
from threelane.contract import signature
from threelane.producer.http.client import HttpProducer
from threelane.store import keys

__all__ = ["api", "dispatch", "receiver", "running_api"]
OLD = "0ldSecret" * 3


def rotated(server: RedisServer, token: str, hours: str) -> str:
    """Return the new token of a key that the command line rotates."""
    done = threelane(server, "producers", "key", "rotate", token.split("_")[1], "--overlap", hours, "--json")
    new: str = json.loads(done.stdout)["key"]
    return new


def test_a_service_changes_its_key_without_a_refused_request(
    api: Api, client: redis.Redis, redis_server: RedisServer
) -> None:
    """Both secrets send, on one rate; afterwards the earlier one is refused, whoever still has it."""
    old = made(redis_server, "shop", "--any")
    with HttpProducer(api.url, old) as service:
        new = rotated(redis_server, old, "1")
        assert service.send(to="27831234567", text="a").accepted
        with HttpProducer(api.url, new) as successor:
            assert successor.send(to="27831234567", text="b").accepted
    (listed,) = json.loads(threelane(redis_server, "producers", "key", "list", "--json").stdout)
    leaked = rotated(redis_server, new, "0")

    assert 0 < listed["last_used"]
    assert [True] == [0 < one["last_used"] for one in listed["earlier"]]
    assert [401, 401, 200] == [api.request("GET", "/v1/key", key=one).status for one in (old, new, leaked)]


def test_the_end_of_an_overlap_cannot_be_moved(api: Api, client: redis.Redis, redis_server: RedisServer) -> None:
    """A holder of the old secret gains nothing from further rotations, nor from an expired key."""
    stolen = made(redis_server, "shop", "--any")
    current = rotated(redis_server, stolen, "1")
    key_id = stolen.split("_")[1]
    row = json.loads(client.hget(keys.API_KEYS, key_id) or b"")
    row["earlier"][0]["until"] = int(time.time() * 1000) - 1  # as an hour later
    client.hset(keys.API_KEYS, key_id, json.dumps(row))
    refused = api.request("GET", "/v1/key", key=stolen).status
    newest = rotated(redis_server, current, "24")

    assert 401 == refused
    assert [401, 200, 200] == [api.request("GET", "/v1/key", key=one).status for one in (stolen, current, newest)]


def test_no_secret_of_a_key_stands_in_redis_or_in_an_output(
    api: Api, client: redis.Redis, redis_server: RedisServer, tmp_path: Path
) -> None:
    """With a key file, not even in the scrollback of the terminal that created it."""
    file = tmp_path / "shop.key"
    done = threelane(redis_server, "producers", "key", "make", "shop", "--any", "--key-file", str(file))
    token = file.read_text(encoding="utf-8").strip()
    next_file = tmp_path / "next.key"
    key_id = token.split("_")[1]
    again = threelane(
        redis_server, "producers", "key", "rotate", key_id, "--overlap", "1", "--key-file", str(next_file)
    )
    tokens = [token, next_file.read_text(encoding="utf-8").strip()]
    statuses = [api.request("GET", "/v1/key", key=one).status for one in tokens]
    listed = threelane(redis_server, "producers", "key", "list", "--json")
    seen = "".join(one.stdout + one.stderr for one in (done, again, listed))
    seen += "".join((client.dump(name) or b"").decode("latin-1") for name in client.scan_iter())

    assert [200, 200] == statuses
    assert [0o600, 0o600] == [one.stat().st_mode & 0o777 for one in (file, next_file)]
    assert [] == [one for one in tokens if one.split("_", 2)[2] in seen]


def test_a_receiver_changes_its_webhook_secret_without_a_refused_post(
    client: redis.Redis, redis_server: RedisServer, receiver: Receiver, dispatch: Dispatch
) -> None:
    """Each post of the overlap is right for the old and for the new secret; a forger's are for neither."""
    old = hook(client, receiver)
    done = threelane(redis_server, "producers", "set", "shop", "--new-secret", "--overlap", "1", "--json")
    new = json.loads(done.stdout)["secret"]
    dispatch()
    publish(client, "a")
    (post,) = wait_until(receiver.got, what="the post")
    ended = threelane(redis_server, "producers", "set", "shop", "--new-secret", "--json")
    newest = json.loads(ended.stdout)["secret"]

    def is_signed_by_the_newest_alone() -> bool:
        publish(client, "b")
        last: Any = receiver.posts[-1]
        return verified(newest, last) and not verified(old, last) and not verified(new, last)

    first = post.headers[signature.SIGNATURE]
    for known, right in ((old, True), ((new, old), True), (new, False)):  # a receiver that checks the first header
        assert right == signature.verify(known, post.headers[signature.TIMESTAMP], post.body, first, time.time())
    assert [True, True, True] == [verified(one, post) for one in (old, new, (old, new))]
    assert [False, False] == [verified(one, post) for one in ("guessed", newest)]
    wait_until(is_signed_by_the_newest_alone, what="the overlap to end")


def verified(secret: Any, post: Any) -> bool:
    """Verify a post as a receiver does: it may hold one secret, or both."""
    headers, event = post.headers, post.headers[signature.EVENT]
    signed = headers[signature.SIGNATURE_V2]
    return signature.verify(secret, headers[signature.TIMESTAMP], post.body, signed, time.time(), event=event)


def test_clickatell_is_changed_while_both_callback_secrets_are_accepted(
    client: redis.Redis, base_environment: dict[str, str], tmp_path: Path
) -> None:
    """The metric shows that the old one is still used; without the setting, it is refused."""
    overlapping = base_environment | {"THREELANE_CALLBACK_SECRET_PREVIOUS": OLD}
    used: list[tuple[int, int]] = []
    for number, environment in enumerate((overlapping, base_environment)):
        child = threelane_child("callbacks", tmp_path, environment, number)
        try:
            address = child.event("callbacks")["url"]
            statuses = [
                Caller(address.replace("<secret>", one)).report("0" * 32, "004") for one in (SECRET, OLD, "x" * 27)
            ]
            with urlopen(child.event("metrics")["url"]) as exposed:
                counts = exposed.read().decode()
        finally:
            child.stop()
        used.append((statuses[1], counts.count('used="previous"} 1.0')))
        assert [200, 404] == [statuses[0], statuses[2]]
        assert OLD not in child.log.read_text(encoding="utf-8")

    assert [(200, 1), (404, 0)] == used
