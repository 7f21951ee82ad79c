"""A plain worker of any Celery version, with a task that records the arguments of each nudge."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.servers import wait_until
from threelane.demo.child import _end_with_parent

APPLICATION = """\
import json, sys
from celery import Celery
from kombu import Exchange, Queue

app = Celery("plain", broker={broker!r})
app.conf.update(
    task_queues=[Queue(name, Exchange("sms", type="direct"), routing_key=name) for name in ("sms.1", "sms.2", "sms.3")],
    broker_connection_retry_on_startup=True,
    worker_prefetch_multiplier=1,
)

@app.task(name="threelane.send", bind=True, acks_late=True)
def send(self, lane, ids):
    seen = {{"lane": lane, "ids": ids, "task": self.request.id, "root": self.request.root_id,
            "queue": self.request.delivery_info["routing_key"], "retries": self.request.retries}}
    with open({seen!r}, "a") as file:
        file.write(json.dumps(seen) + "\\n")
"""


class CeleryWorker:
    """One Celery process, started by the interpreter that has Celery installed."""

    def __init__(self, folder: Path, broker: str, python: str = sys.executable) -> None:
        self._seen, self._log = folder / "seen.jsonl", folder / "celery.log"
        self._seen.touch()
        (folder / "plain.py").write_text(APPLICATION.format(broker=broker, seen=str(self._seen)), encoding="ascii")
        command = [python, "-m", "celery", "-A", "plain", "worker", "--pool=solo", "--loglevel=INFO"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env={"PATH": "/usr/bin:/bin", "HOME": str(folder)},
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=_end_with_parent,
            )

    def ran(self, tasks: int) -> list[dict[str, Any]]:
        """Wait until that many tasks have run, and return the arguments of each."""
        wait_until(lambda: len(self._lines()) >= tasks, what=f"{tasks} tasks; {self.log()}")
        return [json.loads(line) for line in self._lines()]

    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(20)

    def _lines(self) -> list[str]:
        return self._seen.read_text(encoding="ascii").splitlines()
