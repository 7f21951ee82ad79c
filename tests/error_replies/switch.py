"""Switch: one address in front of several servers, as a failover or a move to other servers has it."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class Switch:
    """Forwards connections to one port at a time; ``point`` cuts those to the last one.

    After a request with the bytes ``loses_replies_to`` a connection gets no more replies.
    """

    def __init__(self, port: int) -> None:
        self._upstream = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._silent: set[socket.socket] = set()
        self.loses_replies_to = b""
        self._changing = threading.Lock()
        self._start(self._accept)

    def point(self, port: int) -> None:
        """Forward to another port from now on."""
        with self._changing:
            self._upstream = port
            for one in self._open:
                _shut(one)

    def close(self) -> None:
        self._listening.close()
        self.point(0)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._upstream))
            except OSError:
                near.close()
                continue
            with self._changing:
                self._open |= {near, far}
            self._start(self._pump, near, far)
            self._start(self._pump, far, near)

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if self.loses_replies_to and self.loses_replies_to in data:
                    self._silent.add(source)  # what comes back to it is lost
                if target not in self._silent:
                    target.sendall(data)
        _shut(source)
        _shut(target)
        with self._changing:
            self._open.discard(source)
        source.close()

    def _start(self, work: object, *arguments: object) -> None:
        threading.Thread(target=work, args=arguments, daemon=True).start()  # type: ignore[arg-type]


def _shut(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
