"""Metrics of the dispatcher; labels come from closed tables only."""

from __future__ import annotations

from prometheus_client import Counter

WEBHOOKS = Counter(
    "threelane_webhooks",
    "Webhook posts of this process by result: taken, failed, refused_address; dead: set aside after the last "
    "attempt; dropped: discarded because the producer's backlog was full",
    ["result"],
)
SPREAD = Counter("threelane_webhook_events", "Events this process took from the stream")
