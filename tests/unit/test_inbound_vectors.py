"""Requests that other clients of Clickatell have had from it: we understand the same of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest

from threelane.gateways.one import callbacks as one
from threelane.worker.inbound import central, platform
from threelane.worker.inbound.joining import join
from threelane.worker.inbound.report import Inbound
from threelane.worker.reply import words

DATA = Path(__file__).with_name("data").joinpath("inbound_callbacks.json")
CALLBACKS: list[dict[str, Any]] = json.loads(DATA.read_text(encoding="utf-8"))
BY_NAME = {one["name"]: one for one in CALLBACKS}
READERS = {"central": central.read, "platform": platform.read, "one": one.read_request}


def heard(callback: Mapping[str, Any]) -> Inbound:
    """Return what we make of a request, written as a client of HTTP writes it."""
    body = callback["body"] or ""
    if not isinstance(body, str):
        body = urlencode(body) if callback["as_form"] else json.dumps(body)
    return READERS[callback["reads"]](urlencode(callback["query"]).encode(), body.encode())


@pytest.mark.parametrize("callback", CALLBACKS, ids=lambda one: one["name"])
def test_a_request_recorded_by_other_clients_is_read_the_same(callback: dict[str, Any]) -> None:
    """Statuses, replies, probes and refusals."""
    expected = dict(callback["becomes"])
    if "wrong" in expected:
        with pytest.raises(ValueError, match=expected["wrong"]):
            heard(callback)
        return
    meaning, found = expected.pop("meaning", ""), heard(callback)
    assert "" == found.problem
    for kind in ("reports", "replies"):
        actual, wanted = msgspec.to_builtins(getattr(found, kind)), expected.get(kind, [])
        assert len(actual) == len(wanted)
        assert wanted == [{name: one[name] for name in want} for one, want in zip(actual, wanted, strict=True)]
    assert [meaning] * len(found.replies) == [words.build({}).meaning(reply.text) for reply in found.replies]


def test_parts_that_others_have_had_are_one_text() -> None:
    """Whichever comes first."""
    replies = [heard(BY_NAME[f"central-mo-part{number}"]).replies[0] for number in (2, 1)]
    assert "first second" == join({one.part.number: one.text for one in replies if one.part}, 2)
