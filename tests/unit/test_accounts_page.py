"""docs/accounts.md: its example is a valid file, and its tables list every key."""

from __future__ import annotations

import os
import re
from pathlib import Path
from textwrap import dedent

import pytest

from threelane.contract.accounts.parse_route import KEYS
from threelane.contract.accounts.route import Example
from threelane.contract.accounts.routing import Chosen, choose
from threelane.runtime.account_keys import AccountKey, account_keys
from threelane.runtime.settings import REGISTER
from threelane.worker.process.accounts import Accounts, read_accounts_or_exit

PAGE = (Path(__file__).parents[2] / "docs" / "accounts.md").read_text(encoding="utf-8")
WEDNESDAY = 1_767_744_000_000  # 2026-01-07T00:00Z


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Accounts:
    """The example of the page."""
    for name in [one for one in os.environ if one.startswith("THREELANE_")]:
        monkeypatch.delenv(name)
    (block,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "accounts.toml").write_text(dedent(f"   {block}"))
    monkeypatch.setenv("THREELANE_ACCOUNTS_FILE", str(tmp_path / "accounts.toml"))
    return read_accounts_or_exit()


def test_the_example_is_valid_and_does_what_its_comments_say(example: Accounts) -> None:
    """A reader copies it."""
    assert {"default", "marketing", "namibia"} == set(example.settings)
    newsletter = Example(to="27831234567", producer="shop", tags=("newsletter",))
    subjects = {
        "code": Example(to="27831234567", lane=1),
        "namibia": newsletter._replace(to="264811234567"),
        "other": Example(to="27831234567"),
    }
    chosen = {name: choose(example.routing, one, "0" * 32, WEDNESDAY) for name, one in subjects.items()}
    assert {
        "code": Chosen("default", "namibia", "codes"),
        "namibia": Chosen("namibia", "", "namibia"),
        "other": Chosen("default"),
    } == chosen
    by_hour = [choose(example.routing, newsletter, "0" * 32, WEDNESDAY + hour * 3_600_000) for hour in (0, 12)]
    assert ["", "newsletters-by-day"] == [one.rule for one in by_hour if one]


def test_the_page_lists_every_key() -> None:
    """With the place that its value comes from."""
    table = re.findall(r"^\| (`[^|]*`) \| (.*) \|$", PAGE, re.MULTILINE)
    rows = {word: end for words, end in table for word in words.split(", ")}
    for key in account_keys(REGISTER).values():
        assert (key.source is AccountKey.ENVIRONMENT) == (rows.pop(f"`{key.name}`") == "environment"), key.name
    assert {f"`{key}`" for key in KEYS} == {*rows}
