"""Run: what one run of messages came to."""

from __future__ import annotations

from dataclasses import dataclass

from bench.processes import Use

MICRO = 1_000_000


@dataclass(frozen=True, slots=True)
class Taken:
    """Messages that were accepted: in how many seconds, for how many CPU seconds."""

    messages: int
    seconds: float
    cpu: Use

    @property
    def rate(self) -> float:
        """Messages accepted a second."""
        return self.messages / self.seconds

    def cost(self, *kinds: str) -> float:
        """CPU microseconds a message of these kinds of processes, of all without the gateway when none is named."""
        return self.cpu.of(*kinds) / self.messages * MICRO


@dataclass(frozen=True, slots=True)
class Run:
    """Messages that were settled; seconds from the first accept, CPU seconds until the last was settled."""

    messages: int
    accepted_seconds: float
    settled_seconds: float
    cpu: Use
    receipts_seconds: float
    """Until the last receipt was written; 0 when that was not waited for."""
    whole_cpu: Use
    """CPU seconds until then."""

    @property
    def rate(self) -> float:
        """Messages settled a second."""
        return self.messages / self.settled_seconds

    @property
    def receipts_rate(self) -> float:
        """Messages a second whose last receipt was written."""
        return self.messages / self.receipts_seconds if self.receipts_seconds else 0.0

    def cost(self, *kinds: str) -> float:
        """CPU microseconds a message of these kinds of processes, of all without the gateway when none is named."""
        return self.cpu.of(*kinds) / self.messages * MICRO

    def shares(self) -> Use:
        """Return the share of one core that each kind of process had until the last was settled."""
        return Use({kind: seconds / self.settled_seconds for kind, seconds in self.cpu.items()})
