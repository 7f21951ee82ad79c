"""The gateway's own words reach the gateway: from the library, from the HTTP API and from a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.integration.api import API
from tests.integration.conftest import Workers, taken
from tests.integration.http_api import Api
from tests.servers import RedisServer, typed
from threelane import Producer, ProducerSettings, Refused, Status
from threelane.contract import kinds
from threelane.contract.gateways import NEVER, declared
from threelane.runtime.exits import Exit
from threelane.sandbox.running import Running
from threelane.store import keys
from threelane.store.status import MessageStatus

Until = Callable[..., MessageStatus]
CARRIES = declared()[API.name].parameter("old_type") != NEVER
OCTETS = "024a3a5585e195b1"


@pytest.mark.skipif(not CARRIES, reason="this API has no old types")
@pytest.mark.main_job
def test_every_old_type_is_sent_once_by_type_and_data(
    producer: Producer, workers: Workers, sandbox: Running, until: Until
) -> None:
    """The gateway builds the header that the phone needs from the type."""
    workers.start()
    sent = {kind: producer.send("27999500001", type=kind, binary=OCTETS) for kind in kinds.OLD}  # type: ignore[arg-type]
    card = producer.send("27999500001", "BEGIN:VCARD\nEND:VCARD\n", type="SMS_NOKIA_VCARD")
    for one in (*sent.values(), card):
        until(one.id, Status.SENT, Status.DELIVERED)
    found = taken(sandbox)

    options = {kind: found[one.id][0]["options"] for kind, one in sent.items()}
    assert {kind: (kind, OCTETS, None) for kind in kinds.OLD} == {
        kind: (sent["msg_type"], sent["data"], sent.get("binary")) for kind, sent in options.items()
    }
    assert "BEGIN:VCARD\r\nEND:VCARD\r\n" == bytes.fromhex(found[card.id][0]["options"]["data"]).decode()
    assert [1] * (len(sent) + 1) == [len(found[one.id]) for one in (*sent.values(), card)]


@pytest.mark.parametrize("gateway", [name for name, one in declared().items() if one.parameter("old_type") == NEVER])
def test_an_old_type_is_refused_by_name_for_an_api_without_it(
    client: redis.Redis, redis_server: RedisServer, gateway: str
) -> None:
    """Sent as plain data, it would be noise on the handset."""
    assert client.ping()
    with (
        Producer(ProducerSettings(redis_url=redis_server.url, gateway=gateway)) as producer,
        pytest.raises(Refused, match=rf"\({gateway}\) has no SMS_NOKIA_OLOGO") as refused,
    ):
        producer.send("27999500001", type="SMS_NOKIA_OLOGO", binary=OCTETS)
    assert ("101", "type") == (refused.value.code, refused.value.field)
    assert "an account of the API http or xml" in refused.value.remedy


# fmt: off
WRITTEN: list[dict[str, Any]] = [
    {"to": ["27999500001"], "content": "Hello", "cliMsgId": "a1", "deliv_ack": 1, "charset": "UTF-8"},
    {"To": "27999500001", "Text": "4A3B", "binary": 1, "climsgid": "a2", "userDataHeader": "06050415810000"},
    {"to": "27999500001", "data": "4A3B", "CliMsgId": "a3", "queue": "1", "deliv_time": 0},
]
# fmt: on


def test_a_request_in_the_gateways_words_is_taken_by_the_http_api_as_it_is(api: Api, client: redis.Redis) -> None:
    """Only its credentials have to be left out, and the refusal says so without their values."""
    key = api.key("shop")
    answers = [api.request("POST", "/v1/messages", one, key) for one in WRITTEN]
    refused = api.request("POST", "/v1/messages", {**WRITTEN[0], "api_id": "s3cr3t"}, key)

    assert [201] * 3 == [one.status for one in answers], answers
    records = [client.hgetall(keys.record(one.body["id"])) for one in answers]
    bodies = [json.loads(one[b"body"]) for one in records]
    assert [b"a1", b"a2", b"a3"] == [one[b"client"] for one in records]
    assert ["Hello", None, None] == [one.get("text") for one in bodies]
    assert [None, "4a3b", "4a3b"] == [one.get("binary") for one in bodies]
    assert [None, "06050415810000", None] == [one.get("udh") for one in bodies]
    assert [None, None, 1] == [one.get("lane") for one in bodies]
    assert (422, "api_id") == (refused.status, refused.body["field"])
    assert "s3cr3t" not in json.dumps(refused.body)


def test_a_file_in_the_gateways_words_is_sent_once(
    client: redis.Redis, redis_server: RedisServer, tmp_path: Path
) -> None:
    """As rows of JSON and as columns; rows that differ in their data alone are two messages, in any order."""
    assert client.ping()
    environment = {"THREELANE_REDIS_URL": redis_server.url, "THREELANE_NUMBERS": "international"}
    lines, table = tmp_path / "rows.jsonl", tmp_path / "rows.csv"
    lines.write_text("".join(json.dumps(one) + "\n" for one in WRITTEN))
    table.write_text("to,binary,data,req_feat\n27999500002,1,4A3B,2\n27999500003,,4A3B,2\n27999500003,1,00FF,2\n")
    typed("bulk", str(lines), "--duplicates", "send", "--field", "deliv_time=1h", environment=environment)
    first = typed("bulk", str(table), "--duplicates", "send", "--json", environment=environment)
    rows = table.read_text().splitlines()
    table.write_text("\n".join([rows[0], *reversed(rows[1:])]) + "\n")
    again = typed("bulk", str(table), "--duplicates", "send", "--json", environment=environment)

    assert (Exit.OK, Exit.FINISHED) == (first.returncode, again.returncode), first.stderr + again.stderr
    bodies = [json.loads(client.hget(key, "body") or b"{}") for key in client.scan_iter(keys.record("*"))]
    assert 2 == sum("due_at" in one for one in bodies)  # the third has a delay of its own, of 0
    found = sorted((one["to"], one.get("text", ""), one.get("binary", "")) for one in bodies)
    assert [
        ("27999500001", "", "4a3b"),
        ("27999500001", "", "4a3b"),
        ("27999500001", "Hello", ""),
        ("27999500002", "", "4a3b"),
        ("27999500003", "", "00ff"),
        ("27999500003", "", "4a3b"),
    ] == found
