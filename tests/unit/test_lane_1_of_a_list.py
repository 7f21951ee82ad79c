"""A list of one key takes a small share of lane 1: a list costs one wait, however long it is."""

from __future__ import annotations

from typing import Any

import pytest

from threelane.contract import message
from threelane.contract.message import Draft
from threelane.store.access import MOST_CODES, Holder
from threelane.store.api_key import ApiKey

NOW = 1_767_225_600_000


def refused(key: ApiKey, lane: int, times: int, *, is_list: bool = True) -> int:
    """Return how many of these messages a key is refused."""
    holder = Holder(key, is_list=is_list)
    draft: Any = message.parse({"to": "27831234567", "text": "Hi", "lane": lane}, NOW, "shop")
    assert isinstance(draft, Draft)
    return sum(holder.refuse(draft.message) is not None for _ in range(times))


@pytest.mark.parametrize(("rate", "lane", "expected"), [(5, 1, 200), (150, 1, 150), (0, 1, 0), (5, 2, 0), (5, 3, 0)])
def test_a_list_has_no_more_codes_than_its_key_may_send(rate: float, lane: int, expected: int) -> None:
    """Others' codes would wait behind them; a key without a rate has no limit, and lanes 2 and 3 delay no code."""
    key = ApiKey(id="k1", producer="shop", digest="", rate=rate)

    assert expected == refused(key, lane, MOST_CODES + 200)


def test_single_messages_are_limited_by_the_rate_alone() -> None:
    """Each of them is paid for."""
    assert 0 == refused(ApiKey(id="k1", producer="shop", digest="", rate=5), 1, MOST_CODES + 1, is_list=False)
