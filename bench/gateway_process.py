"""Gateway process: the benchmark gateway in a process, the same for all systems."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from bench.processes import Process, module


class GatewayProcess:
    """Starts bench/gateway.py and calls its control API."""

    def __init__(self, folder: Path) -> None:
        """Start the process, with its log in a folder."""
        self.process = Process("gateway", module("bench.gateway"), folder / "gateway.log", {})
        self.url = str(self.process.line()["url"])

    def __enter__(self) -> Self:
        """Return the running process."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the process."""
        self.process.stop()

    def set(self, **settings: Any) -> None:
        """Set ``latency_ms``, ``receipts_after`` or ``receipts_url``; resets the counts and drops waiting receipts."""
        self._request("/bench", settings)

    def counts(self) -> dict[str, int]:
        """Return the counts of accepted messages and of acknowledged receipts."""
        counts: dict[str, int] = self._request("/bench")
        return counts

    def arrivals(self) -> dict[str, float]:
        """Return the arrival times of messages in lane 1: id -> Unix time in ms."""
        arrivals: dict[str, float] = self._request("/bench/arrivals")
        return arrivals

    def _request(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(self.url + path, data), timeout=60) as response:
            return json.loads(response.read())
