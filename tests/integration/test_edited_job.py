"""A large job that is killed and edited again and again: its batch and the gateway agree to the row."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import redis

from tests.integration.conftest import Workers
from tests.servers import typed, wait_until
from threelane.runtime.exits import Exit
from threelane.sandbox.running import Running
from threelane.store import keys

ROWS = int(os.environ.get("THREELANE_EXAMPLES", "10")) * 1_000
KILLS = 3


def accepted(client: redis.Redis) -> int:
    return int(client.hget(keys.TALLY, "accepted:3") or 0)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.timeout(300 + ROWS // 50)
def test_a_job_that_is_killed_edited_and_run_again_agrees_with_the_gateway(
    client: redis.Redis, sandbox: Running, workers: Workers, base_environment: dict[str, str], tmp_path: Path
) -> None:
    """Killed at random, rows deleted, added and shuffled each time: nobody gets a text twice, no row is left out."""
    chance = random.Random(18)
    rows = [f"2783{n:07},Hello {n}" for n in range(ROWS)]
    file, asked_for = tmp_path / "large.csv", set[str]()
    words = ("bulk", str(file), "--numbers", "international", "--json")
    workers.start(parts_per_second=5_000)
    for kill in range(KILLS + 1):
        file.write_text("\n".join(["to,text", *rows, ""]), encoding="utf-8")
        asked_for.update(rows)
        if kill == KILLS:
            break
        until = accepted(client) + chance.randrange(ROWS // 10, ROWS // 4)
        with subprocess.Popen(
            [sys.executable, "-m", "threelane", *words],
            env=os.environ | base_environment,
            stdout=subprocess.DEVNULL,
        ) as running:
            wait_until(lambda: accepted(client) >= until or running.poll() is not None, 600, "some rows")  # noqa: B023
            running.send_signal(signal.SIGKILL)
        assert -signal.SIGKILL == running.returncode
        rows = chance.sample(rows, len(rows) - ROWS // 100)
        rows += [f"2784{kill:03}{n:04},Later {n}" for n in range(ROWS // 100)]

    assert Exit.OK == typed(*words, environment=base_environment).returncode
    assert Exit.FINISHED == typed(*words, environment=base_environment).returncode
    wait_until(lambda: not client.exists(*keys.QUEUED.values(), *keys.LEASES.values()), 600, what="all to be sent")
    ledger = sandbox.control("GET", "ledger")["messages"]
    received = Counter(f"{one['to']},{one['text']}" for one in ledger)
    assert {1} == set(received.values())
    assert set(rows) <= received.keys() <= asked_for

    shown = json.loads(typed("batch", "show", "large.csv", "--json", environment=base_environment).stdout)
    assert len(received) == shown["accepted"]
    report = typed("batch", "report", "large.csv", environment=base_environment).stdout
    assert {one["client_id"] for one in ledger} == {one["id"] for one in csv.DictReader(io.StringIO(report))}
