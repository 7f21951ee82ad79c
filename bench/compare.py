"""``python -m bench.compare --from COMMIT``: CPU microseconds a message of this tree against those of a commit.

Rows 1 to 4 of the benchmark, each kind of process by itself.  Both trees are up, each with a Redis of its own, and
alternate in short runs, so that what slows the machine slows both.  A ratio is the median of the pairs' ratios.  Exit
code 0 when no row costs more than 5 % more CPU a message than at that commit, else 1.
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

from bench.double import Double
from bench.processes import Others, Use
from bench.progress import Steps
from bench.results import ratio
from bench.run import MICRO
from bench.tree_side import Load, TreeSide
from tests.trees import Tree, commit, earlier_tree, last_release, this_tree

MOST_RATIO = 1.05
IDLE = 0.5  # microseconds a message: this kind has no part in the row
MOST_OTHERS = 0.05  # of the machine for other programs
CONNECTIONS = 256  # as in bench/measures/end_to_end.py
RECEIPTS_AFTER = (0.2, 0.4)
KINDS = {"producer": "producer", "worker": "worker", "redis": "Redis", "callbacks": "endpoints"}
"""Kind of process in the table by its name in a run."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the benchmark, with so few messages that ten pairs of all rows take five minutes."""

    number: int
    what: str
    api: str  # of the gateway; none where no worker runs
    load: Load
    turns: int  # runs of each tree in a pair: the shorter they are, the more alike is what disturbs both

    @property
    def messages(self) -> int:
        """Return the messages of each tree in a pair."""
        return self.turns * self.load.messages


ROWS = (
    Row(1, "XML API, receipts", "xml", Load("bulk", 1_500, receipts_after=RECEIPTS_AFTER), 3),
    Row(1, "HTTP API, receipts", "http", Load("bulk", 900, receipts_after=RECEIPTS_AFTER), 3),
    Row(2, "HTTP API, no receipts", "http", Load("bulk", 1_000), 5),
    Row(3, "singles, 32 threads", "", Load("singles", 800, (32,)), 7),
    Row(4, "bulk intake", "", Load("bulk", 5_000), 7),
)


def main() -> int:
    """Measure and print; returns the exit code."""
    words = argparse.ArgumentParser(prog="python -m bench.compare", description=__doc__.partition("\n")[0])
    words.add_argument(
        "--from", dest="earlier", type=commit, default=last_release(), help="a tag or commit; default: the last tag"
    )
    words.add_argument("--pairs", type=int, default=10, help="runs of each row and tree")
    words.add_argument("--only", nargs="+", type=int, choices=range(1, 5), metavar="ROW", help="these rows alone, 1-4")
    wanted = words.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what runs and the work tree are removed then, too
    rows = [row for row in ROWS if not wanted.only or row.number in wanted.only]
    started, others, console = time.monotonic(), Others(), Console()
    with tempfile.TemporaryDirectory(prefix="threelane-compare-") as name, ExitStack() as stack:
        trees = (this_tree(), stack.enter_context(earlier_tree(wanted.earlier, Path(name))))
        double = stack.enter_context(Double(Path(name)))
        runs = _runs(Path(name), double, trees, rows, wanted.pairs)
    console.print(_table(trees, runs))
    slower = [row.what for row, (these, those) in runs.items() if ratio(_costs(these), _costs(those)) > MOST_RATIO]
    console.print(
        f"{wanted.pairs} pairs in {time.monotonic() - started:.0f} s; "
        f"other programs had {(share := others.share()):.0%} of the machine"
        + (": run it again when they are gone." if share > MOST_OTHERS else ".")
    )
    console.print(f"Slower: {'; '.join(slower)}." if slower else f"No row costs more than {MOST_RATIO:.2f} x.")
    return 1 if slower else 0


Runs = dict[Row, tuple[list[Use], list[Use]]]
"""CPU microseconds a message by row: of this tree and of that, pair by pair."""


def _runs(folder: Path, double: Double, trees: Sequence[Tree], rows: Sequence[Row], pairs: int) -> Runs:
    """Run all rows on both trees in turn."""
    steps, runs = Steps(), Runs({row: ([], []) for row in rows})
    with ExitStack() as stack:
        with steps.step("starting both"):
            sides = {
                api: [stack.enter_context(TreeSide(folder, double, tree, api, CONNECTIONS)) for tree in trees]
                for api in {row.api for row in rows}
            }
        for row in rows:
            with steps.step(f"warming up: {row.what}"):
                for side in sides[row.api]:
                    side.cost(row.load)
        for pair in range(pairs):
            for row in rows:
                with steps.step(f"pair {pair + 1} of {pairs}: {row.what}"):
                    for costs, cost in zip(runs[row], _pair(row, sides[row.api], pair), strict=True):
                        costs.append(cost)
    return runs


def _pair(row: Row, sides: Sequence[TreeSide], number: int) -> list[Use]:
    """Return the microseconds a message on each side; which of the two begins alternates."""
    used = [Use(), Use()]
    for turn in range(number, number + row.turns):
        for place in (0, 1) if turn % 2 == 0 else (1, 0):
            used[place] += sides[place].cost(row.load)
    return [Use({kind: seconds / row.messages * MICRO for kind, seconds in each.items()}) for each in used]


def _costs(uses: Sequence[Use], *kinds: str) -> list[float]:
    return [use.of(*kinds) for use in uses]


def _table(trees: Sequence[Tree], runs: Runs) -> Table:
    table = Table("row", "kind", *(tree.name for tree in trees), "ratio", "least to greatest")
    table.title = "CPU microseconds a message: this tree, that commit"
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
