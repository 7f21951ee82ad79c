"""A client that was written against the real service works against the sandbox: the package `clickatell`, 0.1.2."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clickatell.http import Http
from clickatell.rest import Rest

from threelane.sandbox.running import Running

TO, OPTED_OUT = "27999500001", "27999112200"


def _at(sandbox: Running, client: Any) -> Any:
    client.endpoint = sandbox.url.removeprefix("http://")
    return client


def test_the_published_http_client_sends_queries_and_reads_the_balance(
    sandbox: Running, wait_until: Callable[[Callable[[], Any]], Any]
) -> None:
    """Its parsing of every answer is its own."""
    client = _at(sandbox, Http("sandbox", "sandbox", "sandbox"))
    sent, refused = client.sendMessage([TO, OPTED_OUT], "Hello")
    assert (TO, False) == (sent["destination"], sent["error"])
    assert (False, "Destination mobile opted out") == (refused["id"], refused["error"])
    wait_until(lambda: client.queryMessage(sent["id"])["status"] == "004")
    assert 0.8 == client.getMessageCharge(sent["id"])["charge"]
    assert {"balance": 99_999.2} == client.getBalance()
    assert client.routeCoverage(TO)["routable"]
    assert "004" == client.stopMessage(sent["id"])["status"]


def test_the_published_rest_client_sends_and_reads_the_balance(sandbox: Running) -> None:
    """The same package reads the id of a refused entry too, and fails without one."""
    client = _at(sandbox, Rest("sandbox"))
    sent, refused = client.sendMessage([TO, OPTED_OUT], "Hello")
    assert (TO.encode(), False) == (sent["destination"], sent["error"])
    assert (b"", b"122") == (refused["id"], refused["errorCode"])
    assert {"balance": 99_999.2} == client.getBalance()
