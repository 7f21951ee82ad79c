"""Secrets are compared in constant time, wherever one comes in."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(
    file
    for folder in ("contract", "interfaces", "producer", "runtime", "sandbox", "store", "worker")
    for file in (ROOT / folder).rglob("*.py")
)
SECRET = re.compile(r"secret|password|passwd|signature|digest|api_key|rest_token|csrf|hashed|(?<!\w)token(?!\w)")
REVEALS_NOTHING = ("len", "bool")  # of a secret, these may be known


def compared(source: str) -> Iterator[str]:
    """Yield each comparison by == or != that names a secret, as written; one with a constant reveals no secret."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Compare) or not any(isinstance(one, ast.Eq | ast.NotEq) for one in node.ops):
            continue
        sides = [node.left, *node.comparators]
        if any(isinstance(side, ast.Constant) or ast.unparse(side).split("(")[0] in REVEALS_NOTHING for side in sides):
            continue
        if any(SECRET.search(ast.unparse(side).lower()) for side in sides):
            yield ast.unparse(node)


def test_no_secret_is_compared_letter_by_letter() -> None:
    """``==`` ends at the first difference, which reveals how much was right: hmac.compare_digest does not."""
    found = {str(file.relative_to(ROOT)): list(compared(file.read_text(encoding="utf-8"))) for file in FILES}
    assert {} == {file: comparisons for file, comparisons in found.items() if comparisons}


@pytest.mark.parametrize("wrong", ["given == settings.password", "self._api_key != key", "signature == sign(body)"])
def test_such_a_comparison_would_be_found(wrong: str) -> None:
    """The rule itself."""
    assert [wrong] == list(compared(wrong))
