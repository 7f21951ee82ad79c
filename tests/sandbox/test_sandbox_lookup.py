"""Looking up, stopping and scheduling."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from threelane.sandbox.app import create
from threelane.sandbox.running import Running
from threelane.sandbox.settings import SandboxSettings

TO = "27820000001"
GOOD = {"api_id": "sandbox", "user": "sandbox", "password": "sandbox"}
WaitUntil = Callable[[Callable[[], Any]], Any]


@pytest.mark.parametrize("key", ["apimsgid", "climsgid"])
def test_a_message_is_found_by_either_id(sandbox: Running, wait_until: WaitUntil, key: str) -> None:
    """Status and charge, in the documented forms."""
    id = sandbox.send(TO, "a" * 161, climsgid="c1").removeprefix("ID: ")
    which = {key: {"apimsgid": id, "climsgid": "c1"}[key]}
    wait_until(lambda: sandbox.command("querymsg", **which) == f"ID: {id} Status: 004")
    assert sandbox.command("getmsgcharge", **which) == f"apiMsgId: {id} charge: 1.6 status: 004"
    assert sandbox.command("delmsg", **which) == f"ID: {id} Status: 004"  # too late to stop: a status, no error


@pytest.mark.parametrize("command", ["querymsg", "getmsgcharge", "delmsg"])
def test_an_unknown_or_missing_id_has_its_own_code(sandbox: Running, command: str) -> None:
    """103 of the gateway's id, 104 of the client's, 109 when there is none."""
    assert sandbox.command(command, apimsgid="0" * 32) == "ERR: 103, Unknown API message ID"
    assert sandbox.command(command, climsgid="nobody") == "ERR: 104, Unknown client message ID"
    assert sandbox.command(command) == "ERR: 109, Missing message ID"


def test_statuses_come_by_the_clock_and_the_schedule() -> None:
    """011 until due, then 008, 003, 004, each at its moment, without any callback."""
    assert asyncio.run(_statuses_at(0, 599, 600, 601, 602.9, 603)) == [
        "011",
        "011",
        "008",
        "003",
        "003",
        "004",
    ]


async def _statuses_at(*moments: float) -> list[str]:
    now = 1_000_000.0
    settings = SandboxSettings(seed=1, gateway_after_seconds=1, handset_after_seconds=3)
    async with TestClient(TestServer(create(settings, clock=lambda: now))) as client:
        await client.post("/http/sendmsg", data={**GOOD, "to": TO, "text": "x", "climsgid": "c1", "deliv_time": "10"})
        statuses = []
        for moment in moments:
            now = 1_000_000.0 + moment
            answer = await client.post("/http/querymsg", data={**GOOD, "climsgid": "c1"})
            statuses.append((await answer.text())[-3:])
        return statuses


def test_a_scheduled_message_can_be_stopped_and_costs_nothing(sandbox: Running) -> None:
    """Status 006, its charge given back, once."""
    due_at = str(int(time.time()) + 3600)
    id = sandbox.send(TO, scheduled_time=due_at, climsgid="later").removeprefix("ID: ")
    assert sandbox.command("getbalance") == "Credit: 99999.200"
    for _ in range(2):
        assert sandbox.command("delmsg", climsgid="later") == f"ID: {id} Status: 006"
    assert sandbox.command("getbalance") == "Credit: 100000.000"
    summary = sandbox.control("GET", "ledger?summary=1")["summary"]
    assert (summary["charged"], summary["by_status"]) == ("0.000", {"006": 1})


def test_a_lagging_look_up_does_not_find_what_was_taken(sandbox: Running, wait_until: WaitUntil) -> None:
    """By client id 104, by the gateway's id status 001: neither proves that it was not taken."""
    sandbox.control("POST", "settings", {"lookup_lag_seconds": 60})
    id = sandbox.send(TO, climsgid="c1").removeprefix("ID: ")
    assert sandbox.command("querymsg", climsgid="c1") == "ERR: 104, Unknown client message ID"
    assert sandbox.command("querymsg", apimsgid=id) == f"ID: {id} Status: 001"
    sandbox.control("POST", "settings", {"lookup_lag_seconds": 0})
    wait_until(lambda: sandbox.command("querymsg", climsgid="c1") == f"ID: {id} Status: 004")
