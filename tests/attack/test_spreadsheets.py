"""Spreadsheets and terminals: evidence with a formula or escape codes, written by whoever may suppress a number."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.http_api import Api

FORMULAS = ['=HYPERLINK("http://evil/")', "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(1)", "\t=1", "\r=1", "\uff1d1+1"]
ESCAPE = "\x1b]0;owned\x07\x1b[2J\u202e"


def threelane(api: Api, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command on the Redis of the API."""
    environment = {**os.environ, "THREELANE_REDIS_URL": api.settings.redis_url.get_secret_value()}
    command = [sys.executable, "-m", "threelane", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True)


@pytest.fixture
def suppressed(api: Api) -> Api:
    """Numbers with each evidence, by the API."""
    key = api.key("shop", suppression=True)
    for number, evidence in enumerate([*FORMULAS, ESCAPE]):
        body = {"number": f"2783123456{number}", "evidence": evidence}
        assert 200 == api.request("POST", "/v1/suppressions", body, key).status
    return api


def test_an_export_runs_nothing_and_is_imported_unchanged(suppressed: Api, tmp_path: Path) -> None:
    """Before: cells began with = + - @. Numbers and times stay numbers; + and digits are one, too."""
    exported = threelane(suppressed, "suppress", "export").stdout
    rows = list(csv.DictReader(io.StringIO(exported, newline="")))
    assert [] == [row["evidence"] for row in rows if row["evidence"][0] in "=+-@\t\r\n\uff1d\x1b"]
    assert all(row["number"].removeprefix("+").isdigit() for row in rows)
    assert all(row[name].isdigit() for row in rows for name in ("code", "first", "last", "expires"))

    file = tmp_path / "export.csv"
    file.write_text(exported, encoding="utf-8")
    suppressed.redis.delete("tl:suppressed")
    threelane(suppressed, "suppress", "import", str(file))
    assert exported == threelane(suppressed, "suppress", "export").stdout


def test_no_escape_code_reaches_a_terminal(suppressed: Api) -> None:
    """In tables, CSV and JSON."""
    number = f"2783123456{len(FORMULAS)}"
    for words in (("why", number), ("why", number, "--json"), ("export",)):
        shown = threelane(suppressed, "suppress", *words).stdout
        assert not set(shown) & {"\x1b", "\x07", "\u202e"}, words
