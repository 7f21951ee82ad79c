"""What lies in a lane's queue is a nudge, or is dropped with the reason; nothing in it can make a worker fail."""

from __future__ import annotations

import base64
import json
import logging
from typing import Any

import pytest

from threelane.producer import nudge_redis, task_message
from threelane.store import keys
from threelane.worker.fetch.nudge import DroppedNudges, NoNudge, NudgeProblem, from_amqp, from_list, read

IDS = [f"{number:032x}" for number in range(99)]
GOOD = json.loads(nudge_redis._envelope(1, task_message.body(1, IDS)))


def changed(**values: Any) -> bytes:
    return json.dumps({**GOOD, **values}).encode()


def encoded(body: bytes) -> str:
    return base64.b64encode(body).decode()


ENTRIES: dict[str, tuple[bytes, NudgeProblem]] = {
    "no JSON": (b"not json", NudgeProblem.NOT_JSON),
    "nothing": (b"", NudgeProblem.NOT_JSON),
    "no UTF-8": (b"\xff\xfe", NudgeProblem.NOT_JSON),
    "nested": (b"[" * 100_000, NudgeProblem.NOT_JSON),
    "huge": (b'"' + b"x" * 2_000_000 + b'"', NudgeProblem.TOO_LONG),
    "a list": (b"[]", NudgeProblem.ENVELOPE),
    "an empty object": (b"{}", NudgeProblem.ENVELOPE),
    "a number": (b"1e999", NudgeProblem.NOT_JSON),
    "no headers": (changed(headers=None), NudgeProblem.ENVELOPE),
    "no body": (changed(body=None), NudgeProblem.ENVELOPE),
    "no task": (changed(headers={}), NudgeProblem.TASK),
    "another task": (changed(headers={"task": "celery.backend_cleanup"}), NudgeProblem.TASK),
    "no base64": (changed(body="!"), NudgeProblem.BODY),
    "another encoding": (changed(properties={}), NudgeProblem.BODY),
    "no arguments": (changed(body=encoded(b"[]")), NudgeProblem.BODY),
    "another lane": (changed(body=encoded(b'[[9,["a"]],{},{}]')), NudgeProblem.BODY),
    "a lane that is no number": (changed(body=encoded(b'[["1",["a"]],{},{}]')), NudgeProblem.BODY),
    "ids that are numbers": (changed(body=encoded(b"[[1,[2]],{},{}]")), NudgeProblem.BODY),
    "too many ids": (changed(body=encoded(json.dumps([[1, ["a"] * 1001], {}, {}]).encode())), NudgeProblem.BODY),
}


@pytest.mark.parametrize("name", ENTRIES)
def test_what_is_no_nudge_is_recognised_with_its_problem(name: str) -> None:
    """Celery would raise at it, and end the worker."""
    item, problem = ENTRIES[name]

    with pytest.raises(NoNudge) as refused:
        from_list(item, "sms.1")
    assert problem is refused.value.problem


def test_of_a_nudge_only_lane_and_ids_are_used() -> None:
    """Whatever its headers hold, Celery gets ours, and a tag that no other nudge has."""
    odd = {"task": keys.TASK, "eta": "x", "expires": [], "retries": "many", "compression": "zlib"}
    envelopes = [from_list(changed(headers=odd), "sms.2") for _ in range(2)]

    assert [json.loads(task_message.body(1, IDS))] * 2 == [
        json.loads(base64.b64decode(one["body"])) for one in envelopes
    ]
    assert {None} == {one["headers"]["eta"] for one in envelopes}
    assert {"sms.2"} == {one["properties"]["delivery_info"]["routing_key"] for one in envelopes}
    assert 2 == len({one["properties"]["delivery_tag"] for one in envelopes})


def test_a_nudge_of_rabbitmq_is_read_by_the_same_rules() -> None:
    """Its headers and its body come from the same producers, or from the same strangers."""
    body, properties = from_amqp(task_message.headers("t"), task_message.body(3, IDS))
    assert (3, IDS) == tuple(read(body))
    assert "application/json" == properties["content_type"]

    for headers, given, problem in (
        (None, b"{}", NudgeProblem.ENVELOPE),
        ({}, b"{}", NudgeProblem.TASK),
        ({"task": keys.TASK}, b"\xff", NudgeProblem.BODY),
        ({"task": keys.TASK}, "\udcff", NudgeProblem.BODY),
    ):
        with pytest.raises(NoNudge) as refused:
            from_amqp(headers, given)
        assert problem is refused.value.problem


def test_each_problem_is_logged_once_with_a_short_visible_beginning(caplog: pytest.LogCaptureFixture) -> None:
    """A thousand of them are one line, without escapes that act on a terminal, and without numbers of people."""
    caplog.set_level(logging.INFO, "threelane")
    dropped = DroppedNudges()
    assert "" == dropped.report(1000)
    for _ in range(3):
        dropped.note("sms.1", NudgeProblem.NOT_JSON, b"\x1b[2J 27831234567 \xff" + b"=" * 5000)
    dropped.note("sms.2", NudgeProblem.TASK, b"{}")

    logged = [one.fields for one in caplog.records]  # type: ignore[attr-defined]
    assert [("sms.1", "not_json", 5018), ("sms.2", "task", 2)] == [
        (one["queue"], one["problem"], one["bytes"]) for one in logged
    ]
    assert logged[0]["begins"].startswith("\\x1b[2J * \\xff===")
    assert 200 > len(logged[0]["begins"])
    assert ["not_json=3", "task=1"] == dropped.report(1_000_000).split()[1:]
