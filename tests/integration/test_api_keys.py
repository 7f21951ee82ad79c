"""API keys: explicit limits, new secrets with an overlap, and what a key may read."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis

from tests.integration.http_api import Api, now, wide_key
from tests.integration.test_api_access import HELLO, threelane
from threelane.operations import doctor
from threelane.runtime.exits import Exit
from threelane.store import access, keys, last_used, overlap, registry
from threelane.worker.policy.ours import OURS

__all__ = ["threelane"]
LIMITED: dict[str, Any] = {"lanes": (3,), "senders": ("ACME",), "rate": 50.0, "expires": 2**45}
AS_CREATED_BEFORE = ("evidence", "rotated", "earlier")  # fields that earlier versions did not write


def as_created_before(client: redis.Redis, key: access.NewApiKey) -> str:
    """Store a key as an earlier version did, and return its token."""
    row = msgspec.json.decode(client.hget(keys.API_KEYS, key.key.id) or b"")
    for name in AS_CREATED_BEFORE:
        del row[name]
    client.hset(keys.API_KEYS, key.key.id, msgspec.json.encode(row))
    return key.token


# Limits.


@pytest.mark.parametrize("left_out", LIMITED)
def test_a_key_without_an_explicit_limit_is_refused(client: redis.Redis, left_out: str) -> None:
    """Nobody gets all lanes, any sender, no rate or no end by leaving something out."""
    rights = {name: value for name, value in LIMITED.items() if name != left_out}
    with pytest.raises(access.MissingLimits, match=f"missing: {left_out};"):
        access.create(client, "shop", now(client), **rights)

    assert not client.exists(keys.API_KEYS)
    assert not access.create(client, "shop", now(client), **LIMITED).key.is_wide


def test_a_refusal_shows_the_missing_options_and_commands_that_work(threelane: Any, client: redis.Redis) -> None:
    """Both proposed commands, as printed, create the key with what was given."""
    refused = threelane("producers", "key", "make", "shop", "--lane", "1", "--note", "night shift")
    proposed = [line.strip() for line in refused.output.splitlines() if line.startswith("  ")]

    assert Exit.USAGE == refused.exit_code
    assert "missing: --sender, --rate, --days" in refused.output
    assert not client.exists(keys.API_KEYS)
    for line in proposed:
        completed = threelane(*shlex.split(line)[1:])
        assert 0 == completed.exit_code, completed.output
    made = sorted(access.list_keys(client), key=lambda one: one.rate)
    assert [((1,), (), 0.0, "night shift"), ((1,), ("ACME",), 50.0, "night shift")] == [
        (one.lanes, one.senders, one.rate, one.note) for one in made
    ]
    assert [True, False] == [one.is_wide for one in made]


def test_doctor_and_the_list_show_wide_keys(threelane: Any, client: redis.Redis) -> None:
    """A warning for the operator, also about keys of earlier versions, which keep working."""
    access.create(client, "mail", now(client), **LIMITED)
    old = wide_key(client)
    as_created_before(client, old)
    (found,) = [one for one in doctor.diagnose(client, now(client), OURS) if one.what == "API keys"]
    listed = json.loads(threelane("producers", "key", "list", "--json").output)

    assert ("warning", "operator") == (found.grade, found.owner)
    assert f"{old.key.id} of shop (all lanes, any sender, no rate limit, no expiry)" in found.detail
    assert {"mail": False, "shop": True} == {one["producer"]: one["wide"] for one in listed}
    assert access.authenticate(client, old.token, now(client))


# Secrets.


def test_both_secrets_are_valid_during_the_overlap(client: redis.Redis) -> None:
    """A service changes its secret without a refused request; afterwards only the new one is valid."""
    at = now(client)
    made = access.create(client, "shop", at, **LIMITED)
    rotated = access.rotate(client, made.key.id, at, overlap_ms=3_600_000)
    assert rotated

    def valid(when: int) -> list[bool]:
        return [access.authenticate(client, one.token, when) is not None for one in (made, rotated)]

    assert [True, True] == valid(at + 3_599_999)
    assert [False, True] == valid(at + 3_600_000)
    assert (made.key.id, made.key.senders) == (rotated.key.id, rotated.key.senders)


def test_a_second_rotation_keeps_the_secret_in_use(client: redis.Redis) -> None:
    """Whoever loses a new secret rotates again: the one that the service uses still has its time, and no more."""
    at = now(client)
    made = access.create(client, "shop", at, **LIMITED)
    access.rotate(client, made.key.id, at, overlap_ms=1_000)
    access.rotate(client, made.key.id, at, overlap_ms=9_000)

    assert access.authenticate(client, made.token, at + 999)
    assert access.authenticate(client, made.token, at + 1_000) is None


def test_a_rotation_without_an_overlap_ends_all_earlier_secrets(client: redis.Redis) -> None:
    """After a leak, the leaked secret must not live on in an earlier overlap."""
    at = now(client)
    made = access.create(client, "shop", at, **LIMITED)
    second = access.rotate(client, made.key.id, at, overlap_ms=9_000)
    third = access.rotate(client, made.key.id, at, overlap_ms=0)
    assert second
    assert third

    assert [None, None] == [access.authenticate(client, one.token, at) for one in (made, second)]
    assert access.authenticate(client, third.token, at)


def test_a_key_has_few_secrets_at_once(client: redis.Redis) -> None:
    """A loop that rotates does not grow the check of each request."""
    at = now(client)
    made = access.create(client, "shop", at, **LIMITED)
    for _ in range(overlap.MOST_EARLIER):
        access.rotate(client, made.key.id, at, overlap_ms=9_000)
    with pytest.raises(ValueError, match="overlap of 0"):
        access.rotate(client, made.key.id, at, overlap_ms=9_000)


def test_the_list_shows_when_each_secret_was_last_used(threelane: Any, client: redis.Redis) -> None:
    """An operator sees that the earlier secret is unused before it ends; the record goes with the key."""
    at = now(client)
    made = access.create(client, "shop", at, **LIMITED)
    access.authenticate(client, made.token, at)
    completed = threelane("producers", "key", "rotate", made.key.id, "--overlap", "24", "--json")
    (row,) = json.loads(threelane("producers", "key", "list", "--json").output)

    assert 0 == completed.exit_code
    assert (0, [at]) == (row["last_used"], [one["last_used"] for one in row["earlier"]])
    assert at + 23 * 3_600_000 < row["earlier"][0]["until"]
    access.authenticate(client, json.loads(completed.output)["key"], at + 5)
    assert at + 5 == json.loads(threelane("producers", "key", "list", "--json").output)[0]["last_used"]
    access.revoke(client, made.key.id)
    assert not client.exists(keys.API_USED)


def test_a_use_is_written_once_a_minute(client: redis.Redis) -> None:
    """The check of a key stays one read."""
    made = access.create(client, "shop", now(client), **LIMITED)
    at = now(client)
    for moment in (at, at + 1, at + last_used.COARSE_MS - 1):
        access.authenticate(client, made.token, moment)
    (first,) = last_used.read_all(client).values()
    access.authenticate(client, made.token, at + last_used.COARSE_MS)
    (second,) = last_used.read_all(client).values()

    assert [at, at + last_used.COARSE_MS] == [first, second]


@pytest.mark.parametrize("words", [("make", "shop", "--any"), ("rotate", "", "--overlap", "1")])
def test_a_secret_goes_to_a_file_of_its_owner_alone(
    threelane: Any, client: redis.Redis, tmp_path: Path, words: tuple[str, ...]
) -> None:
    """Not to the scrollback of a terminal; an existing file is kept, and then there is no new secret either."""
    made = wide_key(client)
    file = tmp_path / "shop.key"
    before = client.hgetall(keys.API_KEYS)
    completed = threelane("producers", "key", *(one or made.key.id for one in words), "--key-file", str(file))
    token = file.read_text(encoding="utf-8").strip()

    assert 0 == completed.exit_code
    assert token not in completed.output
    assert 0o600 == file.stat().st_mode & 0o777
    assert access.authenticate(client, token, now(client))
    assert before != client.hgetall(keys.API_KEYS)
    after = client.hgetall(keys.API_KEYS)
    again = threelane("producers", "key", *(one or made.key.id for one in words), "--key-file", str(file))
    assert (Exit.USAGE, after) == (again.exit_code, client.hgetall(keys.API_KEYS))
    assert token == file.read_text(encoding="utf-8").strip()


def test_a_failed_command_leaves_no_file(threelane: Any, client: redis.Redis, tmp_path: Path) -> None:
    """An empty file would look like a key."""
    assert client.ping()
    file = tmp_path / "shop.key"
    refused = threelane("producers", "key", "make", "shop", "--key-file", str(file))
    unknown = threelane("producers", "key", "rotate", "k0", "--overlap", "1", "--key-file", str(file))

    assert [Exit.USAGE, Exit.NOT_FOUND] == [refused.exit_code, unknown.exit_code]
    assert not file.exists()


def test_no_repr_shows_a_secret(client: redis.Redis) -> None:
    """A value ends up in a log or an error sooner or later."""
    made = wide_key(client)
    rotated = access.rotate(client, made.key.id, now(client), 9_000)
    assert rotated
    shown = repr(made) + repr(rotated) + repr(rotated.key.earlier)

    assert not [one for one in (made.token, rotated.token, made.key.digest, rotated.key.digest) if one in shown]


# Reading.


def test_numbers_of_others_are_masked_without_the_right_texts(api: Api) -> None:
    """In every answer to an operator key; a producer reads the numbers that it gave."""
    own = api.key("shop")
    sent = api.request("POST", "/v1/messages", HELLO | {"delay": 600, "batch": "b"}, own).body["id"]
    before = as_created_before(api.redis, wide_key(api.redis, "ops", operator=True))
    reads = [
        ("GET", f"/v1/messages/{sent}", None),
        ("GET", f"/v1/messages/{sent}/timeline", None),
        ("GET", "/v1/schedules", None),
        ("POST", "/v1/messages/search", {"batch": "b"}),
        ("POST", "/v1/messages/search", {"to": "27831234567"}),
    ]

    def numbers(key: str, requests: list[Any]) -> list[tuple[int, bool, bool]]:
        answers = [api.request(method, path, body, key) for method, path, body in requests]
        return [(one.status, "27831234567" in str(one.body), "27831******" in str(one.body)) for one in answers]

    assert [(200, True, False)] * 3 == numbers(own, reads[:3])
    assert [(200, False, True)] * 5 == numbers(api.key("ops", operator=True), reads)
    assert [(200, True, False)] * 5 == numbers(api.key("ops", operator=True, texts=True), reads)
    assert [(200, True, False)] * 3 == numbers(api.key("shop", operator=True), reads[:3])  # its own, still
    assert [(200, True, False)] * 5 == numbers(before, reads)  # keys of earlier versions keep their rights


def test_evidence_and_numbers_of_the_list_need_their_rights(api: Api) -> None:
    """The list is read without them: who is on it is masked, and why is left out."""
    writer = api.key("clinic", suppression=True)
    api.request("POST", "/v1/suppressions", {"number": "27831234567", "evidence": "patient of Dr X called"}, writer)
    before = as_created_before(api.redis, wide_key(api.redis, "ops", suppression=True))
    rights: list[dict[str, bool]] = [{}, {"evidence": True}, {"texts": True}, {"operator": True, "texts": True}]
    tokens = [*(api.key("ops", suppression=True, **one) for one in rights), before]
    pages = [str(api.request("GET", "/v1/suppressions", key=one).body) for one in tokens]

    assert [(False, False), (True, False), (False, True), (False, True), (True, True)] == [
        ("patient" in one, "27831234567" in one) for one in pages
    ]


def test_lists_that_are_sent_at_once_owe_the_rate_once(client: redis.Redis) -> None:
    """Each had paid its first unit, so six lists of a key with a rate of 5 put 60,000 messages in at one moment."""
    at = now(client)
    key = access.create(client, "shop", at, **{**LIMITED, "rate": 5}).key
    assert [0] * 3 == [access.take(client, key, at) for _ in range(3)]

    assert 0 == access.take(client, key, at, 9_999, owed=True)
    assert [True, True] == [access.take(client, key, at, 9_999, owed=True) > 1_999_000 for _ in range(2)]


@pytest.mark.parametrize("owed", [True, False])
def test_what_the_rate_of_the_producer_refuses_costs_the_key_nothing(client: redis.Redis, owed: bool) -> None:
    """A list that was refused must not block the key for the time that it would have cost."""
    at, units = now(client), 500 if owed else 1
    key = access.create(client, "shop", at, unlimited=True, rate=10.0).key
    other = access.create(client, "shop", at, unlimited=True, rate=10.0).key
    registry.put(client, "shop", rate=2.0)
    assert 0 == access.take(client, other, at, 8, owed=True)
    assert 0 < access.take(client, key, at, units, owed=owed)

    registry.put(client, "shop", rate=0.0)
    assert [0] * 10 == [access.take(client, key, at) for _ in range(10)]
    assert 0 < access.take(client, key, at)
