"""The table of states, and its copy inside the scripts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import redis

from threelane.store import keys
from threelane.store.keys import RecordKey
from threelane.store.scripts import number, script
from threelane.store.states import FINAL, MAY_FOLLOW, STORED, Status


def test_every_state_is_in_the_table() -> None:
    """An unlisted state could never be left, and nothing would show it."""
    assert set(Status) == MAY_FOLLOW.keys()


def test_every_state_but_the_first_two_can_be_reached() -> None:
    """What nothing leads to is not a state of this product."""
    reachable = set().union(*MAY_FOLLOW.values()) | {Status.QUEUED, Status.SCHEDULED}

    assert set(Status) == reachable


def test_a_final_state_has_no_way_out() -> None:
    """What is delivered, or given up for good, is never sent again."""
    final = {Status.DELIVERED, Status.UNDELIVERED, Status.EXPIRED, Status.CANCELLED, Status.UNKNOWN, Status.EMULATED}

    assert final == FINAL
    assert all(not MAY_FOLLOW[status] for status in FINAL)


def test_a_dead_letter_is_redriven_or_found_to_have_been_sent_and_nothing_else() -> None:
    """A receipt for a dead letter is the truth: redriving it afterwards would be a second SMS."""
    reported = {Status.SENT, Status.DELIVERED, Status.UNDELIVERED, Status.EXPIRED, Status.CANCELLED}
    assert {Status.QUEUED, Status.PAUSED} | reported == MAY_FOLLOW[Status.DEAD]


def test_every_state_that_is_not_final_has_an_index() -> None:
    """An id in no set would be forgotten; a final one in a set would never leave it."""
    assert set(Status) - FINAL == keys.INDEXES.keys()


PLACE = """-- PARTS move
place(KEY.records[1], 'm1', {[Field.lane] = ARG.lane}, ARG.to, 1)
return moved(1)
"""
MOVE = """-- PARTS move
local known = {[Field.lane] = ARG.lane, [Field.status] = ARG.was}
return moved(move(KEY.records[1], 'm1', known, ARG.to, 5) and 1 or 0)
"""


def _place(*, records: Sequence[RecordKey], now: int, lane: str, to: Status) -> None: ...


def _move(*, records: Sequence[RecordKey], now: int, lane: str, was: Status, to: Status) -> None: ...


def test_a_script_moves_only_as_the_table_allows(client: redis.Redis, tmp_path: Path) -> None:
    """All pairs of states: a move that is allowed takes the id from its index to the next; no other does."""
    for name, text in (("place", PLACE), ("move", MOVE)):
        (tmp_path / f"{name}.lua").write_text(text)
    place, move = script(str(tmp_path / "x"), number)(_place), script(str(tmp_path / "x"), number)(_move)
    record = keys.record("m1")
    for before, after in product(Status, Status):
        client.flushall()
        place(client, records=[record], now=1, lane="2", to=before)
        moved = move(client, records=[record], now=1, lane="2", was=before, to=after)

        allowed = after in MAY_FOLLOW[before]
        now = after if allowed else before
        assert (allowed, STORED.get(now, now)) == (bool(moved), Status(client.hget(record, "status").decode()))
        index = keys.index_of(now, 2)
        holding = [key for key in keys.indexes_of(*keys.INDEXES) if client.exists(key)]
        assert ([index] if index else []) == holding
