"""Tiny chunks: a body of them costs as much per octet as a long one per kilobyte."""

from __future__ import annotations

import h11
import pytest

from threelane.interfaces.web.protocol import StrictConnection

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def parse(chunk: bytes, number: int) -> None:
    connection = StrictConnection(h11.SERVER)
    connection.receive_data(HEAD + (b"%x\r\n%b\r\n" % (len(chunk), chunk)) * number)
    while connection.next_event() is not h11.NEED_DATA:
        pass


def test_many_tiny_chunks_are_refused() -> None:
    """One event of the parser each."""
    with pytest.raises(h11.RemoteProtocolError, match="too small"):
        parse(b"{", 300)


def test_many_chunks_of_usual_size_are_read() -> None:
    """As clients send that do not know the length before."""
    parse(b"x" * 1024, 1_000)
