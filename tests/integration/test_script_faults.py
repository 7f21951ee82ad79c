"""A script that fails by a bug is not an outage: it has an error of its own, a place, and an alarm."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
from redis.exceptions import NoPermissionError, OutOfMemoryError, ReadOnlyError, RedisError

from tests.servers import RedisServer, typed
from threelane import Producer, Unavailable
from threelane.store import keys, scripts
from threelane.store.keys import RecordKey
from threelane.store.scripts import Script, ScriptError
from threelane.worker.process.metrics import ALARMS

SECRET_TEXT = "27831234567 do not log me"
FAULTS = {
    "a variable that is not there": "return nothing_of_that_name",
    "nothing is indexed": "local known = {}\nreturn known.body.text",
    "a key of another type": "redis.call('SADD', KEY.record, 1)\nreturn redis.call('HGET', KEY.record, Field.to)",
    "no command of Redis": "return redis.call('NOSUCH', KEY.record)",
    "too few arguments": "return redis.call('HGET', KEY.record)",
    "no JSON": "return cjson.decode(ARG.text)",
    "a source that is no Lua": "local x = = 1",
}
LINES = {"nothing is indexed": 2, "a key of another type": 2}
Make = Callable[..., Script[Any, Any]]


def _broken(*, record: RecordKey, text: str) -> None: ...


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Make a script of a source."""

    def make_script(source: str, *, intake: bool = False) -> Script[Any, Any]:
        (tmp_path / "broken.lua").write_text(f"-- PARTS record\n{source}\n")
        return scripts.script(str(tmp_path / "x"), scripts.number, intake=intake)(_broken)

    return make_script


@pytest.fixture
def faults() -> Iterator[list[ScriptError]]:
    """What a worker would count."""
    seen: list[ScriptError] = []
    scripts.on_fault.append(seen.append)
    yield seen
    scripts.on_fault.remove(seen.append)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_script_error_names_its_file_and_line_and_no_data(
    client: redis.Redis, make: Make, faults: list[ScriptError], fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A reader of the log finds the place, but no numbers and no texts."""
    broken = make(FAULTS[fault])
    with pytest.raises(
        ScriptError, match=rf"^the script broken failed at broken\.lua:{1 + LINES.get(fault, 1)}$"
    ) as failed:
        broken(client, record=keys.record("m1"), text=SECRET_TEXT)

    assert not isinstance(failed.value, RedisError)
    assert [failed.value] == faults
    assert str(failed.value) == str(pickle.loads(pickle.dumps(failed.value)))
    assert [("script_failed", 40)] == [(one.message, one.levelno) for one in caplog.records if one.name == "threelane"]
    assert {"script": "broken", "line": failed.value.where} == caplog.records[-1].fields  # type: ignore[attr-defined]


def test_a_fault_is_the_same_on_asyncio_s_client_and_in_a_pipeline(redis_server: RedisServer, make: Make) -> None:
    """Workers have the one and the dispatcher of webhooks the other."""
    broken = make("return nothing_of_that_name")

    async def call() -> list[Any]:
        async with redis.asyncio.Redis(port=redis_server.port) as client:
            with pytest.raises(ScriptError):
                await broken.run(client, record=keys.record("m1"), text="")
            async with client.pipeline(transaction=False) as pipe:
                broken.queue(pipe, record=keys.record("m1"), text="")
                return list(await pipe.execute(raise_on_error=False))

    (reply,) = asyncio.run(call())
    with pytest.raises(ScriptError):
        broken.read(reply)


def test_a_refusal_of_the_server_stays_an_error_of_redis(
    redis_server: RedisServer, client: redis.Redis, make: Make, faults: list[ScriptError]
) -> None:
    """A full Redis, a replica and an ACL are for the operator, and a worker goes on trying."""
    writes = make("write(KEY.record, Field.to, ARG.text)\nreturn 1", intake=True)
    given: dict[str, Any] = {"record": keys.record("m1"), "text": "x"}
    client.config_set("maxmemory", 1)
    try:
        with pytest.raises(OutOfMemoryError):
            writes(client, **given)
    finally:
        client.config_set("maxmemory", 0)
    client.acl_setuser("narrow", True, passwords=["+pw"], keys=["tl:*"], commands=["+@all", "-hset"])
    try:
        narrow = redis.Redis(port=redis_server.port, username="narrow", password="pw")
        with narrow, pytest.raises(NoPermissionError):
            writes(narrow, **given)
    finally:
        client.acl_deluser("narrow")
    client.replicaof("127.0.0.1", "1")
    try:
        with pytest.raises(ReadOnlyError):
            writes(client, **given)
    finally:
        client.replicaof("NO", "ONE")
    assert [] == faults


def test_a_script_error_is_not_reported_as_an_outage(producer: Producer, client: redis.Redis) -> None:
    """To send it again would fail again; and an outage would be looked for in the wrong place."""
    client.hset(keys.TALLY, "accepted:3", "not a number")
    with pytest.raises(ScriptError, match=r"accept failed at tally\.lua:\d+") as failed:
        producer.send("27831234567", "Hello")

    assert not isinstance(failed.value, Unavailable)


def test_the_command_line_reports_it_as_an_internal_error(redis_server: RedisServer, client: redis.Redis) -> None:
    """One line and exit code 70; no traceback."""
    client.hset(keys.TALLY, "accepted:3", "not a number")
    sent = typed("send", "27831234567", "Hello", environment={"THREELANE_REDIS_URL": redis_server.url})

    assert (70, "") == (sent.returncode, sent.stdout)
    assert "internal error, ScriptError" in sent.stderr


def test_a_worker_counts_an_alarm(client: redis.Redis, make: Make) -> None:
    """Once for each; from 0 on, so that the first is seen."""
    counter = ALARMS.labels("script", "operator")._value
    before = counter.get()
    with pytest.raises(ScriptError):
        make("return nothing_of_that_name")(client, record=keys.record("m1"), text="")

    assert before + 1 == counter.get()
