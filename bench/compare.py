"""``python -m bench.compare --from COMMIT``: CPU microseconds per message of this tree against those of a commit.

Rows 1 to 4 of the benchmark, by kind of process.  Both trees are up, each with its own Redis, and
alternate in short runs, so that a slow machine slows both.  A ratio is the median of the pairs' ratios.  Exit
code 0 when no row uses over 5 % more CPU per message than at that commit, else 1.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.gateway_process import GatewayProcess
from bench.processes import Others, Use
from bench.progress import Steps
from bench.results import ratio
from bench.run import MICRO
from bench.tree_system import TreeSystem, Workload
from tests.trees import Tree, commit, earlier_tree, last_release, this_tree

MOST_RATIO = 1.05
IDLE = 0.5  # microseconds per message: below this, a kind takes no part in the row
MOST_OTHERS = 0.05  # of the machine, used by other programs
CONNECTIONS = 256  # as in bench/measures/end_to_end.py
RECEIPTS_AFTER = (0.2, 0.4)
KINDS = {"producer": "producer", "worker": "worker", "redis": "Redis", "callbacks": "endpoints"}
"""Kinds of process, from the name in a run to the name in the table."""


@dataclass(frozen=True, slots=True)
class ComparedRow:
    """One row of the comparison; its messages are few, so that ten pairs of all rows take five minutes."""

    number: int
    what: str
    api: str  # of the gateway; empty where no worker runs
    workload: Workload
    turns: int  # runs of each tree in a pair; short runs share their disturbances

    @property
    def messages(self) -> int:
        """Return the number of messages of each tree in a pair."""
        return self.turns * self.workload.messages


ROWS = (
    ComparedRow(1, "XML API, receipts", "xml", Workload("bulk", 1_500, receipts_after=RECEIPTS_AFTER), 3),
    ComparedRow(1, "HTTP API, receipts", "http", Workload("bulk", 900, receipts_after=RECEIPTS_AFTER), 3),
    ComparedRow(2, "HTTP API, no receipts", "http", Workload("bulk", 1_000), 5),
    ComparedRow(3, "singles, 32 threads", "", Workload("singles", 800, (32,)), 7),
    ComparedRow(4, "bulk intake", "", Workload("bulk", 5_000), 7),
)


def main() -> int:
    """Measure and print the comparison; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.compare", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--from", dest="earlier", type=commit, default=last_release(), help="a tag or commit; default: the last tag"
    )
    parser.add_argument("--pairs", type=int, default=10, help="runs of each row and tree")
    parser.add_argument("--only", nargs="+", type=int, choices=range(1, 5), metavar="ROW", help="only these rows, 1-4")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # it, too, stops processes and removes the work tree
    rows = [row for row in ROWS if not options.only or row.number in options.only]
    started, others, console = time.monotonic(), Others(), Console()
    with tempfile.TemporaryDirectory(prefix="threelane-compare-") as name, ExitStack() as stack:
        trees = (this_tree(), stack.enter_context(earlier_tree(options.earlier, Path(name))))
        gateway = stack.enter_context(GatewayProcess(Path(name)))
        runs = _run_all(Path(name), gateway, trees, rows, options.pairs)
    console.print(_table(trees, runs))
    slower = [row.what for row, (these, those) in runs.items() if ratio(_costs(these), _costs(those)) > MOST_RATIO]
    console.print(
        f"{options.pairs} pairs in {time.monotonic() - started:.0f} s; "
        f"other programs used {(share := others.share()):.0%} of the machine"
        + (": repeat the run without them." if share > MOST_OTHERS else ".")
    )
    console.print(f"Slower: {'; '.join(slower)}." if slower else f"No row costs more than {MOST_RATIO:.2f} x.")
    return 1 if slower else 0


Runs = dict[ComparedRow, tuple[list[Use], list[Use]]]
"""CPU microseconds per message by row: of this tree and of the other, pair by pair."""


def _run_all(
    folder: Path, gateway: GatewayProcess, trees: Sequence[Tree], rows: Sequence[ComparedRow], pairs: int
) -> Runs:
    """Run all rows on both trees in turn."""
    steps, runs = Steps(), Runs({row: ([], []) for row in rows})
    with ExitStack() as stack:
        with steps.step("starting both"):
            systems = {
                api: [stack.enter_context(TreeSystem(folder, gateway, tree, api, CONNECTIONS)) for tree in trees]
                for api in {row.api for row in rows}
            }
        for row in rows:
            with steps.step(f"warming up: {row.what}"):
                for system in systems[row.api]:
                    system.cost(row.workload)
        for pair in range(pairs):
            for row in rows:
                with steps.step(f"pair {pair + 1} of {pairs}: {row.what}"):
                    for costs, cost in zip(runs[row], _pair(row, systems[row.api], pair), strict=True):
                        costs.append(cost)
    return runs


def _pair(row: ComparedRow, systems: Sequence[TreeSystem], number: int) -> list[Use]:
    """Return the microseconds per message of each system; the two alternate in going first."""
    used = [Use(), Use()]
    for turn in range(number, number + row.turns):
        for index in (0, 1) if turn % 2 == 0 else (1, 0):
            used[index] += systems[index].cost(row.workload)
    return [Use({kind: seconds / row.messages * MICRO for kind, seconds in each.items()}) for each in used]


def _costs(uses: Sequence[Use], *kinds: str) -> list[float]:
    return [use.total(*kinds) for use in uses]


def _table(trees: Sequence[Tree], runs: Runs) -> Table:
    table = Table("row", "kind", *(tree.name for tree in trees), "ratio", "least to greatest")
    table.title = "CPU microseconds per message: this tree, that commit"
    for column in table.columns[2:]:
        column.justify = "right"
    for row, (these, those) in runs.items():
        name = f"{row.number} {row.what}"
        for kind, shown in KINDS.items():
            if statistics.median(_costs(these, kind) + _costs(those, kind)) > IDLE:
                table.add_row(name, shown, *_cells(_costs(these, kind), _costs(those, kind)))
                name = ""
        ours, theirs = _costs(these), _costs(those)
        style = "bold red" if ratio(ours, theirs) > MOST_RATIO else "bold"
        table.add_row("", "all", *_cells(ours, theirs), style=style, end_section=True)
    return table


def _cells(ours: Sequence[float], theirs: Sequence[float]) -> tuple[str, str, str, str]:
    middle, ratios = statistics.median, [our / their for our, their in zip(ours, theirs, strict=True)]
    extremes = f"{min(ratios):.2f} to {max(ratios):.2f}"
    return f"{middle(ours):,.1f}", f"{middle(theirs):,.1f}", f"{ratio(ours, theirs):.3f}", extremes


if __name__ == "__main__":
    sys.exit(main())
