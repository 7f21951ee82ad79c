"""Sending: one run of a job, from the saved progress, through the canary, to the end."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from io import BufferedReader
from itertools import islice

import msgspec
import typer

from threelane.contract.errors import Refused
from threelane.contract.prices import country as country_of
from threelane.contract.refusal import Refusal
from threelane.interfaces.command.bulk.job import Job
from threelane.interfaces.command.bulk.report import count, progress_bar
from threelane.interfaces.command.caller import (
    answer_json,
    err,
    print_json,
    print_line,
)
from threelane.producer.accept import Accepted
from threelane.producer.client import Producer
from threelane.producer.enqueue import WINDOW
from threelane.producer.files import intake
from threelane.producer.files import canary as canaries
from threelane.producer.files import job as jobs
from threelane.producer.files.bulk import FileRow
from threelane.producer.files.countries import Countries
from threelane.producer.outage import Answer
from threelane.runtime.exits import Exit


class Sending:
    """One run of a job: from the saved progress, through the canary, to the end."""

    def __init__(
        self, producer: Producer, job: Job, opened: BufferedReader, counts: Counter[str], *, as_json: bool
    ) -> None:
        self._producer, self._job, self._opened, self._counts, self._as_json = producer, job, opened, counts, as_json
        self._known = job.progresses
        content = jobs.digest(opened, *job.options) if self._known else ""
        self._before, self._changed = jobs.load(job.beside, job.name, content)
        self._progress = jobs.Progress(job.name, content)
        self._rows = job.rows(opened)
        self._refused: list[tuple[FileRow, Refused]] = []
        self._last = 0
        self.countries = Countries()

    def go_on(self) -> None:
        """Skip the rows that an earlier run of this job has sent; if anything changed, submit each row."""
        if self._changed:
            err.print(
                f"{self._job.file} or its options changed since the job {self._job.name} started: each row is "
                "submitted again, and refused if it was accepted with different content",
                markup=False,
                highlight=False,
            )
        elif self._known and self._before.rows:
            done = self._before.rows
            self._counts.update(self._before.counts)
            self.countries = Countries(self._before.countries)
            self._rows = (row for row in self._rows if row.number > done)
            if not self._as_json:
                print_line(f"rows 1 to {done:,} were processed in an earlier run; --from-start submits them again")

    def canary(self, number: int, most_percent: float, seconds: float) -> None:
        """Send the first rows, and end the command if too many of them fail."""
        if self._before.rows and not self._changed and self._counts["accepted"]:
            return  # the canary passed in an earlier run; otherwise no progress would be saved
        ids: list[str] = []
        while len(ids) < number and (lot := list(islice(self._rows, number - len(ids)))):
            ids += [answer.id for _, answer in self._send(iter(lot)) if isinstance(answer, Accepted)]
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

    def rest(self) -> list[tuple[FileRow, Refused]]:
        """Send the remaining rows; returns the refused ones."""
        size = self._job.file.stat().st_size
        with progress_bar(self._as_json) as progress:
            bar = progress.add_task(self._job.file.name, total=size, rows=0)
            for row, _ in self._send(self._rows):
                if row.number % 100 == 0:
                    read = self._opened.tell() if self._opened.seekable() else None  # a pipe has no position
                    progress.update(bar, completed=read, rows=row.number)
                if row.number % WINDOW == 0:
                    self._save()
            progress.update(bar, completed=size, rows=self._last)
        if self._known:
            jobs.forget(self._job.beside)
        if self._as_json:
            print_json({"summary": self._counts, "countries": self.countries.by_cost()})
        return self._refused

    def _send(self, rows: Iterator[FileRow]) -> Iterator[tuple[FileRow, Answer]]:
        for row, result in intake.send(self._producer, rows):
            answer = jobs.explain_conflict(row, self._job.name, result)
            if self._as_json:
                print_json(answer_json(answer, row=row.number, line=row.line))
            if isinstance(answer, Refused):
                self._refused.append((row, answer))
            count(self._counts, answer)
            if isinstance(answer, Accepted) and not answer.repeated and not isinstance(row.content, Refusal):
                to = str(row.content["to"]).removeprefix("+")
                self.countries.add(country_of(to), answer.parts, self._producer.estimate(to, answer.parts))
            self._last = row.number
            yield row, answer

    def _save(self) -> None:
        """Save the progress; every row yielded so far is stored in Redis."""
        if self._known:
            if self._as_json:
                sys.stdout.flush()  # rows whose answers were not written out are submitted again
            self._progress.rows, self._progress.counts = self._last, dict(self._counts)
            self._progress.countries = self.countries.by_cost()
            jobs.save(self._job.beside, self._progress)
