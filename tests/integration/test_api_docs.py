"""docs/api.md is run unchanged: its commands against a real API, whose answers have to match the documented ones."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.http_api import Api

PAGE = Path(__file__).parents[2].joinpath("docs", "api.md").read_text(encoding="utf-8")

A_LINE_EACH = 'curl() { command curl "$@"; echo; }\n'


def shape(value: Any) -> Any:
    """Return the names in a value; what stands for something longer has fewer of them."""
    return {name: shape(one) for name, one in value.items()} if isinstance(value, dict) else type(value).__name__


@pytest.mark.skipif(not shutil.which("curl"), reason="the page's commands are curl's")
def test_the_commands_of_the_page_give_the_documented_answers(api: Api) -> None:
    """Each block in order; the last line of its answers has the names that the page shows."""
    environment = {"API": api.url, "KEY": api.key("shop", operator=True), "PATH": "/usr/local/bin:/usr/bin:/bin"}
    blocks = re.findall(r"```bash\n(.*?)```\n```json\n(.*?)```", PAGE, re.DOTALL)
    assert PAGE.count("```bash") == len(blocks)
    for commands, expected in blocks:
        done = subprocess.run(
            ["bash", "-euc", A_LINE_EACH + commands], env=environment, capture_output=True, text=True, timeout=60
        )
        answers = [json.loads(line) for line in done.stdout.splitlines() if line.strip()]
        shown = json.loads(expected)

        assert (0, "") == (done.returncode, done.stderr)
        assert not [one for one in answers if isinstance(one, dict) and one.get("status") in (400, 401, 403, 500, 503)]
        assert {name: shape(shown[name]) for name in shown if name != "verdicts"} == {
            name: shape(answers[-1][name]) for name in answers[-1] if name != "verdicts"
        }


def test_the_snippet_of_the_page_runs(api: Api) -> None:
    """As somebody would paste it."""
    (snippet,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    environment = {"API": api.url, "KEY": api.key("shop")}
    done = subprocess.run(
        [sys.executable, "-c", snippet], env=environment, capture_output=True, text=True, timeout=60, check=False
    )

    assert (0, "queued\n", "") == (done.returncode, done.stdout, done.stderr)
