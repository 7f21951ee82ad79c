"""Planning: what a run would do is shown, and may be refused or confirmed, before anything is sent."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader

import msgspec

from threelane.interfaces.command.bulk.confirm import is_confirmed
from threelane.interfaces.command.bulk.job import Job
from threelane.interfaces.command.bulk.paused import find_paused, in_json, print_paused, refuse_canary
from threelane.interfaces.command.printing import err, print_json, print_line, wrong_usage
from threelane.producer.client import Producer
from threelane.producer.files.bulk import FileRow
from threelane.producer.files.duplicates import KeptRows
from threelane.producer.files.earlier import Earlier, enter, incomparable
from threelane.producer.files.past import with_known
from threelane.producer.files.plan import Plan, make_plan, without_changed
from threelane.producer.files.progress import read_progress
from threelane.producer.outage import Unavailable
from threelane.runtime.settings import ProducerSettings, load_or_exit

_UNREAD = (
    "rows of earlier runs are gone from the file, and this user of Redis may not list whose they are: each new "
    "row may be a changed one. Use the Redis user reader or operator in THREELANE_REDIS_URL, or --send-changed"
)
_OTHER_OPTIONS = (
    "an earlier version of Threelane accepted messages of this job to recipients of changed rows. It kept no texts of "
    "sent messages, so a row also counts as changed if the options of this command differ from those of that run"
)


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a job: its plan, and what it needs to know to keep it."""

    job: Job
    plan: Plan
    earlier: Earlier
    kept: KeptRows
    sends_changed: bool

    def rows(self, producer: Producer, opened: BufferedReader) -> Iterator[FileRow]:
        """Yield the rows of the file: to send, known, or refused.

        Each window of rows is looked up again: the file may have been edited since the plan was made.
        """
        rows = with_known(producer, self.job.each_row(opened), self.earlier)
        rows = self.job.without_duplicates(rows, self.kept)
        return rows if self.sends_changed else without_changed(rows, self.plan.replaced)

    def enter_earlier(self, producer: Producer) -> None:
        """List what an earlier version accepted in the batch, before anything else is."""
        enter(producer, self.earlier, load_or_exit(ProducerSettings).batch_ms)


@contextmanager
def nothing_sent() -> Iterator[None]:
    """Add to an outage that this run has accepted no row yet."""
    try:
        yield
    except Unavailable as away:
        problem = f"{away}. This run has accepted no row."
        raise Unavailable(problem, retry_after=away.retry_after, owner=away.owner) from None


def plan_run(
    producer: Producer, job: Job, opened: BufferedReader, *, send_changed: bool, canary: bool, as_json: bool
) -> Run:
    """Read the file once, and print what the run would do; the file is at its start again.

    Ends the command if a canary would wait for a paused batch.  Raises Forgotten.
    """
    kept = KeptRows()
    plan, earlier = _plan(producer, job, opened, kept)
    if kept.has_changed:  # a known row stands below a new one of the same recipient, which was planned as new
        opened.seek(0)
        plan, earlier = _plan(producer, job, opened, kept)
    opened.seek(0)
    _refuse_doubtful(job, earlier)
    paused = find_paused(producer, plan)
    if as_json:
        print_json({"plan": plan.counts | ({} if job.name else {"named": False}) | in_json(paused)})
    else:
        print_line(sentence(job, plan))
        print_paused(paused)
    if canary:
        refuse_canary(paused)
    if plan.is_unread:
        err.print(_UNREAD, markup=False, highlight=False, soft_wrap=True)
    if (plan.new or plan.changed) and not send_changed:
        _refuse_incomparable(producer, job, earlier)
    if plan.changed and any(True for found in earlier.found.values() for _ in found.unmatched):
        err.print(_OTHER_OPTIONS, markup=False, highlight=False, soft_wrap=True)
    if plan.changed and not send_changed and not as_json:
        send_changed = is_confirmed(f"{plan.changed:,} rows changed since an earlier run. Send them, too?")
    return Run(job=job, plan=plan, earlier=earlier, kept=kept, sends_changed=send_changed)


def _plan(producer: Producer, job: Job, opened: BufferedReader, kept: KeptRows) -> tuple[Plan, Earlier]:
    earlier = Earlier(
        job.name,
        job.former_name,
        _lines(opened) if job.former_name else 0,
        is_shared=job.shares_former_name and read_progress(job.file, job.former_name) is None,
    )
    rows = job.without_duplicates(with_known(producer, job.each_row(opened), earlier), kept)
    return make_plan(producer, rows, job.name, job.rules.producer, earlier), earlier


def _refuse_doubtful(job: Job, earlier: Earlier) -> None:
    """End the command if an earlier version sent messages of this file, or of another whose job had the same name."""
    if earlier.doubtful:
        former, own = shlex.quote(job.former_name), shlex.quote(job.name)
        wrong_usage(
            f"{job.file}: an earlier version accepted {earlier.doubtful:,} messages of the job {former}. It gave this "
            "name to this file, and to others whose names differ in letters beyond A to Z, in spaces or at their ends. "
            f"Nothing was sent. If the messages are of this file, continue that job with --batch {former}; if they are "
            f"of another, begin this one with --batch {own}"
        )


def _lines(opened: BufferedReader) -> int:
    """Return how many lines a file has; it is at its start again."""
    lines = sum(octets.count(b"\n") for octets in iter(lambda: opened.read(1 << 20), b"")) + 1
    opened.seek(0)
    return lines


def _refuse_incomparable(producer: Producer, job: Job, earlier: Earlier) -> None:
    """End the command if messages of an earlier version cannot be compared, so that new rows may be theirs."""
    if not job.former_name:
        return
    lost = incomparable(
        earlier,
        read_progress(job.file, job.former_name),
        load_or_exit(ProducerSettings).retention_ms,
        producer.now(),
    )
    if lost:
        wrong_usage(
            f"{job.file}: an earlier version sent rows of the job {job.former_name}, and {lost}, so new rows may have "
            "been sent by it. Nothing was sent now. Remove the rows that were sent from the file, then run the command "
            "with --send-changed, which sends all new and changed rows"
        )


def sentence(job: Job, plan: Plan) -> str:
    """Return the plan for people."""
    counts = ", ".join(f"{name} {number:,}" for name, number in plan.counts.items() if number or name != "refused")
    return f"{job.name}: {counts}" if job.name else f"{counts}; without --batch a further run sends all rows again"
