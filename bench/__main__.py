"""``python -m bench``: the table of what must be reached, measured beside what people would use instead.

All sides run on this machine, on loopback, in turn, against the same double of the gateway.  The table is printed and
written with all that was chosen; exit code 0 when every target was met, 1 when one was not.  What takes longer stands
apart: ``python -m bench.schedule`` and ``python -m bench.exporter``.
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
from bench.bench import Bench
from bench.double import Double
from bench.measures import backlog, due, end_to_end, finished, intake, redis_limit, workers
from bench.processes import Others
from bench.progress import Steps
from bench.results import document, rich_table
from bench.search import GUESS, search
from bench.sizes import FULL, QUICK

MEASURES: Mapping[Callable[[Bench], None], frozenset[int]] = {
    end_to_end.measure: frozenset({1, 2, 8}),
    redis_limit.measure: frozenset({1}),
    intake.measure: frozenset({3, 4}),
    backlog.measure: frozenset({5, 7, 8}),
    finished.measure: frozenset({7}),
    due.measure: frozenset({6}),
    workers.measure: frozenset({9}),
}
"""Each measure with the rows it makes, in the order of their turns."""

MUCH = 0.05  # of the machine for other programs


def main() -> int:
    """Measure, print, write; returns the exit code."""
    words = argparse.ArgumentParser(prog="python -m bench", description=__doc__.partition("\n")[0])
    words.add_argument("--only", nargs="+", type=int, choices=range(1, 10), metavar="ROW", help="these rows alone, 1-9")
    words.add_argument("--quick", action="store_true", help="few messages: does it run? its figures mean nothing")
    words.add_argument("--out", type=Path, default=Path(__file__).with_name("RESULTS.md"), help="where to write")
    asked = words.parse_args()
    steps, started, others = Steps(), time.monotonic(), Others()
    with tempfile.TemporaryDirectory(prefix="threelane-bench-") as name, Double(folder := Path(name)) as double:
        sizes = QUICK if asked.quick else FULL
        wanted = frozenset(asked.only or range(1, 10))
        pools = GUESS if asked.quick else search(folder, double, sizes, steps)
        bench = Bench(folder, double, sizes, steps, pools)
        for measure, rows in MEASURES.items():
            if rows & wanted:
                measure(bench)
    results = bench.results
    results.rows = [row for row in results.rows if row.number in wanted]
    results.notes[:0] = notes.of(bench, time.monotonic() - started, share := others.share())
    console = Console()
    console.print(rich_table(results))
    if share > MUCH:
        console.print(f"Other programs had {share:.0%} of the machine: run it again when they are gone.", style="bold")
    if not asked.quick:
        asked.out.write_text(document(results, machine.describe()), encoding="utf-8")
        console.print(f"written with its notes to {asked.out}")
    return 0 if results.is_met else 1


if __name__ == "__main__":
    sys.exit(main())
