"""View: the demo's output: a table by lane and outcome while it runs, and the summary."""

from __future__ import annotations

import redis
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table

from threelane.contract.prices import CREDIT
from threelane.demo.reconcile import Summary
from threelane.store import keys

_COLUMNS = {"delivered": "arrived", "undelivered": "failed", "expired": "expired", "dead": "dead"}


def lanes(client: redis.Redis) -> Table:
    """Return the current table of lanes; it counts transitions, so a redriven dead letter counts each time."""
    tally = {name.decode(): int(n) for name, n in client.hgetall(keys.TALLY).items()}  # type: ignore[union-attr]
    table = Table(
        "lane",
        "in",
        "waiting",
        "sent",
        *_COLUMNS.values(),
        "retries",
        "credits",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for column in table.columns:
        column.justify = "right"
    for lane in keys.LANES:
        table.add_row(
            str(lane),
            str(tally.get(f"accepted:{lane}", 0)),
            str(client.zcard(keys.QUEUED[lane])),
            str(tally.get(f"to:{lane}:sent", 0)),
            *(str(tally.get(f"to:{lane}:{status}", 0)) for status in _COLUMNS),
            str(_sum(tally, f"retried:{lane}:")),
            f"{_sum(tally, f'charged:{lane}:') / CREDIT:.1f}",
        )
    return table


def summary(result: Summary) -> RenderableType:
    """Return the table of the three ledgers, and the verdict."""
    table = Table(
        "",
        "accepted",
        "records",
        "sandbox",
        title=f"Three ledgers, after {result.seconds} s",
        box=box.SIMPLE_HEAD,
    )
    for column in table.columns[1:]:
        column.justify = "right"
    table.add_row(
        "messages", str(result.accepted), str(sum(result.by_status.values())), f"{result.sandbox_messages} sent"
    )
    table.add_row("sent twice", "", "", str(result.sandbox_twice))
    table.add_row("parts sent", str(result.parts_counted), "", str(result.parts_charged))
    table.add_row("credits", "", result.credits_in_records, result.credits_at_sandbox)
    for status, number in result.by_status.items():
        codes = ", ".join(f"{code}: {n}" for code, n in result.dead_by_code.items()) if status == "dead" else ""
        table.add_row(f"  {status}", "", str(number), codes)
    refused = ", ".join(f"{code}: {n}" for code, n in result.refused.items())
    table.add_row("refused at accept", str(sum(result.refused.values())), "", refused)
    table.add_row("repeated requests", str(result.repeated), "", "")
    verdict = "[bold green]the three ledgers are equal: nothing lost, nothing twice, every credit accounted for[/]"
    if not result.equal:
        verdict = "[bold red]the ledgers differ:[/]\n" + "\n".join(f"  {breach}" for breach in result.breaches)
    return Group(table, verdict)


def _sum(tally: dict[str, int], prefix: str) -> int:
    return sum(number for name, number in tally.items() if name.startswith(prefix))
