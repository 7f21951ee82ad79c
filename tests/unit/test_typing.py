"""A wrong call is found before it runs: mypy's verdict on files of right and of wrong calls."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.layout import ROOT

CALLS = Path("tests/typing")
FOUND = re.compile(r"^\S+?:(\d+): error: .*\[([\w-]+)\]$", re.MULTILINE)
EXPECTED = re.compile(r"# rejected: ([\w-]+)$")


def rejected(name: str) -> dict[int, str]:
    """Return mypy's reason for each line of a file that it rejects."""
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", str(CALLS / name)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert "" == done.stderr
    return {int(line): code for line, code in FOUND.findall(done.stdout)}


@pytest.mark.slow
def test_each_wrong_call_is_rejected_for_its_own_reason() -> None:
    """A field that was misspelt, or an answer that was not looked at, does not wait for a customer to find it."""
    lines = (ROOT / CALLS / "wrong_calls.py").read_text(encoding="utf-8").splitlines()
    expected = {number: found[1] for number, line in enumerate(lines, 1) if (found := EXPECTED.search(line))}

    assert 10 <= len(expected)
    assert expected == rejected("wrong_calls.py")


@pytest.mark.slow
def test_no_right_call_is_rejected() -> None:
    """A type that is too narrow would be worked around with ``Any``."""
    assert {} == rejected("right_calls.py")
