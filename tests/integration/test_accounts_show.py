"""The show of three accounts and five routes at a small size; ``make chaos ARGS="--show accounts"`` plays all of it."""

from __future__ import annotations

import pytest
from rich.console import Console

from tests.chaos.shows.accounts import play
from tests.chaos.shows.stage import Scale
from tests.integration.api import API


@pytest.mark.slow
def test_messages_of_three_accounts_go_each_by_its_route_and_the_stand_by_doubles_none() -> None:
    """One account runs out of credit, one answers 503; the table that fails is printed."""
    assert play(Scale(messages=0.02, seconds=1.0, seed=1, gateway=API.name), Console(width=120))
