"""Events that may happen with every request are logged at most once a minute."""

from __future__ import annotations

import logging

import pytest

from threelane.interfaces.callbacks.seldom import SeldomEvent


def test_the_first_is_logged_at_once_and_the_next_after_a_minute_with_all_in_between(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A flood costs one line a minute, and none is left out of the number."""
    event = SeldomEvent("happened", level=logging.WARNING)
    with caplog.at_level(logging.WARNING, "threelane"):
        for now, times in ((100.0, 1), (101.0, 2), (159.9, 3), (160.0, 4), (219.9, 5), (400.0, 6)):
            event.count(now, times, path=f"at {now}")

    assert [
        ("happened", {"times": 1, "path": "at 100.0"}),
        ("happened", {"times": 9, "path": "at 160.0"}),
        ("happened", {"times": 11, "path": "at 400.0"}),
    ] == [(one.getMessage(), one.fields) for one in caplog.records]  # type: ignore[attr-defined]
