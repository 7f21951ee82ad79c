"""One door, fuzzed by atheris in this process: ``python -m tests.fuzz.one DOOR FOLDER SEEDS -max_total_time=60``."""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["producer", "worker"]):
    from tests.fuzz.doors import DOORS


def main() -> None:
    """Write the seeds, and go."""
    name, kept, seeds, *options = sys.argv[1:]
    for number, seed in enumerate(DOORS[name].seeds):
        Path(seeds, f"{number:03}").write_bytes(seed)
    atheris.Setup([sys.argv[0], kept, seeds, *options], DOORS[name].rule)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
