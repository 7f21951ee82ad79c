"""Planning: what a run would do is shown, and refused or confirmed, before anything is sent."""

from __future__ import annotations

from io import BufferedReader

import msgspec

from threelane.interfaces.command.bulk.job import Job
from threelane.interfaces.command.caller import print_json, print_line
from threelane.producer.client import Producer
from threelane.producer.files.plan import Plan, make_plan


def plan_run(producer: Producer, job: Job, opened: BufferedReader, *, as_json: bool) -> Plan:
    """Read the file once, and print what the run would do; the file is at its start again."""
    plan = make_plan(producer, job.rows(opened))
    opened.seek(0)
    if as_json:
        print_json({"plan": msgspec.structs.asdict(plan)})
    else:
        print_line(sentence(plan))
    return plan


def sentence(plan: Plan) -> str:
    """Return the plan for people."""
    counts = {"new": plan.new, "known": plan.known, "changed": plan.changed, "gone": plan.gone, "refused": plan.refused}
    return ", ".join(f"{name} {number:,}" for name, number in counts.items() if number or name != "refused")
