"""mypy holds the callers of a script to its signature."""

from __future__ import annotations

from pathlib import Path

import pytest
from mypy import api

PREFACE = """
import redis
from threelane.producer.cancel import _cancel
from threelane.store import keys
client = redis.Redis()
"""
GOOD = "_cancel(client, records=keys.records(['a']), now=1, keep_ms=1, gateway_stops=True, by_our_id=True, ids=['a'])"
WRONG = {
    "a key is missing": GOOD.replace("records=keys.records(['a']), ", ""),
    "a key is of another kind": GOOD.replace("keys.records(['a'])", "[keys.api_rate('a')]"),
    "a key is a mere text": GOOD.replace("keys.records(['a'])", "['tl:m:a']"),
    "an argument is missing": GOOD.replace("now=1, ", ""),
    "an argument is misnamed": GOOD.replace("keep_ms", "keep"),
    "an argument is of another type": GOOD.replace("now=1", "now='1'"),
    "an argument is too many": GOOD.replace("now=1", "now=1, more=2"),
    "the answer is of another type": f"found: list[int] = {GOOD}",
}


@pytest.mark.timeout(300)
@pytest.mark.slow
def test_a_wrong_call_of_a_script_does_not_pass_the_type_check(tmp_path: Path) -> None:
    """A key in the wrong place would be found in production, or never."""
    lines = [*PREFACE.strip().splitlines(), GOOD, *WRONG.values()]
    (tmp_path / "calls.py").write_text("\n".join(lines) + "\n")
    report, problem, _ = api.run(["--strict", "--no-error-summary", "--hide-error-context", str(tmp_path / "calls.py")])
    wrong = {int(line.split(":")[1]) for line in report.splitlines() if "error:" in line and "calls.py" in line}
    first = len(lines) - len(WRONG) + 1

    assert "" == problem
    assert dict(enumerate(WRONG, first)) == {line: [*[""] * (first - 1), *WRONG][line - 1] for line in sorted(wrong)}
