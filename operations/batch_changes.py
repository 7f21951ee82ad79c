"""Batch changes: a pause, a resume and a cancel of a batch, each in the audit log with who did it."""

from __future__ import annotations

import redis

from threelane.producer import pause as pausing
from threelane.producer.nudge import Nudger
from threelane.producer.pause import PauseResult
from threelane.store import audit, batches, pauses
from threelane.store.batches import Batch


def pause(client: redis.Redis, one: Batch, now: int, who: str) -> PauseResult:
    """Pause a batch; the log has the beginning of a pause only."""
    if not is_paused(client, one):
        audit.add(client, "pause batch", described(one), who)
    ids = (message_id for message_id, _ in batches.rows(client, one.producer, one.name))
    return pausing.pause(client, one.producer, one.name, ids, now, who)


def resume(client: redis.Redis, nudger: Nudger, one: Batch, now: int, who: str) -> PauseResult:
    """Resume a batch; the log has the end of a pause only."""
    if is_paused(client, one):
        audit.add(client, "resume batch", described(one), who)
    return pausing.resume(client, nudger, one.producer, one.name, now)


def note_cancel(client: redis.Redis, one: Batch, who: str) -> None:
    """Note that a batch is cancelled, before the first of its messages is."""
    audit.add(client, "cancel batch", described(one), who)


def is_paused(client: redis.Redis, one: Batch) -> bool:
    """Return whether a batch is paused."""
    return pauses.find(client, one.producer, one.name) is not None


def described(one: Batch) -> str:
    """Return a batch as the log names it."""
    return f"{one.name} of {one.producer or 'no producer'}"
