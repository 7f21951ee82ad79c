"""A key of another type: senders get an outage that names it, and check and doctor have the command that removes it."""

from __future__ import annotations

import pytest
import redis
from prometheus_client import generate_latest
from prometheus_client.core import CollectorRegistry
from redis.exceptions import NoPermissionError
from typer.testing import CliRunner

from tests.integration.http_api import Api
from tests.servers import RedisServer
from threelane import Producer, Unavailable
from threelane.interfaces.command.line import app as commands
from threelane.operations import check_redis, damage, doctor
from threelane.operations.exporter import Fleet
from threelane.operations.finding import Grade
from threelane.producer.intake_check import check_intake
from threelane.runtime.exits import Exit
from threelane.runtime.settings import Settings
from threelane.store import keys, wrong_type
from threelane.worker.policy.legacy import LEGACY

NEEDED = (keys.QUEUED[1], keys.EXPECTED, keys.TALLY, keys.STORED)
"""Keys that each message of lane 1 needs."""
NOW = 1_800_000_000_000


def damaged(client: redis.Redis, key: str) -> None:
    client.delete(key)
    if wrong_type.single_keys()[key] == "hash":
        client.zadd(key, {"a": 1})
    else:
        client.hset(key, "a", "b")


@pytest.mark.parametrize("key", NEEDED)
def test_senders_get_an_outage_that_names_the_key(producer: Producer, client: redis.Redis, key: str) -> None:
    """It is no fault of this code, and to send again does not help before an operator has removed the key."""
    damaged(client, key)
    with pytest.raises(Unavailable, match=f"{key} in Redis is of another type") as failed:
        producer.send("27831234567", "Hello", lane=1)
    assert 1 == len(failed.value.unsure)  # its record may be written
    assert [key] == wrong_type.find(client)

    assert b"a key of another type" == damage.remove(client, key, "")
    assert producer.send("27831234567", "Hello", lane=1).accepted


def test_the_command_line_and_the_api_report_an_outage(
    api: Api, client: redis.Redis, redis_server: RedisServer
) -> None:
    """Exit code 3 and 503, not 70 and 500; an API that can take no message of a lane is not ready."""
    sms, key = {"to": "27831234567", "text": "Hello", "lane": 1}, api.key("shop")
    damaged(client, keys.QUEUED[1])

    refused = api.request("POST", "/v1/messages", sms, key)
    assert (503, True) == (refused.status, keys.QUEUED[1] in refused.body["detail"])
    with pytest.raises(wrong_type.WrongType, match=keys.QUEUED[1]):
        check_intake(client)
    sent = CliRunner().invoke(
        commands, ["send", "27831234567", "Hello", "--lane", "1"], env={"THREELANE_REDIS_URL": redis_server.url}
    )
    assert Exit.UNAVAILABLE == sent.exit_code
    assert keys.QUEUED[1] in sent.output


def test_every_single_key_is_examined(client: redis.Redis, redis_server: RedisServer) -> None:
    """Check, doctor and the list of damage name each, with the command that removes it."""
    for key in wrong_type.single_keys():
        damaged(client, key)
    every = sorted(wrong_type.single_keys())

    assert every == wrong_type.find(client)
    found = [one for one in check_redis.findings(Settings(redis_url=redis_server.url)) if one.what == "keys"]
    every.remove(keys.WRITE_CHECK)  # check has replaced it
    assert [f"threelane damaged remove {key}" for key in every] == [one.step.partition(",")[0] for one in found]
    assert set(every) == {one.key for one in damage.find(client)}
    for key in every:
        damage.remove(client, key, "")
    assert [] == wrong_type.find(client)


def test_doctor_and_the_exporter_examine_the_rest(client: redis.Redis) -> None:
    """One key hides no other problem, and Redis is not reported as away."""
    damaged(client, keys.QUEUED[1])
    found = {one.what: one for one in doctor.diagnose(client, NOW, LEGACY)}
    assert "not examined: a key that it reads is of another type" == found["lanes"].detail
    assert {"holds", "credit", "dead letters"} <= found.keys()
    registry = CollectorRegistry()
    registry.register(Fleet(client))
    lines = generate_latest(registry).decode().splitlines()
    assert {"threelane_redis_up 1.0", "threelane_scrape_parts_missing 1.0"} <= {*lines}
    assert any(line.startswith("threelane_refused_total") for line in lines)


def test_doctor_names_what_its_redis_user_may_not_read(client: redis.Redis, redis_server: RedisServer) -> None:
    """With an address that is not the operator's it examines the rest, and is no success."""
    client.acl_setuser("narrow", True, passwords=["+pw"], keys=["tl:*"], commands=["+@all", "-zcount"])
    try:
        with redis.Redis(port=redis_server.port, username="narrow", password="pw") as narrow:
            with pytest.raises(NoPermissionError):
                narrow.zcount(keys.DUE[1], 0, 1)
            found = [*doctor.diagnose(narrow, NOW, LEGACY)]
    finally:
        client.acl_deluser("narrow")
    (one,) = (one for one in found if one.what == "overdue work")
    assert (Grade.ERROR, True, True) == (one.grade, "not examined" in one.detail, "zcount" in one.detail)
    assert "dead letters" in {one.what for one in found}
