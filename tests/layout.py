"""The layers of the code, lowest first: each imports only what lies below it."""

from __future__ import annotations

from pathlib import Path

import threelane

ROOT = Path(threelane.__file__).parents[1]

LAYERS = (
    "contract",  # what may be said
    "runtime",  # what every process needs
    "store",  # what is kept
    "producer",  # a caller's verbs
    "worker.policy",
    "worker.process",
    "worker.inbound",
    "worker.gateway",
    "worker.account",
    "worker.fetch",
    "worker.send",
    "worker.receipt",
    "worker.reply",
    "worker.doubt",
    "worker.dead",
    "worker.webhooks",
    "worker.upkeep",
    "worker.app",
    "gateways",  # one folder for each API, found by its name
    "operations",  # what people and Prometheus ask of a fleet
    "interfaces.api",
    "interfaces.console",
    "interfaces.callbacks",
    "interfaces.web",
    "sandbox",  # imports nothing of ours
    "demo",
    "interfaces.command",
)
"""The one list that the import test holds the code to."""

FOLDERS = tuple(dict.fromkeys(layer.partition(".")[0] for layer in LAYERS))
"""The folders of the product at the top of the repository."""
