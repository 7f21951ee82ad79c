"""``python -m tests.fuzz --seconds 60``: fuzzes each target for that time; fails with the input that broke its rule.

Atheris is guided by coverage and must instrument the code while it loads: each target runs in its own process.  Inputs
that reached new code are kept in ``.fuzz/<target>``, and the next run starts with them.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

NAMES = ("callbacks", "answers", "rows", "messages", "words", "nudges", "records")
KEPT = Path(".fuzz")


def main() -> None:
    """Fuzz all targets, or those named, one after the other."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz the parsers of untrusted input.")
    parser.add_argument("targets", nargs="*", help=f"of {', '.join(NAMES)}; default: all")
    parser.add_argument("--seconds", type=int, default=60, help="per target")
    options = parser.parse_args()
    if unknown := set(options.targets) - set(NAMES):
        parser.error(f"unknown target {', '.join(sorted(unknown))}; choose from {', '.join(NAMES)}")
    broken = [name for name in options.targets or NAMES if not _fuzz(name, options.seconds)]
    sys.exit(f"broken: {', '.join(broken)}" if broken else 0)


def _fuzz(name: str, seconds: int) -> bool:
    """Fuzz one target in its own process; returns whether its rule held."""
    kept = KEPT / name
    kept.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as seeds:
        command = [sys.executable, "-m", "tests.fuzz.one", name, str(kept), seeds, f"-max_total_time={seconds}"]
        command += ["-max_len=4096", "-timeout=10", f"-artifact_prefix={kept}-broken-", "-print_final_stats=1"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
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
