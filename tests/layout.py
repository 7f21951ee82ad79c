"""The layers of the code, lowest first: each imports only from the layers below it."""

from __future__ import annotations

from pathlib import Path

import threelane

ROOT = Path(threelane.__file__).parents[1]

LAYERS = (
    "contract",  # the vocabulary: messages, codes, limits
    "runtime",  # settings, logs and clocks of every process
    "store",  # the data in Redis
    "producer",  # the caller's operations
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
    "worker.standby",
    "worker.webhooks",
    "worker.upkeep",
    "worker.app",
    "gateways",  # one folder per API, found by its name
    "operations",  # reports on the fleet, for people and Prometheus
    "interfaces.api",
    "interfaces.console",
    "interfaces.callbacks",
    "interfaces.web",
    "sandbox",  # imports no other layer
    "demo",
    "interfaces.command",
)
"""The list that the import test checks the code against."""

FOLDERS = tuple(dict.fromkeys(layer.partition(".")[0] for layer in LAYERS))
"""The folders of the product at the top of the repository."""
