"""A lost answer leaves its caller unsure, with any result of the repeated call."""

from __future__ import annotations

import contextlib
import socket
import threading

import pytest
import redis

from tests.servers import RedisServer
from threelane import Producer, ProducerSettings, Unavailable
from threelane.store import keys


class _LosesTheAnswer:
    """A way to Redis on which the first call of a script arrives, its answer does not, and nothing answers after it."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._lines: list[socket.socket] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                caller, _ = self._server.accept()
                redis_side = socket.create_connection(("127.0.0.1", self._to))
                self._lines += [caller, redis_side]
                threading.Thread(target=self._carry, args=(caller, redis_side), daemon=True).start()

    def _carry(self, caller: socket.socket, redis_side: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while received := caller.recv(1 << 20):
                redis_side.sendall(received)
                answer = redis_side.recv(1 << 20)
                if b"EVAL" in received and not answer.startswith(b"-NOSCRIPT"):
                    self.end()
                    return
                caller.sendall(answer)

    def end(self) -> None:
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)  # otherwise a client in the backlog is still accepted
        self._server.close()
        for one in self._lines:
            one.close()


def test_a_message_whose_answer_was_lost_is_unsure_also_when_redis_cannot_be_reached_then(
    redis_server: RedisServer, producer: Producer, client: redis.Redis
) -> None:
    """The repeated call was never sent; the first one was, and the caller must not take it for refused."""
    producer.send("27999500002", "So that Redis knows the script")
    way = _LosesTheAnswer(redis_server.port)
    settings = ProducerSettings(redis_url=f"redis://127.0.0.1:{way.port}/0", broker_url=redis_server.url)
    with Producer(settings) as cut_off, pytest.raises(Unavailable) as lost:
        cut_off.send("27999500001", "Hello", client_message_id="order1")
    way.end()
    (unsure,) = lost.value.unsure
    assert client.exists(keys.record(unsure)), "it had been accepted"
