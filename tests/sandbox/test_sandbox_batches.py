"""Batches of the HTTP and XML APIs: a template once, then a recipient or a list of them at a time."""

import asyncio
import re
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import pytest
from aiohttp.test_utils import TestClient, TestServer

from threelane.sandbox.apis import FORM_TYPE
from threelane.sandbox.app import create
from threelane.sandbox.batches import LIFETIME_SECONDS
from threelane.sandbox.running import Running
from threelane.sandbox.settings import SandboxSettings

TO, OTHER = "27820000001", "27820000002"
GOOD = {"api_id": "sandbox", "user": "sandbox", "password": "sandbox"}
TEMPLATE = "Hi #field1#, see you at #field2#."


def batch(sandbox: Running, command: str, **parameters: str) -> str:
    """Returns the response of a batch command of the HTTP API."""
    body = urlencode({**GOOD, **parameters}).encode()
    return sandbox.request("POST", f"/http_batch/{command}", body, FORM_TYPE)[1].decode()


def start(sandbox: Running, **parameters: str) -> str:
    """Returns the id of a new batch."""
    answer = batch(sandbox, "startbatch", **{"template": TEMPLATE, **parameters})
    assert re.fullmatch("ID: [0-9a-f]{32}", answer)
    return answer.removeprefix("ID: ")


def xml(sandbox: Running, tag: str, fields: dict[str, str] | None = None, **children: str) -> list[dict[str, str]]:
    """Returns the rows for one element of the XML API, with the values of its placeholders."""
    texts = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in {**GOOD, **children}.items())
    values = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in (fields or {}).items())
    within = f"<fields>{values}</fields>" if fields else ""
    root = ElementTree.fromstring(sandbox.xml(f"<clickAPI><{tag}>{texts}{within}</{tag}></clickAPI>"))
    assert {row.tag for row in root} == {f"{tag}Resp"}
    return [{child.tag: child.text or "" for child in row} for row in root]


def sent(sandbox: Running) -> list[dict[str, Any]]:
    """Returns the messages of the ledger."""
    messages: list[dict[str, Any]] = sandbox.control("GET", "ledger")["messages"]
    return messages


def test_an_item_fills_the_template_and_has_the_options_of_its_batch(sandbox: Running) -> None:
    """The document's example: a name and a time for each recipient, everything else once."""
    id = start(sandbox, queue="1", callback="7", climsgid="shared", **{"from": "12025550100"})
    answer = batch(sandbox, "senditem", batch_id=id, to=TO, field1="Ann", field2="10:30")
    batch(sandbox, "senditem", batch_id=id, to=OTHER, field1="#field2#", field2="14:00")
    first, second = sent(sandbox)
    assert answer == f"ID: {first['id']}"
    assert [first["text"], second["text"]] == ["Hi Ann, see you at 10:30.", "Hi #field2#, see you at 14:00."]
    options = {"client_id": "shared", "queue": 1, "callback": 7, "from": "12025550100"}
    assert [options, options] == [{name: each[name] for name in options} for each in (first, second)]


def test_a_list_of_recipients_gets_the_template_and_a_line_each(sandbox: Running) -> None:
    """Every line names its recipient, even the only one; what is refused is a line as well."""
    id = start(sandbox, template="Sale!")
    lines = batch(sandbox, "quicksend", batch_id=id, to=f"{TO},12").split("\n")
    assert re.fullmatch(f"ID: [0-9a-f]{{32}} To: {TO}", lines[0])
    assert lines[1] == "ERR: 105, Invalid Destination Address To: 12"
    assert batch(sandbox, "quicksend", batch_id=id, to=OTHER).endswith(f" To: {OTHER}")
    assert [(TO, "Sale!"), (OTHER, "Sale!")] == [(each["to"], each["text"]) for each in sent(sandbox)]


def test_an_ended_batch_takes_nothing(sandbox: Running) -> None:
    """Nor does one that never was; 201 for each."""
    id = start(sandbox)
    assert "OK" == batch(sandbox, "endbatch", batch_id=id)
    refused = "ERR: 201, Invalid batch ID"
    for command, parameters in (
        ("senditem", {"batch_id": id, "to": TO}),
        ("quicksend", {"batch_id": id, "to": TO}),
        ("endbatch", {"batch_id": id}),
        ("senditem", {"batch_id": "f" * 32, "to": TO}),
        ("quicksend", {"to": TO}),
    ):
        assert refused == batch(sandbox, command, **parameters)
    assert {"201": 4} == sandbox.control("GET", "ledger?summary=1")["summary"]["refused"]


@pytest.mark.parametrize(
    ("parameters", "answer"),
    [
        ({"template": ""}, "ERR: 202, No batch template"),
        ({"queue": "4"}, "ERR: 101, Invalid or missing parameters"),
        ({"from": "MuchTooLongName"}, "ERR: 106, Invalid Source Address"),
        ({"climsgid": "has space"}, "ERR: 120, Invalid delivery time"),
        ({"deliv_time": "soon"}, "ERR: 120, Invalid delivery time"),
        ({"unicode": "1"}, "ERR: 116, Invalid Unicode Data"),
        ({"password": "other"}, "ERR: 001, Authentication failed"),
    ],
)
def test_a_batch_that_could_send_nothing_does_not_start(
    sandbox: Running, parameters: dict[str, str], answer: str
) -> None:
    """Every option is checked at once, as for a send."""
    assert answer == batch(sandbox, "startbatch", **{"template": TEMPLATE, **parameters})


def test_only_the_filled_text_must_fit(sandbox: Running) -> None:
    """A template longer than its parts may allow becomes short with its values; a long value is refused."""
    id = start(sandbox, template="a" * 155 + "#field1#", concat="1")
    assert batch(sandbox, "senditem", batch_id=id, to=TO, field1="b").startswith("ID: ")
    refused = batch(sandbox, "senditem", batch_id=id, to=TO, field1="b" * 9)
    assert "ERR: 113, Maximum message parts exceeded" == refused
    assert ["a" * 155 + "b"] == [each["text"] for each in sent(sandbox)]


def test_a_unicode_batch_fills_no_placeholder(sandbox: Running) -> None:
    """The document: variables cannot be substituted in Unicode messages."""
    id = start(sandbox, template="#field1#".encode("utf-16-be").hex(), unicode="1")
    batch(sandbox, "senditem", batch_id=id, to=TO, field1="Ann")
    assert ["#field1#"] == [each["text"] for each in sent(sandbox)]


def test_a_send_of_a_batch_meets_the_faults_and_the_magic_numbers_of_every_send(sandbox: Running) -> None:
    """A client of batches can be tested with them too."""
    id = start(sandbox, template="x", climsgid="c1")
    sandbox.control("POST", "faults", {"do": "code", "code": "901"})
    assert batch(sandbox, "senditem", batch_id=id, to=TO).startswith("ERR: 901, ")
    assert batch(sandbox, "senditem", batch_id=id, to="27999130100").startswith("ERR: 301, ")
    attempts = sandbox.control("GET", "attempts?client_id=c1")["attempts"]
    assert ["901", "301"] == [each["code"] for each in attempts]
    sandbox.control("POST", "faults", {"do": "code", "code": "901", "command": "startbatch"})
    assert batch(sandbox, "startbatch", template="x").startswith("ERR: 901, ")


def test_a_batch_expires_after_24_hours() -> None:
    """As the documents say; a delay counts from each message."""
    assert ["ID", "ERR: 201, Invalid batch ID"] == asyncio.run(_a_day())


async def _a_day() -> list[str]:
    now = 1_000_000.0
    async with TestClient(TestServer(create(SandboxSettings(seed=1), clock=lambda: now))) as client:

        async def ask(command: str, **parameters: str) -> str:
            return await (await client.post(f"/http_batch/{command}", data={**GOOD, **parameters})).text()

        id = (await ask("startbatch", template="x", deliv_time="60")).removeprefix("ID: ")
        now += LIFETIME_SECONDS - 1
        last = await ask("senditem", batch_id=id, to=TO)
        [message] = (await (await client.get("/sandbox/ledger")).json())["messages"]
        assert now + 3600 == message["scheduled_at"]
        now += 1
        return [last.partition(":")[0], await ask("senditem", batch_id=id, to=TO)]


def test_the_xml_api_has_the_same_batches(sandbox: Running) -> None:
    """`fields` holds the values; the placeholders and the refusals are those of the HTTP API."""
    [started] = xml(sandbox, "startBatch", template=f" {TEMPLATE} ", cliMsgId="x1", sequence_no="7")
    assert (["batch_id", "sequence_no"], "7") == (list(started), started["sequence_no"])
    id = started["batch_id"]
    [row] = xml(sandbox, "sendItem", {"field1": " Ann", "field2": "10 & 11"}, batch_id=id, to=TO)
    rows = xml(sandbox, "quickSend", batch_id=id, to=f"{TO},12")
    first, second = sent(sandbox)
    assert ({"apiMsgId": first["id"]}, "x1") == (row, first["client_id"])
    assert [" Hi  Ann, see you at 10 & 11. ", f" {TEMPLATE} "] == [first["text"], second["text"]]
    expected = [{"apiMsgId": f"{second['id']} To:{TO}"}, {"fault": "105, Invalid Destination Address To:12"}]
    assert expected == rows
    assert [{"ok": ""}] == xml(sandbox, "endBatch", batch_id=id)
    for tag in ("sendItem", "quickSend", "endBatch"):
        assert [{"fault": "201, Invalid batch ID"}] == xml(sandbox, tag, batch_id=id, to=TO)
    assert [{"fault": "202, No batch template"}] == xml(sandbox, "startBatch")


def test_a_batch_started_by_one_api_is_known_to_the_other(sandbox: Running) -> None:
    """One account; a reset ends its batches."""
    id = start(sandbox, template="x")
    [row] = xml(sandbox, "sendItem", batch_id=id, to=TO)
    assert ["apiMsgId"] == list(row)
    sandbox.control("POST", "reset")
    assert "ERR: 201, Invalid batch ID" == batch(sandbox, "endbatch", batch_id=id)
