"""A host with Celery of its own keeps it: its tasks run on its broker, and the codes that they send go out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from tests.integration.conftest import Workers, taken
from tests.servers import RedisServer, wait_until
from threelane.demo.child import Child
from threelane.sandbox.running import Running
from threelane.store import keys

CODES = 100
QUEUE = """
import sys
from celery import Celery
app = Celery("shop", broker=sys.argv[1])
for number in range(int(sys.argv[2])):
    app.send_task("shop.code", (number + 1,))
"""
ROOT = Path(__file__).parents[2]


@pytest.mark.main_job
def test_a_host_with_celery_sends_codes_and_runs_its_own_tasks(
    client: redis.Redis, workers: Workers, sandbox: Running, tmp_path: Path
) -> None:
    """Celery's prefork pool shares a producer that has sent before, and CELERY_BROKER_... name the host's broker."""
    workers.start()
    folder = tmp_path / "shop"
    folder.mkdir()
    shop = RedisServer(folder).start()
    of_celery = dict.fromkeys(("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL"), shop.url)
    environment = {**workers.environment, **of_celery, "SHOP_REDIS": shop.url, "PYTHONPATH": str(ROOT)}
    host = Child(
        "host",
        [sys.executable, "-m", "celery", "-A", "tests.integration.host_app", "worker", "--concurrency=2"],
        tmp_path / "host.log",
        environment,
    )
    own = redis.Redis(port=shop.port)
    try:
        queue = [sys.executable, "-c", QUEUE, shop.url, str(CODES)]
        subprocess.run(queue, env={**os.environ, **environment}, check=True, timeout=60)
        wait_until(lambda: own.llen("mails") == CODES and len(taken(sandbox)) == CODES + 1, 90, "all codes and mails")
        strangers = list(own.scan_iter("sms.*"))
        mails = [line.decode().rpartition(" ")[0] for line in own.lrange("mails", 0, -1)]
    finally:
        host.stop()
        shop.stop()

    assert ["shop shop True"] * CODES == mails
    assert [1] * (CODES + 1) == [len(sent) for sent in taken(sandbox).values()]
    assert [] == strangers
    assert [None] * 3 == client.hmget(keys.TALLY, [f"swept:{lane}" for lane in keys.LANES])
    assert [] == workers.events("swept")
