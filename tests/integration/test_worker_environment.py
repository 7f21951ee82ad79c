"""A worker fetches from Threelane's broker, with any of Celery's variables and options."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.conftest import Workers, log_of, threelane_child
from tests.servers import wait_until
from tests.slow import also_slow
from threelane import Producer, Status
from threelane.demo.child import Child
from threelane.store.status import MessageStatus

Until = Callable[..., MessageStatus]
DEAD = "redis://127.0.0.1:1/0"
OF_CELERY = {
    "CELERY_BROKER_URL": DEAD,
    "CELERY_BROKER_READ_URL": DEAD,
    "CELERY_BROKER_WRITE_URL": DEAD,
    "CELERY_RESULT_BACKEND": "no-such-backend://",
    "CELERY_CONFIG_MODULE": "no_such_module",
    "CELERY_LOADER": "no_such_module:Loader",
    "DJANGO_SETTINGS_MODULE": "no_such_site.settings",
}
OF_ITS_COMMAND_LINE = {"APP": "no_such_module", "BROKER_URL": DEAD, "LOADER": "no_such_module:Loader"}
CELERY = [sys.executable, "-m", "celery"]
WORKER = ["-A", "threelane.worker.app", "worker", "--without-gossip", "--without-mingle", "--loglevel=WARNING"]


def by_threelane(folder: Path, environment: dict[str, str]) -> Child:
    return threelane_child("worker", folder, {**environment, **OF_ITS_COMMAND_LINE})


def by_celery(folder: Path, environment: dict[str, str]) -> Child:
    return Child("celery", [*CELERY, *WORKER], folder / "celery.log", environment)


@pytest.mark.parametrize("start", [by_celery, *also_slow(by_threelane)])
def test_no_variable_of_celery_leads_a_worker_away(
    producer: Producer, workers: Workers, until: Until, start: Callable[[Path, dict[str, str]], Child]
) -> None:
    """A machine may have them for another application; a worker on its broker would silently serve no message."""
    worker = start(workers.folder, {**workers.environment, **OF_CELERY})
    workers.children.append(worker)
    wait_until(lambda: "started" in {line["event"] for line in log_of(worker)}, what="the worker")
    for lane in (1, 3):
        until(producer.send("27999500001", "Hello", lane=lane).id, Status.SENT, Status.DELIVERED)

    problems = [line for line in log_of(worker) if line["level"] in ("warning", "error")]
    assert [] == [line for line in problems if "SecurityWarning" not in line["event"]]  # the tests may run as root
    worker.stop()
    assert 0 == worker.process.returncode


def test_no_variable_of_celery_is_taken_from_what_a_worker_starts(workers: Workers) -> None:
    """They are for others, in this process too."""
    look = "import json, os, threelane.worker.app; print(json.dumps(dict(os.environ)))"
    completed = subprocess.run(
        [sys.executable, "-c", look],
        env={**os.environ, **workers.environment, **OF_CELERY},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(completed.stdout).items() >= OF_CELERY.items()


@pytest.mark.parametrize(
    ("option", "instead"),
    [
        (["-b", DEAD], "THREELANE_BROKER_URL"),
        pytest.param([f"--broker={DEAD}"], "THREELANE_BROKER_URL", marks=pytest.mark.slow),
        pytest.param(["--result-backend", DEAD], "leave --result-backend out", marks=pytest.mark.slow),
        pytest.param(["--loader", "celery.loaders.app:AppLoader"], "leave --loader out", marks=pytest.mark.slow),
        (["--config", "celeryconfig"], "THREELANE_... variables"),
    ],
)
def test_an_option_of_celery_that_would_be_without_effect_is_refused(
    workers: Workers, option: list[str], instead: str
) -> None:
    """A named broker must not be ignored; one sentence points to the right setting."""
    completed = subprocess.run(
        [*CELERY, *option, *WORKER],
        env={**os.environ, **workers.environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert 2 == completed.returncode
    (line,) = completed.stderr.splitlines()
    assert line.startswith("threelane: ")
    assert instead in line
