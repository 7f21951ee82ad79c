"""Calling: the peers' requests to the HTTP API, and calls from many threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

SENDMSG = os.environ.get("BENCH_GATEWAY_URL", "") + "/http/sendmsg"


def form(message_id: str, to: str, text: str) -> dict[str, str]:
    """Return the parameters of ``sendmsg``; requests all receipts, as Threelane does."""
    return {
        "api_id": "bench",
        "user": "bench",
        "password": "bench",
        "to": to,
        "text": text,
        "climsgid": message_id,
        "callback": "7",
        "deliv_ack": "1",
    }


def outcome(response: str) -> dict[Any, Any]:
    """Return the fields recorded from a response."""
    if response.startswith("ID: "):
        return {"status": "sent", "gateway_id": response[4:].strip()}
    return {"status": "failed", "error": response}


def from_threads(call: Callable[[Mapping[str, str]], object], messages: Iterable[Mapping[str, str]], most: int) -> None:
    """Call once for each message, from ``most`` concurrent threads."""
    remaining, lock = iter(messages), threading.Lock()

    def next_one() -> Mapping[str, str] | None:
        with lock:
            return next(remaining, None)

    def caller() -> None:
        for message in _until_none(next_one):
            call(message)

    threads = [threading.Thread(target=caller) for _ in range(most)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()


def _until_none(more: Callable[[], Mapping[str, str] | None]) -> Iterator[Mapping[str, str]]:
    while (one := more()) is not None:
        yield one
