"""By hand: an operator's changes to the suppression list; each has an audit entry, with the number masked."""

from __future__ import annotations

import redis

from threelane.contract import phone
from threelane.contract.schedule import DAY
from threelane.store import audit, suppression
from threelane.store.suppression import Entry

KIND = "suppression"
"""What the audit log calls these changes."""


def suppress(client: redis.Redis, number: str, entry: Entry, who: str = "") -> None:
    """Add an entry; ``who`` defaults to the user of this process."""
    suppression.add(client, [(number, entry)])
    audit.record(client, KIND, f"{phone.mask(number)} is suppressed ({entry.scope}){_until(entry)}", who)


def lift(client: redis.Redis, number: str, source: str = "", scope: str = "", who: str = "") -> int:
    """Remove the entries of a number, of one source and scope or of any; returns how many."""
    lifted = suppression.lift(client, number, source, scope)
    if lifted:
        kinds = ", ".join(filter(None, (source, scope))) or "of any source"
        audit.record(client, KIND, f"{phone.mask(number)}: {lifted} entries removed ({kinds})", who)
    return lifted


def _until(entry: Entry) -> str:
    return f" for {(entry.expires - entry.last) / DAY:g} days" if entry.expires else ""
