"""Run it: ``python -m tests.fuzz --seconds 60`` gives each door so long, and fails with the input that broke a rule.

Atheris steers by what the code does, so it needs to see the code loaded: each door runs in a process of its own.  The
inputs that led somewhere are kept in ``.fuzz/<door>``, and the next run begins with them.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

NAMES = ("callbacks", "answers", "rows", "messages", "words")
KEPT = Path(".fuzz")


def main() -> None:
    """Fuzz all doors, or those named, one after the other."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz of the doors.")
    parser.add_argument("doors", nargs="*", help=f"of {', '.join(NAMES)}; without one, all")
    parser.add_argument("--seconds", type=int, default=60, help="for each door")
    asked = parser.parse_args()
    if unknown := set(asked.doors) - set(NAMES):
        parser.error(f"no door {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    broken = [name for name in asked.doors or NAMES if not _fuzz(name, asked.seconds)]
    sys.exit(f"broken: {', '.join(broken)}" if broken else 0)


def _fuzz(name: str, seconds: int) -> bool:
    """Fuzz one door in a process of its own; tells whether its rule held."""
    kept = KEPT / name
    kept.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as seeds:
        words = [sys.executable, "-m", "tests.fuzz.one", name, str(kept), seeds, f"-max_total_time={seconds}"]
        words += ["-max_len=4096", "-timeout=10", f"-artifact_prefix={kept}-broken-", "-print_final_stats=1"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    runs = re.findall(r"number_of_executed_units:\s*(\d+)", done.stderr)
    covered = re.findall(r"\bcov: (\d+) ft: (\d+)", done.stderr)
    if done.returncode:
        print(done.stdout[-2000:], done.stderr[-6000:], sep="\n", file=sys.stderr)
    edges, features = covered[-1] if covered else ("?", "?")
    held = "held" if not done.returncode else "BROKEN"
    print(
        f"{name:10} {held}: {int(runs[-1]) if runs else 0:,} inputs in {seconds} s, {edges} edges, {features} features"
    )
    return not done.returncode


if __name__ == "__main__":
    main()
