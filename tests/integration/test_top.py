"""threelane top: the same answers as the dashboards, in a terminal."""

from __future__ import annotations

import json
from io import StringIO

import pytest
import redis
import typer
from rich.console import Console
from typer.testing import CliRunner

from tests.servers import RedisServer
from threelane import Producer
from threelane.interfaces.command.top import look, top, view
from threelane.store import keys

app = typer.Typer()
app.command()(top)


@pytest.fixture
def troubled(client: redis.Redis, producer: Producer) -> redis.Redis:
    """Two messages wait, the account is on hold, a worker reports, and there was trouble."""
    producer.send("27999500001", "One", lane=1)
    producer.send("27999500002", "Two", lane=1)
    now = int(client.time()[0]) * 1000
    client.hset(keys.HOLDS, "account", b'{"code":"301","cause":"no_credit","since":1,"until":0}')
    client.hset(keys.BALANCE, mapping={"credits": 1_000_000, "left": 1_000_000, "at": now})
    client.hincrby(keys.TALLY, "dead:301:operator", 3)
    client.zadd(keys.WORKERS, {"web-7": now})
    client.hset(keys.worker("web-7"), mapping={"lanes": "1,2,3", "served": "4.5", "rate": "100", "beat": now})
    return client


def _drawn(client: redis.Redis) -> str:
    console = Console(width=120, record=True, file=StringIO())
    before = look(client)
    console.print(view(look(client), before))
    return console.export_text()


def test_one_screen_shows_holds_backlog_balance_and_workers(troubled: redis.Redis) -> None:
    """Who is woken begins here."""
    screen = _drawn(troubled)
    for words in ("301", "no_credit", "threelane resume", "1.00 left", "1.00 short", "web-7", "dead 301 operator"):
        assert words in screen


def test_an_empty_fleet_is_shown_as_such(client: redis.Redis) -> None:
    """No worker is red, nothing on hold is green, and nothing breaks without data."""
    screen = _drawn(client)
    for words in ("nothing is on hold", "0 workers", "balance not read yet", "no problems so far"):
        assert words in screen


def test_scripts_get_json(troubled: redis.Redis, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """One object: lanes, holds, money, capacity, workers, trouble."""
    assert troubled.ping()
    monkeypatch.setenv("THREELANE_REDIS_URL", redis_server.url)
    result = CliRunner().invoke(app, ["--json"])
    assert 0 == result.exit_code, result.output
    found = json.loads(result.stdout)
    assert 2 == found["lanes"]["1"]["waiting"]
    assert "no_credit" == found["holds"]["account"]["cause"]
    assert 1_000_000 == found["money"]["left"]
    assert 1 == found["capacity"]["workers"]
    assert {"dead:301:operator": 3} == found["trouble"]
    assert 0 == CliRunner().invoke(app, ["--once"]).exit_code
