"""Transport: kombu's Redis transport, mended where a lost connection would end the whole worker.

When the connection breaks while nudges are un-acknowledged, kombu 5.7 closes the channel twice.  The second time it
puts them back through a connection that is already gone, which raises what nobody catches.  There is nothing to put
back then: what Redis keeps of them comes back by the visibility timeout, and the sweep is faster.
"""

from __future__ import annotations

from typing import Any

from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import redis as kombu_redis


class QoS(kombu_redis.QoS):
    """Keeps count of the nudges that this worker holds."""

    def restore_unacked(self, client: Any = None) -> None:
        """Put back what is held, if there is still a connection to do it through."""
        if self.channel.connection.client is None:
            (self._delivered or {}).clear()
        else:
            super().restore_unacked(client)


class Channel(kombu_redis.Channel):
    """A channel that can be closed twice."""

    QoS = QoS


class Transport(kombu_redis.Transport):
    """The transport of the schemes redis and rediss in a worker."""

    Channel = Channel


def install() -> None:
    """Let this process's kombu use it."""
    TRANSPORT_ALIASES["redis"] = TRANSPORT_ALIASES["rediss"] = f"{__name__}:Transport"
