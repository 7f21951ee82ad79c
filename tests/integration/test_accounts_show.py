"""The shows of several accounts at a small size; ``make chaos ARGS="--show accounts"`` and others play all of it."""

from __future__ import annotations

import pytest
from rich.console import Console

from tests.chaos.shows import accounts, stand_by
from tests.chaos.shows.stage import Scale
from tests.integration.api import API


@pytest.mark.slow
def test_messages_of_three_accounts_go_each_by_its_route_and_the_stand_by_doubles_none() -> None:
    """One account runs out of credit, one answers 503; the table that fails is printed."""
    assert accounts.play(Scale(messages=0.02, seconds=1.0, seed=1, gateway=API.name), Console(width=120))


@pytest.mark.slow
def test_a_message_whose_answer_was_lost_is_not_taken_by_the_stand_by_too() -> None:
    """The first account loses answers, fails in six further ways and loses workers, while messages are under way."""
    assert stand_by.play(Scale(messages=0.1, seconds=1.0, seed=1, gateway=API.name), Console(width=120))
