"""Sending: one run of a job: through the canary, to the end."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from io import BufferedReader
from itertools import islice

import msgspec
import typer

from threelane.contract.errors import Refused
from threelane.contract.prices import country as country_of
from threelane.contract.refusal import Code, Refusal
from threelane.interfaces.command.bulk.paused import find_paused, in_json
from threelane.interfaces.command.bulk.planning import Run
from threelane.interfaces.command.bulk.refused_file import RefusedRows
from threelane.interfaces.command.bulk.report import count, progress_bar
from threelane.interfaces.command.caller import answer_json
from threelane.interfaces.command.printing import err, print_json, print_line
from threelane.producer.accept import Accepted
from threelane.producer.client import Producer
from threelane.producer.files import canary as canaries
from threelane.producer.files import intake
from threelane.producer.files.bulk import FileRow
from threelane.producer.files.countries import Countries
from threelane.producer.files.intake import Known
from threelane.producer.files.progress import delete_progress
from threelane.producer.outage import Answer
from threelane.runtime.exits import Exit

_TRY_AGAIN = frozenset({Code.BUDGET, Code.LIMIT, Code.FULL, Code.CONFLICT, Code.NO_ROUTE})
"""Refusals of rows that a further run of the same job may send: after a while, or with --send-changed."""


class Sending:
    """One run of a job: through the canary, to the end."""

    def __init__(
        self,
        producer: Producer,
        run: Run,
        opened: BufferedReader,
        refused: RefusedRows,
        counts: Counter[str],
        *,
        as_json: bool,
    ) -> None:
        self._producer, self._run, self._opened, self._counts, self._as_json = producer, run, opened, counts, as_json
        run.enter_earlier(producer)
        self._rows = run.rows(producer, opened)
        self._refused = refused
        self._last = 0
        self.countries = Countries()

    def canary(self, number: int, most_percent: float, seconds: float) -> None:
        """Send the first rows, and end the command if too many of them fail.

        If an earlier run went on after its canary, this one does not wait again.
        """
        if self._run.plan.known > number:
            return
        ids: list[str] = []
        while len(ids) < number and (lot := list(islice(self._rows, number - len(ids)))):
            ids += [answer.id for _, answer in self._send(iter(lot)) if not isinstance(answer, Refused)]
        if not ids:
            return
        if not self._as_json:
            err.print(f"{len(ids)} are sent first; waiting for their results ...", highlight=False)
        found = canaries.watch(self._producer.statuses, ids, most_percent, seconds)
        stops = found.percent > most_percent
        if self._as_json:
            print_json({"canary": msgspec.structs.asdict(found) | {"row": self._last, "stopped": stops}})
        elif not stops:
            good = found.watched - found.failed
            print_line(f"{good} of {found.watched} succeeded, {found.delivered} of them delivered; continuing")
        if stops:
            why = ", ".join(f"{reason} ({times})" for reason, times in found.why.items())
            stopped = (
                f"stopped after row {self._last}: {found.failed} of the first {found.watched} failed "
                f"({found.percent:.3g} %, limit {most_percent:g} %): {why}\n"
                "No later row was sent. Fix the cause and run the same command without --canary: no row is sent twice."
            )
            err.print(stopped, markup=False, highlight=False, soft_wrap=True)
            raise typer.Exit(Exit.STOPPED)

    def rest(self) -> None:
        """Send the remaining rows."""
        file = self._run.job.file
        size = os.fstat(self._opened.fileno()).st_size
        with progress_bar(self._as_json) as progress:
            bar = progress.add_task(file.name, total=size, rows=0)
            for row, _ in self._send(self._rows):
                if row.number % 100 == 0:
                    progress.update(bar, completed=self._opened.tell(), rows=row.number)
            progress.update(bar, completed=size, rows=self._last)
        if self._run.job.former_name:
            delete_progress(file)
        if self._as_json:
            more = {"finished": True} if self.is_finished else {}
            more |= in_json(find_paused(self._producer, self._run.plan))
            print_json({"summary": self._counts, "countries": self.countries.by_cost(), **more})

    @property
    def is_finished(self) -> bool:
        """Whether the job was finished before this run: no row is left that could be sent, now or later."""
        is_new = self._counts["accepted"] > self._counts["repeated"]
        is_known = bool(self._run.job.name) and self._counts["repeated"] > 0
        return is_known and not is_new and not (_TRY_AGAIN & self._refused.codes)

    def _send(self, rows: Iterator[FileRow]) -> Iterator[tuple[FileRow, Answer | Known]]:
        for row, answer in intake.send(self._producer, rows):
            if self._as_json:
                print_json(answer_json(answer, row=row.number, line=row.line))
            if isinstance(answer, Refused):
                self._refused.add(row, answer)
            count(self._counts, answer)
            if isinstance(answer, Accepted) and not answer.repeated and not isinstance(row.content, Refusal):
                to = str(row.content["to"]).removeprefix("+")
                self.countries.add(
                    country_of(to), answer.parts, self._producer.estimate(to, answer.parts, answer.account)
                )
            self._last = row.number
            yield row, answer
