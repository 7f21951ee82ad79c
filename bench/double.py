"""Double: the gateway's double as a process, the same for all sides."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from bench.processes import Process, module


class Double:
    """Starts bench/gateway.py and asks its own addresses."""

    def __init__(self, folder: Path) -> None:
        """Start it, with its log in a folder."""
        self.process = Process("gateway", module("bench.gateway"), folder / "gateway.log", {})
        self.url = str(self.process.line()["url"])

    def __enter__(self) -> Self:
        """Use it as a context."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.process.stop()

    def set(self, **settings: Any) -> None:
        """Set ``latency_ms``, ``receipts_after`` or ``door``; begins its counts anew and drops receipts that wait."""
        self._ask("/bench", settings)

    def counts(self) -> dict[str, int]:
        """Return what it has taken and which receipts were acknowledged."""
        counts: dict[str, int] = self._ask("/bench")
        return counts

    def arrivals(self) -> dict[str, float]:
        """Return when messages of lane 1 came: id -> Unix time in ms."""
        arrivals: dict[str, float] = self._ask("/bench/arrivals")
        return arrivals

    def _ask(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(self.url + path, data), timeout=60) as reply:
            return json.loads(reply.read())
