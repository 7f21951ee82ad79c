"""The table of states, and its copy inside the scripts."""

from __future__ import annotations

import json
from itertools import product

import pytest
import redis

from threelane.store import keys, scripts
from threelane.store.states import FINAL, MAY_FOLLOW, Status


def test_every_state_is_in_the_table() -> None:
    """A state that is not could never be left, and nobody would see it."""
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
    assert {Status.QUEUED} | reported == MAY_FOLLOW[Status.DEAD]


def test_every_state_that_is_not_final_has_a_shelf() -> None:
    """An id in no set would be forgotten; a final one in a set would never leave it."""
    assert set(Status) - FINAL == keys.SHELF_OF.keys() | {Status.QUEUED}


@pytest.fixture
def tables(client: redis.Redis) -> list[dict[str, object]]:
    """The tables as Lua reads them."""
    return json.loads(client.eval(scripts._tables() + "return cjson.encode({MAY, SHELF})", 0))


def test_the_scripts_allow_what_the_table_allows(tables: list[dict[str, object]]) -> None:
    """The copy is generated, and Lua understands it."""
    may = {str(status): {str(to): True for to in following} for status, following in MAY_FOLLOW.items()}

    assert may == tables[0]


def test_the_scripts_use_the_shelves_of_the_keys(tables: list[dict[str, object]]) -> None:
    """The number of a shelf is its place among the keys that every script gets."""
    shelved = {str(status): keys.SHELVES.index(key) + 1 for status, key in keys.SHELF_OF.items()}

    assert shelved == tables[1]


PLACE = "place(KEYS[11], 'm1', {lane = ARGV[1]}, ARGV[2], 1) return tallied(1)"
MOVE = "return tallied(move(KEYS[11], 'm1', {lane = ARGV[1], status = ARGV[2]}, ARGV[3], 5) and 1 or 0)"


def test_a_script_moves_only_as_the_table_allows(client: redis.Redis) -> None:
    """All pairs of states: a move that is allowed takes the id from its shelf to the next; no other does."""
    for (before, after), lane in product(product(Status, Status), (2,)):
        client.flushall()
        start = scripts._tables() + scripts._part("move") + PLACE
        shelved = (len(keys.SHELVES) + 1, *keys.SHELVES, keys.record("m1"))
        client.eval(start, *shelved, lane, before)
        moved = client.eval(scripts._tables() + scripts._part("move") + MOVE, *shelved, lane, before, after)

        allowed = after in MAY_FOLLOW[before]
        now = after if allowed else before
        assert (allowed, now) == (bool(moved), Status(client.hget(keys.record("m1"), "status").decode()))
        shelf = keys.QUEUED[lane] if now is Status.QUEUED else keys.SHELF_OF.get(now)
        holding = [key for key in keys.SHELVES if key not in (keys.TALLY, keys.EVENTS) and client.exists(key)]
        assert ([shelf] if shelf else []) == holding
