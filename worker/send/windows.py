"""Windows: regularly reads the hours in which lanes 2 and 3 may send, and the holidays on which they may not."""

from __future__ import annotations

from threelane.contract.window import Windows
from threelane.runtime import logs
from threelane.store import keys, rows
from threelane.worker.gateway.context import WorkerContext
from threelane.worker.process.duty import Duty

LOOK_SECONDS = 5.0


async def look(context: WorkerContext) -> bool:
    """Read the windows in force; lane 1 has none."""
    entries = await rows.table_async(context.client, keys.WINDOWS)
    windows = Windows.decode(entries, await rows.table_async(context.client, keys.HOLIDAYS))
    former = context.rest.windows
    if windows.unreadable and windows.unreadable != former.unreadable:
        logs.event("windows_unreadable", level=40, scopes=sorted(windows.unreadable), owner="operator")
    unreadable = windows.holidays.unreadable
    if unreadable and unreadable != former.holidays.unreadable:
        logs.event("holidays_unreadable", level=40, rows=sorted(unreadable), owner="operator")
    context.rest.windows = windows
    return False


DUTY = Duty(name="look_at_windows", interval_seconds=LOOK_SECONDS, work=look)
