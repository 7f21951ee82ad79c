"""APIs of others beside the sandbox's own: by --part, and a sentence for one that is not there."""

from __future__ import annotations

import subprocess
import sys

import pytest

from threelane.sandbox.running import Running


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        ("threelane.sandbox.nowhere:Api", "cannot be loaded: ModuleNotFoundError"),
        ("threelane.sandbox.app:Nothing", "cannot be loaded: AttributeError"),
        ("threelane.sandbox.apis:JSON_TYPE", "is not a class"),
    ],
)
def test_a_part_that_is_not_there_is_wrong_usage(part: str, sentence: str) -> None:
    """Exit code 2, and no traceback."""
    line = [sys.executable, "-m", "threelane.sandbox", "--port", "0", "--part", part]
    ended = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert 2 == ended.returncode
    assert f"{part} {sentence}" in " ".join(ended.stderr.replace("│", " ").split())


def test_a_part_that_the_sandbox_has_is_served_once() -> None:
    """So that whoever starts it may name the parts of all gateways."""
    with Running.start("--part", "threelane.sandbox.http_api:HttpApi") as sandbox:
        assert sandbox.send("27831234567").startswith("ID: ")
