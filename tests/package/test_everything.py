"""All of Threelane from the wheel, in a folder of a team whose modules have the names of ours and of Celery."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.package.conftest import Environment, Stack, run
from tests.package.test_producer import running
from tests.servers import wait_until


@pytest.mark.parametrize("start", ["threelane", "python -m threelane"])
def test_the_demo_passes_in_the_folder_of_a_team(full: Environment, team: Path, start: str) -> None:
    """Neither the command nor what it starts takes a module from the current folder; three ledgers agree."""
    words = [full.command("threelane")] if start == "threelane" else [full.python, "-m", "threelane"]
    run([*words, "demo"], folder=team)


@pytest.mark.usefixtures("swept")
@pytest.mark.parametrize(
    "start", [["threelane", "worker"], ["celery", "-A", "threelane.worker.app", "worker", "--pool=threads"]]
)
def test_a_worker_starts_in_the_folder_of_a_team(
    full: Environment, stack: Stack, team: Path, start: list[str], tmp_path: Path
) -> None:
    """By our command and by Celery's; ``python -m celery`` there is the team's own."""
    settings = stack.environment | {"THREELANE_WORKER_NAME": "second", "THREELANE_REDIS_URL": stack.redis_url}
    log = tmp_path / "program.log"
    with running([full.command(start[0]), *start[1:]], team, settings, log):
        wait_until(lambda: '"event":"started"' in log.read_text().replace('": "', '":"'), 60, "the worker")
