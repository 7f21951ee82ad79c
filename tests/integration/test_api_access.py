"""Who may do what through the HTTP API: keys, rights, rates, and the logs about them."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest
import redis
from typer.testing import CliRunner

from tests.integration.http_api import Api, now, wide_key
from tests.integration.test_redrive import dead
from tests.servers import RedisServer
from threelane import Producer
from threelane.interfaces.command.line import app
from threelane.producer.http.client import HttpProducer
from threelane.producer.outage import Unavailable
from threelane.runtime.exits import Exit
from threelane.store import access, audit, keys, registry
from threelane.worker.account import hold

HELLO = {"to": "27831234567", "text": "Hello"}


@pytest.fixture
def threelane(monkeypatch: pytest.MonkeyPatch, redis_server: RedisServer, client: redis.Redis) -> Any:
    """The command line on an empty Redis."""
    assert client.ping()
    monkeypatch.setenv("THREELANE_REDIS_URL", redis_server.url)
    return lambda *words: CliRunner().invoke(app, words)


# Keys.


def test_without_a_known_key_nothing_is_shown(api: Api) -> None:
    """401, and how to come by one; a wrong secret is as unknown as a wrong id."""
    token = api.key()
    expired = wide_key(api.redis, expires=now(api.redis) - 1).token
    wrong = [
        "",
        "x",
        "tl_",
        token[:-1],
        token + "a",
        f"tl_{'0' * 12}_{token[16:]}",
        f"TL{token[2:]}",
        "tl_é_x",
        expired,
    ]
    responses = [
        api.request("GET", "/v1/key", headers={"Authorization": f"Bearer {one}".encode()} if one else {})
        for one in wrong
    ]

    assert {(401, 'Bearer realm="threelane"', "operator")} == {
        (one.status, one.headers["www-authenticate"], one.body["owner"]) for one in responses
    }
    assert 200 == api.request("GET", "/v1/key", key=token).status


def test_every_address_needs_a_key(api: Api) -> None:
    """But the probes and the description; an address that is described is guarded."""
    described = api.request("GET", "/openapi.json").body["paths"]
    open_to_all = {
        path
        for path, operations in described.items()
        for method in operations
        if api.request(method.upper(), path.replace("{message_id}", "0" * 32).replace("{", "").replace("}", "")).status
        != 401
    }

    assert {"/health/live", "/health/ready"} == open_to_all


def test_redis_keeps_a_digest_and_no_key(api: Api, client: redis.Redis) -> None:
    """A reader of Redis, or of a copy of its file, cannot send with its content."""
    token = api.key(rate=5)
    api.request("POST", "/v1/messages", HELLO, token)
    stored = b"".join(client.dump(name) or b"" for name in client.scan_iter())

    assert token.split("_", 2)[2].encode() not in stored
    assert 64 == len(msgspec.json.decode(client.hvals(keys.API_KEYS)[0])["digest"])


def test_a_revoked_key_ends_at_once(api: Api) -> None:
    """Also between two requests of one connection."""
    token = api.key()
    with HttpProducer(api.url, token) as producer:
        assert producer.send(**HELLO).accepted
        access.revoke(api.redis, token.split("_")[1])
        with pytest.raises(Unavailable, match="the key is missing, unknown"):
            producer.send(**HELLO)


def test_keys_are_made_listed_and_revoked_by_the_command_line(threelane: Any, api: Api) -> None:
    """Shown once at making; the list never shows them."""
    made = threelane(
        "producers", "key", "make", "shop", "--lane", "3", "--sender", "ACME", "--rate", "50", "--days", "9"
    )
    token = made.output.splitlines()[1].strip()
    listed = threelane("producers", "key", "list", "shop", "--json")
    (row,) = json.loads(listed.output)

    assert ("shop", [3], ["ACME"], 50.0) == tuple(row[name] for name in ("producer", "lanes", "senders", "rate"))
    assert token not in listed.output
    assert "digest" not in row
    assert 200 == api.request("GET", "/v1/key", key=token).status
    assert 0 == threelane("producers", "key", "revoke", row["id"][:8]).exit_code  # its beginning is enough
    assert 401 == api.request("GET", "/v1/key", key=token).status
    assert Exit.NOT_FOUND == threelane("producers", "key", "revoke", row["id"]).exit_code


@pytest.mark.parametrize(
    "words",
    [("sh?op",), ("shop", "--lane", "4"), ("shop", "--sender", "far too long a name"), ("shop", "--rate", "1e9")],
)
def test_a_key_that_cannot_be_is_refused(threelane: Any, client: redis.Redis, words: tuple[str, ...]) -> None:
    """With a sentence, by the rules that messages have."""
    completed = threelane("producers", "key", "make", "--any", *words)

    assert 2 == completed.exit_code
    assert "Traceback" not in completed.output
    assert not client.exists(keys.API_KEYS)


def test_the_keys_of_a_removed_producer_are_revoked(threelane: Any, api: Api) -> None:
    """An operator who removes a producer does not have to remember them."""
    token = api.key("shop")
    other = api.key("other")
    completed = threelane("producers", "remove", "shop")

    assert "1 keys" in completed.output
    assert (401, 200) == (
        api.request("GET", "/v1/key", key=token).status,
        api.request("GET", "/v1/key", key=other).status,
    )


# Rights.


# fmt: off
BEYOND: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"lanes": (2, 3)}, {"lane": 1}, "lane"),
    ({"lanes": (1,)}, {}, "lane"),
    ({"senders": ("ACME",)}, {"from": "OTHER"}, "sender"),
    ({"senders": ("ACME",)}, {}, "sender"),
    ({"cost_centres": ("logins",)}, {"costCentre": "news"}, "cost_centre"),
    ({}, {"legalNotice": 1}, "legal_notice"),
    ({}, {"bypassDNCCheck": 1}, "bypass_dnc"),
    ({}, {"producer": "other"}, "producer"),
]
# fmt: on


@pytest.mark.parametrize(("rights", "more", "field"), BEYOND, ids=str)
def test_a_message_beyond_the_rights_of_its_key_is_refused(
    api: Api, client: redis.Redis, rights: dict[str, Any], more: dict[str, Any], field: str
) -> None:
    """403 with the field, what would be right, and who grants it; the same in a list."""
    registry.put(client, "shop", bypass=True)
    token = api.key("shop", **rights)
    response = api.request("POST", "/v1/messages", HELLO | more, token)
    listed = api.request("POST", "/v1/messages/bulk", {"messages": [HELLO | more]}, token)

    assert (403, field, "operator") == (response.status, response.body["field"], response.body["owner"])
    assert response.body["remedy"]
    assert (field, "operator") == tuple(listed.body["verdicts"][0]["refusal"][name] for name in ("field", "owner"))
    assert 0 == client.zcard(keys.QUEUED[1]) + client.zcard(keys.QUEUED[3])


def test_a_message_within_the_rights_of_its_key_is_sent(api: Api, client: redis.Redis) -> None:
    """Under the producer of the key, and on its first cost centre unless it names another of them."""
    registry.put(client, "shop", bypass=True)
    rights = {"lanes": (1,), "senders": ("ACME", "27600"), "cost_centres": ("logins", "news"), "bypass": True}
    token = api.key("shop", **rights)
    response = api.request("POST", "/v1/messages", HELLO | {"lane": 1, "from": "+27600", "legal_notice": 1}, token)
    named = api.request("POST", "/v1/messages", HELLO | {"lane": 1, "from": "ACME", "cost_centre": "news"}, token)
    records = [client.hmget(keys.record(one.body["id"]), "producer", "centre") for one in (response, named)]

    assert [[b"shop", b"logins"], [b"shop", b"news"]] == records


def test_a_viewer_reads_what_operators_read_and_changes_nothing(api: Api) -> None:
    """For an auditor, or a screen on a wall; it keeps the rights of its own producer."""
    viewer, shop = api.key("audit", viewer=True), api.key("shop")
    sent = api.request("POST", "/v1/messages", {"to": "27831234567", "text": "Hello", "batch": "news"}, shop)
    message_id = sent.body["id"]
    reads = [
        ("GET", "/v1/holds", None),
        ("GET", "/v1/dead-letters", None),
        ("POST", "/v1/messages/search", {}),
        ("GET", f"/v1/messages/{message_id}", None),
        ("GET", f"/v1/messages/{message_id}/timeline", None),
        ("GET", "/v1/batches/news", None),
        ("GET", "/v1/suppressions", None),
    ]
    changes = [
        ("POST", "/v1/holds", {"scope": "account", "cause": "x"}),
        ("DELETE", "/v1/holds/account", None),
        ("POST", "/v1/dead-letters/redrive", {"code": "301"}),
        ("DELETE", f"/v1/messages/{message_id}", None),
        ("DELETE", "/v1/batches/news", None),
        ("PATCH", f"/v1/schedules/{message_id}", {"deliver_at": "2031-06-30T14:00:00Z"}),
        ("POST", "/v1/suppressions", {"number": "27831234567"}),
        ("POST", "/v1/suppressions/lift", {"number": "27831234567"}),
    ]
    assert [200] * len(reads) == [api.request(*one, viewer).status for one in reads]
    assert [403] * len(changes) == [api.request(*one, viewer).status for one in changes]
    assert "queued" == api.request("GET", f"/v1/messages/{message_id}", None, shop).body["status"]


def test_operator_actions_need_the_operator_right(api: Api) -> None:
    """The right is named, with the command that grants it."""
    plain, operator = api.key("shop"), api.key("ops", operator=True)
    requests = [
        ("GET", "/v1/holds", None, "viewer"),
        ("DELETE", "/v1/holds/account", None, "operator"),
        ("GET", "/v1/dead-letters", None, "viewer"),
        ("POST", "/v1/dead-letters/redrive", {"code": "301"}, "operator"),
        ("POST", "/v1/messages/search", {}, "viewer"),
        ("GET", "/v1/suppressions", None, "suppression"),
        ("POST", "/v1/suppressions", {"number": "27831234567"}, "suppression"),
        ("POST", "/v1/suppressions/lift", {"number": "27831234567"}, "suppression"),
    ]
    responses = [api.request(method, path, body, plain) for method, path, body, _ in requests]

    assert [403] * len(requests) == [one.status for one in responses]
    assert [f"this key lacks the right {right!r}" for *_, right in requests] == [
        one.body["detail"] for one in responses
    ]
    assert {200, 404} == {api.request(method, path, body, operator).status for method, path, body, _ in requests}


# Rates.


def test_a_used_up_rate_is_answered_with_retry_after(api: Api) -> None:
    """429 with Retry-After, and nothing is sent; the client raises with the seconds."""
    token = api.key("shop", rate=0.01)
    responses = [api.request("POST", "/v1/messages", HELLO, token) for _ in range(2)]

    assert [201, 429] == [one.status for one in responses]
    assert 0 < int(responses[1].headers["retry-after"]) <= 100
    assert "operator" == responses[1].body["owner"]
    with HttpProducer(api.url, token) as producer, pytest.raises(Unavailable) as away:
        producer.send(**HELLO)
    assert 0 < away.value.retry_after <= 100


def test_a_list_counts_by_its_messages(api: Api) -> None:
    """It is taken as a whole, and paid for by those that come after it."""
    token = api.key("shop", rate=1)
    first = api.request("POST", "/v1/messages/bulk", {"messages": [HELLO] * 500}, token)
    second = api.request("GET", "/v1/key", key=token)

    assert (200, 429) == (first.status, second.status)
    assert 400 < int(second.headers["retry-after"]) <= 500


def test_a_rate_fills_up_by_the_clock_of_redis(client: redis.Redis) -> None:
    """A share for each millisecond, never more than a second's worth, and nothing by a clock that goes back."""
    key = wide_key(client, rate=10.0).key
    times = [0] * 10 + [0, 50, 100, 100, 50, 5_000, *[5_000] * 9, 5_000]
    answers = [access.take(client, key, 1_000_000 + at) for at in times]

    assert [0] * 10 + [100, 50, 0, 100, 100, *[0] * 10, 100] == answers
    assert 0 < client.pttl(keys.api_rate(key.id)) <= 3_000


# Operators.


def test_a_hold_is_put_listed_and_lifted(api: Api) -> None:
    """By the functions of the command line."""
    token = api.key("ops", operator=True)
    put = api.request("POST", "/v1/holds", {"scope": "sender:ACME", "cause": "requested by legal"}, token)
    listed = api.request("GET", "/v1/holds", key=token)
    lifted = [api.request("DELETE", "/v1/holds/sender:ACME", key=token).status for _ in range(2)]
    wrong = [
        api.request("POST", "/v1/holds", body, token).body["field"]
        for body in ({"scope": "x", "cause": "y"}, {"scope": "account", "cause": ""})
    ]

    assert (200, ["sender:ACME"]) == (put.status, [one["scope"] for one in listed.body])
    assert [200, 404] == lifted
    assert ["scope", "cause"] == wrong
    assert {} == hold.holds(api.redis, now(api.redis))


def test_a_number_is_suppressed_checked_and_lifted(api: Api) -> None:
    """In bodies alone; a message to it is refused with 122 meanwhile."""
    token = api.key("shop", suppression=True, evidence=True, texts=True)
    number = {"number": "+27 83 123 4567"}
    put = api.request("POST", "/v1/suppressions", number | {"evidence": "called", "days": 1}, token)
    refused = api.request("POST", "/v1/messages", HELLO, token)
    checked = api.request("POST", "/v1/suppressions/check", number, api.key("other"))
    page = api.request("GET", "/v1/suppressions", key=token)
    lifted = [api.request("POST", "/v1/suppressions/lift", number, token).body["lifted"] for _ in range(2)]

    assert (200, True) == (put.status, put.body["suppressed"])
    assert (422, "122", "recipient") == (refused.status, refused.body["code"], refused.body["owner"])
    assert put.body["entries"][0] == checked.body["entries"][0] | {"evidence": "called"}
    (row,) = page.body["numbers"]
    assert ("27831234567", "called") == (row["number"], row["entries"][0]["evidence"])
    assert [1, 0] == lifted
    changes = [(re.sub("k[0-9a-f]{12}", "k", one.who), one.what, one.detail) for one in audit.read(api.redis, 9)]
    assert [
        ("key k of shop", "suppression", "27831******: 1 entries removed (of any source)"),
        ("key k of shop", "suppression", "27831****** is suppressed (all) for 1 days"),
    ] == changes
    assert 201 == api.request("POST", "/v1/messages", HELLO, token).status


def test_dead_letters_are_listed_shown_and_redriven_once(
    api: Api, producer: Producer, redis_server: RedisServer, client: redis.Redis
) -> None:
    """A dry run reports and changes nothing; the same redrive twice puts each back once."""
    ids = sorted(dead(producer, redis_server, 3))  # they died in one millisecond
    token = api.key("ops", operator=True)
    wanted = {"code": "113"}
    listed = api.request("GET", "/v1/dead-letters?code=113&most=2", key=token)
    shown = api.request("GET", f"/v1/dead-letters/{ids[0]}", key=token)
    one = api.request("POST", "/v1/dead-letters/redrive", {"ids": [ids[0], ids[0]]}, token)
    plan = api.request("POST", "/v1/dead-letters/redrive", wanted | {"dry_run": True}, token)
    responses = [
        api.request("POST", "/v1/dead-letters/redrive", wanted, token).body["answers"]["redriven"] for _ in range(2)
    ]

    assert [(ids[0], "113", "producer"), (ids[1], "113", "producer")] == [
        (one["id"], one["code"], one["owner"]) for one in listed.body
    ]
    assert ("dead", "113") == (shown.body["message"]["status"], shown.body["rule"]["code"])
    assert [{"id": ids[0], "answer": "redriven", "status": "queued"}] == one.body["messages"]
    assert (2, {"113": 2}) == (plan.body["plan"]["messages"], plan.body["plan"]["by_code"])
    assert [2, 0] == responses
    assert 404 == api.request("GET", f"/v1/dead-letters/{ids[0]}", key=token).status
    assert 0 == client.zcard(keys.DEAD)


def test_a_redrive_needs_a_criterion(api: Api) -> None:
    """Nothing at all would be everything; ids and a filter contradict each other."""
    token = api.key("ops", operator=True)
    bodies: list[tuple[dict[str, Any], str]] = [
        ({}, "ids"),
        ({"ids": ["0" * 32], "code": "301"}, "ids"),
        ({"ids": ["0" * 32], "dry_run": True}, "dry_run"),
        ({"ids": ["x"]}, "ids[0]"),
        ({"after": "2031-01-01"}, "after"),
        ({"to": "0831234567"}, "to"),
        ({"lane": 4}, "lane"),
        ({"sender": "ACME"}, "body"),
    ]
    responses = [api.request("POST", "/v1/dead-letters/redrive", body, token) for body, _ in bodies]

    assert [(422, field) for _, field in bodies] == [(one.status, one.body["field"]) for one in responses]
    assert 200 == api.request("POST", "/v1/dead-letters/redrive", {"all": True}, token).status


def test_a_message_is_found_and_explained(api: Api) -> None:
    """The producer sees the story of its own message; an operator finds it by any criterion."""
    token, operator = api.key("shop"), api.key("ops", operator=True)
    sent = api.request("POST", "/v1/messages", HELLO | {"client_message_id": "a1", "batch": "b"}, token).body["id"]
    story = api.request("GET", f"/v1/messages/{sent}/timeline", key=token)
    found = [
        api.request("POST", "/v1/messages/search", body, operator).body
        for body in ({"batch": "b"}, {"to": "+27 83 123 4567", "status": "queued"}, {"batch": "c"})
    ]
    counted = [api.request("GET", "/v1/batches/b", key=one) for one in (token, operator, api.key("other"))]

    assert ("accepted", "lane") == (story.body["steps"][0]["what"], story.body["pending"]["cause"])
    assert "Hello" not in str(story.body)
    assert 404 == api.request("GET", f"/v1/messages/{sent}/timeline", key=api.key("other")).status
    assert [[sent], [sent], []] == [[one["id"] for one in rows] for rows in found]
    assert [200, 200, 404] == [one.status for one in counted]
    assert {"queued": 1} == counted[0].body["by_status"]
    assert {"ZA": {"messages": 1, "parts": 1, "estimate_millionths": 1_000_000}} == counted[0].body["by_country"]
    wrong = api.request("POST", "/v1/messages/search", {"status": "lost"}, operator)
    assert (422, "status") == (wrong.status, wrong.body["field"])
