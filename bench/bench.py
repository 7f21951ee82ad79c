"""Bench: the context shared by all measures: folder, sizes, progress, chosen pools and results."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from bench.gateway_process import GatewayProcess
from bench.progress import Steps
from bench.results import Results
from bench.search import Pools
from bench.sizes import Sizes


@dataclass(slots=True)
class BenchContext:
    """The context of one run of the benchmark."""

    folder: Path
    gateway: GatewayProcess
    sizes: Sizes
    steps: Steps
    pools: Pools
    results: Results = field(default_factory=Results)
