"""The threat model names a test for what it says, and every attack has its place in it."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ATTACKS = {one.stem for one in (ROOT / "tests" / "attack").glob("test_*.py")}


def _named() -> set[str]:
    """Return the tests that the threat model names: stems of attacks, and paths of others."""
    document = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    model = document.partition("## Threat model")[2].partition("\n## ")[0]
    return set(re.findall(r"`(test_\w+|tests/[\w/.]+\.py)`", model))


def test_every_named_test_exists() -> None:
    """A renamed test would leave a promise without proof."""
    assert set() == {one for one in _named() if not (one in ATTACKS or (ROOT / one).is_file())}


def test_every_attack_is_in_the_model() -> None:
    """Somebody who reads the model sees all that is tried."""
    assert ATTACKS == _named() & ATTACKS
