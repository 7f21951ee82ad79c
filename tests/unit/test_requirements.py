"""What is installed is what was looked at: each package by its hash, from wherever it is fetched."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "requirements").glob("*.txt"))
PINNED = re.compile(r"[a-z0-9][a-z0-9._-]*(\[[a-z0-9,._-]+\])?==[0-9][A-Za-z0-9.!+_-]*( ; .+)?")
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def requirements(text: str) -> list[tuple[str, list[str]]]:
    """Return each requirement of a file with what follows it, comments left out."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    rows = [re.split(r"\s+(?=--hash=)", line.strip()) for line in joined.splitlines()]
    return [(name.strip(), [one.strip() for one in rest]) for name, *rest in rows]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_requirement_is_pinned_and_has_its_hashes(file: Path) -> None:
    """A package that was changed since is not installed."""
    found = requirements(file.read_text(encoding="utf-8"))
    assert found
    for name, hashes in found:
        assert PINNED.fullmatch(name), name
        assert hashes, f"{name} has no hash"
        assert all(HASH.fullmatch(one) for one in hashes), name


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_requirement_names_a_host(file: Path) -> None:
    """The installer chooses where packages come from, and no secret address is committed."""
    written = file.read_text(encoding="utf-8")
    assert [] == re.findall(r"https?://|file://|git\+|@ |--(?:extra-)?index-url|--find-links|--trusted-host", written)


def test_the_makefile_installs_by_hash_alone() -> None:
    """But for ourselves, and then without looking for anything."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    installs = [line for line in text.splitlines() if line.startswith("\t$(PIP)")]
    assert installs
    for line in installs:
        assert "--require-hashes" in line or "--no-deps --no-build-isolation" in line, line


@pytest.mark.parametrize("bad", ["six>=1.0", "six==1.16.0", "six==1.16.0 --hash=md5:00"])
def test_a_requirement_that_anybody_could_change_would_be_found(bad: str) -> None:
    """The rule itself."""
    ((name, hashes),) = requirements(bad + "\n")
    assert not PINNED.fullmatch(name) or not hashes or not all(map(HASH.fullmatch, hashes))
