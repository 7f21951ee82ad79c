"""Bench: what all measures share: where they work, how much they send, and what was found on the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from bench.double import Double
from bench.progress import Steps
from bench.results import Results
from bench.search import Pools
from bench.sizes import Sizes


@dataclass(slots=True)
class Bench:
    """One run of the bench."""

    folder: Path
    double: Double
    sizes: Sizes
    steps: Steps
    pools: Pools
    results: Results = field(default_factory=Results)
