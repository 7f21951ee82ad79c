"""``python -m bench``: a table of targets and measurements, with the usual alternatives beside Threelane.

All systems run in turn on this machine, on loopback, against the same benchmark gateway.  The table is printed, and
written with the chosen parameters; exit code 0 when every target was met, else 1.  Two longer benchmarks have their
own commands: ``python -m bench.schedule`` and ``python -m bench.exporter``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from rich.console import Console

from bench import machine, notes
from bench.bench import BenchContext
from bench.gateway_process import GatewayProcess
from bench.measures import backlog, due, end_to_end, finished, intake, redis_limit, workers
from bench.processes import Others
from bench.progress import Steps
from bench.results import document, rich_table
from bench.search import GUESS, search
from bench.sizes import FULL, QUICK

MEASURES: Mapping[Callable[[BenchContext], None], frozenset[int]] = {
    end_to_end.measure: frozenset({1, 2, 8}),
    redis_limit.measure: frozenset({1}),
    intake.measure: frozenset({3, 4}),
    backlog.measure: frozenset({5, 7, 8}),
    finished.measure: frozenset({7}),
    due.measure: frozenset({6}),
    workers.measure: frozenset({9}),
}
"""Each measure with the numbers of its rows, in the order they run."""

MUCH = 0.05  # of the machine, used by other programs


def main() -> int:
    """Measure, print and write the table; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", type=int, choices=range(1, 10), metavar="ROW", help="only these rows, 1-9")
    parser.add_argument("--quick", action="store_true", help="smoke test with few messages; ignore its figures")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("RESULTS.md"), help="file to write")
    options = parser.parse_args()
    steps, started, others = Steps(), time.monotonic(), Others()
    with (
        tempfile.TemporaryDirectory(prefix="threelane-bench-") as name,
        GatewayProcess(folder := Path(name)) as gateway,
    ):
        sizes = QUICK if options.quick else FULL
        wanted = frozenset(options.only or range(1, 10))
        pools = GUESS if options.quick else search(folder, gateway, sizes, steps)
        bench = BenchContext(folder, gateway, sizes, steps, pools)
        for measure, rows in MEASURES.items():
            if rows & wanted:
                measure(bench)
    results = bench.results
    results.rows = [row for row in results.rows if row.number in wanted]
    results.notes[:0] = notes.describe(bench, time.monotonic() - started, share := others.share())
    console = Console()
    console.print(rich_table(results))
    if share > MUCH:
        console.print(f"Other programs used {share:.0%} of the machine: repeat the run without them.", style="bold")
    if not options.quick:
        options.out.write_text(document(results, machine.describe()), encoding="utf-8")
        console.print(f"table and notes written to {options.out}")
    return 0 if results.is_met else 1


if __name__ == "__main__":
    sys.exit(main())
