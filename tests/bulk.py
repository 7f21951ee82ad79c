"""Bulk: what ``threelane bulk --json`` prints, without what it noticed in the file and its first messages."""

from __future__ import annotations

import json
from typing import Any


def printed(stdout: str) -> list[dict[str, Any]]:
    """Return the plan, the answers in the order of the rows, and the summary."""
    lines = map(json.loads, stdout.splitlines())
    return [line for line in lines if not {"first_messages", "file"} & line.keys()]
