"""Scheduling at the gateway: every way to ask for it, the time it takes, and who can still stop it."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from threelane.sandbox.app import create
from threelane.sandbox.running import Running
from threelane.sandbox.settings import SandboxSettings

TO = "27820000001"
LATER_SECONDS = 3600
CREDENTIALS = {"api_id": "sandbox", "user": "sandbox", "password": "sandbox"}
WaitUntil = Callable[[Callable[[], Any]], Any]


def http(sandbox: Running, **parameters: str) -> None:
    """Schedules by the HTTP API."""
    assert sandbox.send(TO, climsgid="c1", **parameters).startswith("ID: ")


def xml(sandbox: Running, name: str, value: str) -> None:
    """Schedules by the XML API."""
    answer = element(sandbox, "sendMsg", f"<to>{TO}</to><text>x</text><cliMsgId>c1</cliMsgId><{name}>{value}</{name}>")
    assert "<fault>" not in answer


def element(sandbox: Running, tag: str, children: str) -> str:
    """Returns the answer to a document of one element."""
    credentials = "<api_id>sandbox</api_id><user>sandbox</user><password>sandbox</password>"
    return sandbox.xml(f"<clickAPI><{tag}>{credentials}{children}</{tag}></clickAPI>")


def rest(sandbox: Running) -> None:
    """Schedules by Central REST, in GMT."""
    due = later().strftime("%Y-%m-%dT%H:%M:%SZ")
    body = {"to": [TO], "text": "x", "clientMessageId": "c1", "scheduledDeliveryTime": due}
    assert sandbox.rest("POST", "message", body)[0] == 202


def one(sandbox: Running) -> None:
    """Schedules by the One API, with an offset."""
    due = later().strftime("%Y-%m-%dT%H:%M:%S+0000")
    entry = {"to": TO, "content": "x", "clientMessageId": "c1", "scheduledDeliveryTime": due}
    assert sandbox.one("POST", "/v1/message", {"messages": [entry]})[0] == 202


def platform(sandbox: Running) -> None:
    """Schedules by Platform REST, with an offset."""
    due = later().strftime("%Y-%m-%dT%H:%M:%S+0000")
    body = {"to": [TO], "content": "x", "clientMessageId": "c1", "scheduledDeliveryTime": due}
    assert sandbox.one("POST", "/messages", body)[1]["messages"][0]["accepted"]


def later() -> datetime:
    """Returns the moment to schedule for."""
    return datetime.fromtimestamp(time.time() + LATER_SECONDS, UTC)


WAYS: dict[str, Callable[[Running], None]] = {
    "http scheduled_time": lambda sandbox: http(sandbox, scheduled_time=str(int(later().timestamp()))),
    "http deliv_time": lambda sandbox: http(sandbox, deliv_time="60"),
    "xml scheduled_time": lambda sandbox: xml(sandbox, "scheduled_time", str(int(later().timestamp()))),
    "xml deliv_time": lambda sandbox: xml(sandbox, "deliv_time", "60"),
    "rest": rest,
    "one": one,
    "platform": platform,
}


def the_message(sandbox: Running) -> dict[str, Any]:
    """Returns the only message of the ledger."""
    [message] = sandbox.control("GET", "ledger")["messages"]
    return message  # type: ignore[no-any-return]


@pytest.mark.parametrize("way", WAYS)
def test_a_scheduled_message_waits_for_its_time(sandbox: Running, wait_until: WaitUntil, way: str) -> None:
    """Status 011 until then, and from then on as any other; the scale makes an hour of it a third of a second."""
    sandbox.control("POST", "settings", {"schedule_scale": 0.0001})
    WAYS[way](sandbox)
    wait_until(lambda: the_message(sandbox)["status"] == "004")
    message = the_message(sandbox)
    assert [each["status"] for each in message["history"]] == ["011", "008", "003", "004"]
    assert message["history"][1]["at"] - message["taken_at"] >= 0.3
    assert abs(message["scheduled_at"] - message["taken_at"] - LATER_SECONDS) < 60  # as asked, not as scaled


@pytest.mark.parametrize("way", WAYS)
def test_unscaled_it_waits_the_whole_time(sandbox: Running, way: str) -> None:
    """And it is paid already."""
    WAYS[way](sandbox)
    assert the_message(sandbox)["status"] == "011"
    assert sandbox.command("getbalance") == "Credit: 99999.200"


STOPS: dict[str, Callable[[Running, str], object]] = {
    "http": lambda sandbox, id: sandbox.command("delmsg", apimsgid=id),
    "rest": lambda sandbox, id: sandbox.rest("DELETE", f"message/{id}"),
    "xml": lambda sandbox, id: element(sandbox, "delMsg", f"<apiMsgId>{id}</apiMsgId>"),
}


@pytest.mark.parametrize("stop", STOPS)
def test_it_can_be_stopped_until_its_time(sandbox: Running, stop: str) -> None:
    """Status 006 and the charge given back, whichever API it came by."""
    one(sandbox)
    STOPS[stop](sandbox, the_message(sandbox)["id"])
    assert [each["status"] for each in the_message(sandbox)["history"]] == ["011", "006"]
    assert sandbox.command("getbalance") == "Credit: 100000.000"


def test_the_time_of_a_stopped_message_passes_without_a_word() -> None:
    """An hour of the gateway's clock later it is still 006; the one beside it has gone, sooner by the scale."""
    assert asyncio.run(_an_hour_later()) == [["011", "006"], ["011", "008", "003", "004"]]


async def _an_hour_later() -> list[list[str]]:
    now = 1_000_000.0
    async with TestClient(TestServer(create(SandboxSettings(seed=1, schedule_scale=0.5), clock=lambda: now))) as client:
        for id in ("stopped", "goes"):
            form = {**CREDENTIALS, "to": TO, "text": "x", "climsgid": id, "deliv_time": "60"}
            await client.post("/http/sendmsg", data=form)
        await client.post("/http/delmsg", data={**CREDENTIALS, "climsgid": "stopped"})
        now += LATER_SECONDS / 2 + 1
        messages = (await (await client.get("/sandbox/ledger")).json())["messages"]
        return [[each["status"] for each in message["history"]] for message in messages]


@pytest.mark.parametrize("path", ["/v1/message/{}", "/messages/{}"])
def test_the_platform_stops_nothing(sandbox: Running, path: str) -> None:
    """The One API and Platform REST have no way to cancel."""
    one(sandbox)
    status, _ = sandbox.request("DELETE", path.format(the_message(sandbox)["id"]), headers={"Authorization": "sandbox"})
    assert status in (400, 404)
    assert the_message(sandbox)["status"] == "011"
