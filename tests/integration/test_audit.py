"""The audit log: each change by operators that decides who is sent to has an entry, with what was before."""

from __future__ import annotations

from datetime import date

import pytest
import redis

from threelane.contract.holidays import Holiday
from threelane.store import audit, countries, keys, limits, registry, reply_owners, windows
from threelane.store.limits import Limit, parse_name

NOW = 1_900_000_000_000
CHRISTMAS, FREEDOM = Holiday(date(2031, 12, 25), "ZA", "Christmas"), Holiday(date(2031, 4, 27), "ZA", "Freedom Day")


def test_each_change_has_an_entry_with_what_was_before(client: redis.Redis) -> None:
    """When too many messages went out, or to a strange country, somebody has to find out who allowed it."""
    prefix = parse_name("prefix:370", "day")
    limits.put(client, prefix, Limit(1_000))
    limits.put(client, prefix, Limit(0, off=True))
    limits.remove(client, prefix)
    limits.put(client, parse_name("recipient", "hour", "shop"), Limit(20, lanes="1"))
    reply_owners.own(client, "12025550177", "clinic", "clinic")
    reply_owners.disown(client, "12025550177", "clinic")
    countries.allow(client, ["NA", "ZA"])
    countries.stop_learning(client, NOW)
    windows.set_window(client, "lane:3", "daily 08:00-21:00 recipient")
    windows.remove(client, "lane:3")
    windows.add_holidays(client, [CHRISTMAS], now=NOW)
    windows.add_holidays(client, [FREEDOM], now=NOW, replace=["ZA"])
    windows.remove_holidays(client, [FREEDOM])
    registry.put(client, "shop", countries=("ZA",), webhook="https://example.com/threelane?key=secret")
    registry.put(client, "shop", countries=())
    registry.remove(client, "shop")

    assert [
        ("limit", "prefix:370:day: 1,000 messages, refuse (before: not set)"),
        ("limit", "prefix:370:day: off (before: 1,000 messages, refuse)"),
        ("limit", "prefix:370:day: not set (before: off)"),
        ("limit", "recipient:hour@shop: 20 messages of lane 1, refuse (before: not set)"),
        ("reply owner", "12025550177 clinic: clinic (before: not set)"),
        ("reply owner", "12025550177 clinic: not set (before: clinic)"),
        ("countries", "NA, ZA: expected, without an alarm"),
        ("countries", "learning ends: each new country raises the alarm"),
        ("window", "lane:3: daily 08:00-21:00 recipient (before: not set)"),
        ("window", "lane:3: not set (before: daily 08:00-21:00 recipient)"),
        ("holidays", "added: ZA:2031-12-25"),
        ("holidays", "added: ZA:2031-04-27"),
        ("holidays", "replaced: ZA:2031-12-25"),
        ("holidays", "removed: ZA:2031-04-27"),
        (
            "producer",
            "shop: countries ZA, webhook https://example.com/threelane?..., new secret (before: not set)",
        ),
        (
            "producer",
            "shop: webhook https://example.com/threelane?... "
            "(before: countries ZA, webhook https://example.com/threelane?...)",
        ),
        ("producer", "shop: not set (before: webhook https://example.com/threelane?...)"),
    ] == [(one.what, one.detail) for one in reversed(audit.read(client, 99))]
    assert {audit.user()} == {one.who for one in audit.read(client, 99)}


def test_what_changes_nothing_has_no_entry(client: redis.Redis) -> None:
    windows.remove(client, "lane:3")
    windows.remove_holidays(client, [FREEDOM])
    windows.add_holidays(client, [], now=NOW)
    limits.remove(client, parse_name("prefix:370", "day"))
    reply_owners.disown(client, "12025550177", "")
    registry.remove(client, "shop")
    with pytest.raises(limits.InvalidLimit):
        limits.put(client, parse_name("prefix:370", "day"), Limit(0))
    assert [] == list(audit.read(client, 9))


def test_a_change_is_made_even_if_the_log_is_damaged(client: redis.Redis) -> None:
    """An operator has to be able to stop messages."""
    client.set(keys.AUDIT, "x")
    limits.put(client, parse_name("prefix:370", "day"), Limit(1))
    assert "prefix:370:day" in limits.read(client)
