"""Planning: what a run would do is shown, and may be refused or confirmed, before anything is sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader

import msgspec

from threelane.interfaces.command.bulk.confirm import is_confirmed
from threelane.interfaces.command.bulk.job import Job
from threelane.interfaces.command.printing import err, print_json, print_line, wrong_usage
from threelane.interfaces.command.values import shown_at
from threelane.producer.client import Producer
from threelane.producer.files.bulk import FileRow
from threelane.producer.files.past import Earlier, read_earlier, with_known
from threelane.producer.files.plan import Plan, make_plan, without_changed
from threelane.producer.files.progress import read_progress
from threelane.producer.outage import Unavailable
from threelane.runtime.settings import ProducerSettings, load_or_exit

_UNREAD = (
    "rows of earlier runs are gone from the file, and this user of Redis may not list whose they are: each new "
    "row may be a changed one. Use the Redis user reader or operator in THREELANE_REDIS_URL, or --send-changed"
)


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a job: its plan, and what it needs to know to keep it."""

    job: Job
    plan: Plan
    earlier: Earlier
    sends_changed: bool

    def rows(self, producer: Producer, opened: BufferedReader) -> Iterator[FileRow]:
        """Yield the rows of the file: to send, known, or refused.

        Each window of rows is looked up again: the file may have been edited since the plan was made.
        """
        rows = with_known(producer, self.job.rows(opened), self.earlier)
        return rows if self.sends_changed else without_changed(rows, self.job.name, self.plan.replaced)


@contextmanager
def nothing_sent() -> Iterator[None]:
    """Add to an outage that this run has accepted no row yet."""
    try:
        yield
    except Unavailable as away:
        problem = f"{away}. This run has accepted no row."
        raise Unavailable(problem, retry_after=away.retry_after, owner=away.owner) from None


def plan_run(producer: Producer, job: Job, opened: BufferedReader, *, send_changed: bool, as_json: bool) -> Run:
    """Read the file once, and print what the run would do; the file is at its start again.

    Raises Forgotten.
    """
    plan, earlier = _plan(producer, job, opened)
    opened.seek(0)
    if as_json:
        print_json({"plan": plan.counts if job.name else plan.counts | {"named": False}})
    else:
        print_line(sentence(job, plan))
    if plan.is_unread:
        err.print(_UNREAD, markup=False, highlight=False, soft_wrap=True)
    if plan.changed and not send_changed and not as_json:
        send_changed = is_confirmed(f"{plan.changed:,} rows changed since an earlier run. Send them, too?")
    return Run(job=job, plan=plan, earlier=earlier, sends_changed=send_changed)


def _plan(producer: Producer, job: Job, opened: BufferedReader) -> tuple[Plan, Earlier]:
    earlier, name = Earlier(), job.rules.producer
    if job.former_name:
        _refuse_old_progress(producer, job)
        earlier = producer.query(lambda client: read_earlier(client, name, job.former_name, job.name))
    rows = with_known(producer, job.rows(opened), earlier)
    return make_plan(producer, rows, job.name, name, earlier), earlier


def _refuse_old_progress(producer: Producer, job: Job) -> None:
    """End the command if an earlier version was cut off so long ago that what it sent cannot be compared any more."""
    old = read_progress(job.file, job.former_name)
    if old and old.at + load_or_exit(ProducerSettings).retention_ms < producer.now():
        wrong_usage(
            f"{job.file}: rows 1 to {old.rows:,} were processed by an earlier version until {shown_at(old.at)}, and "
            "their messages are not stored any more. Nothing was sent. Remove those that were sent from the file, "
            f"then delete {job.file.name}.progress"
        )


def sentence(job: Job, plan: Plan) -> str:
    """Return the plan for people."""
    counts = ", ".join(f"{name} {number:,}" for name, number in plan.counts.items() if number or name != "refused")
    return f"{job.name}: {counts}" if job.name else f"{counts}; without --batch a further run sends all rows again"
