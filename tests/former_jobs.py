"""Former jobs: the records that ``threelane bulk`` left when it knew a row by its number."""

from __future__ import annotations

import json
from base64 import b32encode
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import redis

from threelane.contract.message_id import identify
from threelane.store import keys

DAY_MS = 24 * 3600 * 1000


def former_row(
    client: redis.Redis,
    job: str,
    number: int,
    row: str,
    *,
    producer: str = "",
    is_sent: bool = True,
    accepted_ms: int | None = None,
    more: Mapping[str, Any] | None = None,
) -> str:
    """Write the record of a row "number,text", sent or waiting, with more fields of its message; returns its id."""
    to, text = row.split(",", 1)
    own = b32encode(blake2b(f"{job}\0{number}".encode(), digest_size=10).digest()).decode()
    message_id = identify(producer, own)
    given: dict[str, Any] = {"batch": job, "text": text, "to": to, **(more or {})}
    content = json.dumps(sorted(map(list, given.items())), ensure_ascii=False, separators=(",", ":"))
    now = int(client.time()[0]) * 1000 if accepted_ms is None else accepted_ms
    fields: dict[Any, Any] = {
        "status": "delivered" if is_sent else "queued",
        "lane": given.get("lane", 3),
        "to": to,
        "parts": 1,
        "accepted": now,
        "expires": now + DAY_MS,
        "print": blake2b(content.encode(), digest_size=9).hexdigest(),
        "client": own,
        "batch": given["batch"],
    }
    fields |= {"producer": producer} if producer else {}
    fields |= {"tags": ",".join(given["tags"])} if "tags" in given else {}
    fields |= {"centre": given["cost_centre"]} if "cost_centre" in given else {}
    if is_sent:
        fields["ended"] = now
    else:
        body = {"id": message_id, "to": to, "expires_at": now + DAY_MS, "text": text}
        fields["body"] = json.dumps(body, ensure_ascii=False)
    client.hset(keys.record(message_id), mapping=fields)
    return message_id


def former_rows(client: redis.Redis, job: str, *rows: str, **how: Any) -> list[str]:
    """Write the records of the first rows of a file; returns their ids."""
    return [former_row(client, job, number, row, **how) for number, row in enumerate(rows, 1)]
