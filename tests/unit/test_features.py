"""What gateways declare to carry is held against what the gateways really put on the wire."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from threelane.contract import message
from threelane.contract.features import refuse
from threelane.contract.gateways import ABILITIES, FEATURES, NEVER, OURS, declared
from threelane.contract.message import Draft, Message
from threelane.contract.refusal import Refusal
from threelane.gateways.http import gateway as http
from threelane.gateways.one import gateway as one
from threelane.gateways.platform import gateway as platform
from threelane.gateways.rest import gateway as rest
from threelane.gateways.xml import gateway as xml
from threelane.operations import apis

NOW = 1_800_000_000_000
ORDERS: dict[str, Callable[[Message, int], Mapping[str, Any]]] = {
    "http": http.form,
    "rest": rest.order,
    "xml": xml.order,
    "one": one.order,
    "platform": platform.order,
}
FIELDS: dict[str, dict[str, Any]] = {
    "to": {},
    "text": {},
    "sender": {"sender": "12025550100"},
    "client_message_id": {},
    "max_message_parts": {},
    "lane": {"lane": 1},
    "callback": {},
    "validity_period": {"validity_period": 60},
    "deliver_at": {"delay": 60},
    "at_gateway": {"delay": 1200, "at_gateway": 1},
    "unicode": {"text": "Привет"},
    "udh": {"udh": "06050415810000"},
    "binary": {"binary": "0102", "text": None},
    "flash": {"type": "flash"},
    "old_type": {"type": "SMS_NOKIA_OLOGO", "data": "0102", "text": None},
    "message_class": {"mclass": 1, "data": "0102", "text": None},
    "handset_receipt": {"deliv_ack": 0},
    "max_credits": {"max_credits": 1.5},
    "escalate": {"escalate": 1},
    "mo": {"mo": 1},
    "required_features": {"required_features": 16},
    "bypass_dnc": {"bypass_dnc": 1},
    "channel": {"channel": "whatsapp"},
}


def _message_with(name: str) -> Message:
    draft = message.parse({"to": "27831234567", "text": "Hello"} | FIELDS[name], NOW)
    assert isinstance(draft, Draft), draft
    return draft.message


@pytest.mark.parametrize("api", ORDERS)
@pytest.mark.parametrize("feature", FEATURES)
def test_a_feature_is_sent_as_declared_or_refused(feature: str, api: str) -> None:
    """No feature is dropped silently: it is on the wire, done by us, or refused at accept."""
    wanted, parameter = _message_with(feature), declared()[api].parameter(feature)
    if parameter == NEVER:
        refused = refuse(wanted, api)
        assert isinstance(refused, Refusal)
        assert ("101", True) == (refused.code, api in refused.problem)
        return
    assert refuse(wanted, api) is None
    if parameter != OURS:
        assert parameter in ORDERS[api](wanted, NOW)


@pytest.mark.parametrize("api", ORDERS)
def test_a_plain_text_is_refused_by_no_api(api: str) -> None:
    """A feature that every API has needs no table."""
    assert refuse(_message_with("text"), api) is None


def test_each_feature_and_ability_is_named_once() -> None:
    """One row each."""
    names = FEATURES + ABILITIES
    assert sorted(set(names)) == sorted(names)
    assert set(FIELDS) == set(FEATURES)


def test_the_page_of_the_gateways_matches_their_declarations() -> None:
    """``python -m threelane.operations.apis`` prints its table."""
    page = Path(__file__).parents[2] / "docs" / "gateways.md"
    assert "\n".join(apis.table()) in page.read_text(encoding="utf-8")


def test_the_gateways_that_ship_are_declared() -> None:
    """And their senders are held against their declarations above."""
    assert set(ORDERS) == set(declared())
