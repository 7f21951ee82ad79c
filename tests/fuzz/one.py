"""Fuzzes one target by atheris in this process: ``python -m tests.fuzz.one TARGET FOLDER SEEDS -max_total_time=60``."""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["threelane"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Write the seeds, and fuzz."""
    name, kept, seeds, *options = sys.argv[1:]
    for number, seed in enumerate(TARGETS[name].seeds):
        Path(seeds, f"{number:03}").write_bytes(seed)
    atheris.Setup([sys.argv[0], kept, seeds, *options], TARGETS[name].rule)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
