"""What the tests of all error replies do with a worker and a producer."""

from __future__ import annotations

from typing import Any

from tests.integration.conftest import log_of
from threelane import Producer
from threelane.demo.child import Child

NUMBER = "27999500001"


class BaseFleet:
    """A worker, and a producer whose messages it sends."""

    producer: Producer
    ids: set[str]

    def last_worker(self) -> Child:
        """Return the worker that was started last."""
        raise NotImplementedError

    def send(self, **fields: Any) -> str:
        """Accept a message."""
        message_id = self.producer.send(NUMBER, "Hello", **fields).id
        self.ids.add(message_id)
        return message_id

    def log(self, name: str) -> list[dict[str, Any]]:
        """Return the worker's log events of a name."""
        return [line for line in log_of(self.last_worker()) if line["event"] == name]
