"""Audit: what is installed from outside: hashes, licences, and known vulnerabilities where advisories can be had.

``make audit`` runs it. Exit codes: 0 nothing found, 1 something found, 4 nothing found but vulnerabilities not checked.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from enum import IntEnum
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
LOCKED = ("run", "serve", "producer", "build", "dev", "bench", "fuzz")
SHIPPED = "serve"
"""The requirements whose licences matter: those that the image contains."""
_PINNED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==([^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}\b")
ALLOWED = (  # of what is shipped beside Apache-2.0: permissive, or copyleft by file only
    "Apache-2.0", "Apache Software License", "Apache License", "BSD", "BSD-2-Clause", "BSD-3-Clause", "0BSD", "MIT",
    "MIT-0", "ISC", "ISCL", "PSF-2.0", "Python Software Foundation", "MPL-2.0", "Mozilla Public License 2.0",
    "Unlicense", "Zlib", "CC0-1.0",
)  # fmt: skip
_ALLOWED = re.compile("|".join(rf"(?<![A-Za-z-]){re.escape(one)}(?![A-Za-z-])" for one in ALLOWED))
_FORBIDDEN = re.compile(r"\bA?GPL|GNU (Affero )?General Public|SSPL|Commons Clause|Proprietary", re.I)


class AuditExit(IntEnum):
    """The exit codes."""

    OK = 0
    FOUND = 1
    NOT_CHECKED = 4


class Requirement(NamedTuple):
    """A locked package and its number of hashes."""

    name: str
    version: str
    hashes: int


def read(text: str) -> Iterator[Requirement]:
    """Yield the packages of a requirements file; raises ValueError for a line that is not a pinned package."""
    for entry in re.sub(r"\\\n", " ", text).splitlines():
        line = entry.partition(" #")[0].strip()
        if not line or line.startswith("#"):
            continue
        pinned = _PINNED.match(line)
        if not pinned:
            raise ValueError(f"not pinned by version: {line[:60]!r}")
        yield Requirement(pinned[1], pinned[2], len(_HASH.findall(line)))


def hash_problems(name: str) -> Iterator[str]:
    """Yield a sentence for each package of a file without version or hash."""
    try:
        found = list(read((ROOT / f"requirements/{name}.txt").read_text(encoding="utf-8")))
    except (OSError, ValueError) as wrong:
        yield f"requirements/{name}.txt: {wrong}"
        return
    yield from (f"requirements/{name}.txt: {one.name} has no hash" for one in found if not one.hashes)


def licence_problems() -> Iterator[str]:
    """Yield a sentence for each shipped package whose licence is not allowed, or that is not installed here."""
    for one in read((ROOT / f"requirements/{SHIPPED}.txt").read_text(encoding="utf-8")):
        try:
            licence = licence_of(distribution(one.name))
        except PackageNotFoundError:
            if one.name not in NOT_HERE:
                yield f"{one.name} {one.version}: not installed here, so its licence is unknown: make install"
            continue
        if not is_allowed(licence):
            yield f"{one.name} {one.version}: the licence {licence[:80]!r} is not allowed (deploy/audit.py)"


NOT_HERE = frozenset({"colorama", "exceptiongroup", "win32-setctime", "async-timeout"})
"""Locked for other systems or older versions of Python."""


def licence_of(installed: Distribution) -> str:
    """Return the licence of an installed package, from its metadata: expression, classifiers, or the first line."""
    metadata = installed.metadata
    expression = metadata.get("License-Expression") or ""
    classified = [
        one.rpartition(" :: ")[2] for one in metadata.get_all("Classifier") or () if one.startswith("License")
    ]
    return expression or ", ".join(classified) or (metadata.get("License") or "unknown").strip().splitlines()[0]


def is_allowed(licence: str) -> bool:
    """Return whether a licence may be shipped; of a choice (OR), one allowed licence is enough."""
    choices = re.split(r"\s+OR\s+", licence, flags=re.I)
    return any(bool(_ALLOWED.search(one)) and not _FORBIDDEN.search(one) for one in choices)


class Advisories(NamedTuple):
    """What pip-audit found: the problems, or why nothing was checked."""

    problems: tuple[str, ...] = ()
    not_checked: str = ""


def advisories(command: list[str]) -> Advisories:
    """Compare the shipped versions with public advisories; never passes for a check that did not take place."""
    wanted = [*command, "--require-hashes", "--disable-pip", "--progress-spinner", "off"]
    wanted += ["-r", str(ROOT / f"requirements/{SHIPPED}.txt")]
    try:
        done = subprocess.run(wanted, capture_output=True, text=True, timeout=300, check=False)
    except (OSError, subprocess.TimeoutExpired) as failed:
        return Advisories(not_checked=f"pip-audit did not run ({type(failed).__name__}): pip install pip-audit")
    skipped = (done.stdout + done.stderr).count("could not be audited")
    if done.returncode == 0 and skipped:  # pip-audit passes although it compared nothing
        return Advisories(not_checked=f"{skipped} packages were not found where pip-audit looks for advisories")
    if done.returncode == 0 and "No known vulnerabilities found" in done.stdout + done.stderr:
        return Advisories()
    if done.returncode == 1 and re.search(r"Found \d+ known vulnerabilit", done.stdout + done.stderr):
        return Advisories(tuple(line for line in done.stdout.splitlines() if line.strip()))
    last = (done.stderr.strip().splitlines() or ["no output"])[-1]
    return Advisories(not_checked=f"no network, or no pip-audit ({last[:120]})")


def main() -> int:
    """Print each check and its result."""
    hashes = [problem for name in LOCKED for problem in hash_problems(name)]
    licences = list(licence_problems())
    known = advisories([sys.executable, "-m", "pip_audit"])
    for title, problems in (("hashes", hashes), ("licences", licences), ("known vulnerabilities", known.problems)):
        if title == "known vulnerabilities" and known.not_checked:
            print(f"{title}: NOT CHECKED: {known.not_checked}")
            continue
        print(f"{title}: {'OK' if not problems else f'{len(problems)} problems'}")
        print("".join(f"  {one}\n" for one in problems), end="")
    if hashes or licences or known.problems:
        return AuditExit.FOUND
    return AuditExit.NOT_CHECKED if known.not_checked else AuditExit.OK


if __name__ == "__main__":
    sys.exit(main())
