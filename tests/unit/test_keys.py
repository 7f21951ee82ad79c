"""Every key has one name, and the table in the module tells of it."""

from __future__ import annotations

import re

from threelane.contract import fields
from threelane.store import keys


def test_every_key_is_in_the_table_of_the_module() -> None:
    """Whoever looks at Redis finds there what each key holds."""
    named = {value for value in vars(keys).values() if isinstance(value, str) and re.fullmatch(r"tl:\w+", value)}
    told = set(re.findall(r"``(tl:\w+)``", keys.__doc__ or ""))

    assert named == told


def test_no_two_keys_share_a_name() -> None:
    """A set that served two purposes would lose messages."""
    assert len(keys.SHELVES) == len(set(keys.SHELVES))


def test_each_lane_has_its_set_and_its_queue() -> None:
    """Three lanes, everywhere the same three."""
    assert keys.LANES == fields.LANES
    assert ["tl:queued:1", "tl:queued:2", "tl:queued:3"] == list(keys.QUEUED.values())
    assert ["sms.1", "sms.2", "sms.3"] == [keys.queue(lane) for lane in keys.LANES]


def test_a_record_is_found_by_its_id() -> None:
    """The id that accept gave is all that anyone needs."""
    assert "tl:m:0f3c" == keys.record("0f3c")
