"""Run: the result of one run of messages."""

from __future__ import annotations

from dataclasses import dataclass

from bench.processes import Use

MICRO = 1_000_000


@dataclass(frozen=True, slots=True)
class IntakeRun:
    """A run that only accepts messages, with its seconds and CPU seconds."""

    messages: int
    seconds: float
    cpu: Use

    @property
    def rate(self) -> float:
        """Messages accepted per second."""
        return self.messages / self.seconds

    def cost(self, *kinds: str) -> float:
        """CPU microseconds per message of these kinds of process; without arguments, of all except the gateway."""
        return self.cpu.total(*kinds) / self.messages * MICRO


@dataclass(frozen=True, slots=True)
class Run:
    """A run until all messages are settled; times start at the first accept, CPU counts until the last is settled."""

    messages: int
    accepted_seconds: float
    settled_seconds: float
    cpu: Use
    receipts_seconds: float
    """Until the last receipt was written; 0 when the run did not wait for receipts."""
    whole_cpu: Use
    """CPU seconds until the last receipt was written."""

    @property
    def rate(self) -> float:
        """Messages settled per second."""
        return self.messages / self.settled_seconds

    @property
    def receipts_rate(self) -> float:
        """Messages per second until the last receipt was written."""
        return self.messages / self.receipts_seconds if self.receipts_seconds else 0.0

    def cost(self, *kinds: str) -> float:
        """CPU microseconds per message of these kinds of process; without arguments, of all except the gateway."""
        return self.cpu.total(*kinds) / self.messages * MICRO

    def shares(self) -> Use:
        """Return the share of one core used by each kind of process until the last message was settled."""
        return Use({kind: seconds / self.settled_seconds for kind, seconds in self.cpu.items()})
