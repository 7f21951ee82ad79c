"""Clean environments with the wheel in them, and a folder of a team whose modules have the names of our folders."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import redis

from tests.servers import allow_repeats, wait_until
from threelane.demo.child import Child

ROOT = Path(__file__).parents[2]
UV = str(Path(sys.executable).parent / "uv")
TEAM = ("celery", "contract", "demo", "producer", "runtime", "sandbox", "store", "worker")
THEIRS = "raise SystemExit('a module of the team was imported instead of ours')\n"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests of this folder are of the package."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.package)


class Built(NamedTuple):
    """What a release consists of."""

    wheel: Path
    sdist: Path


class Environment:
    """A clean virtual environment, which knows nothing of this checkout."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = str(folder / "bin/python")

    def install(self, *words: str) -> None:
        """Install with uv, from its cache where it can."""
        run([UV, "pip", "install", "-q", "--python", self.python, *words], folder=self.folder)

    def command(self, name: str) -> str:
        return str(self.folder / "bin" / name)

    def distributions(self) -> dict[str, str]:
        """Return names and versions of what is installed."""
        listed = run([UV, "pip", "list", "--format", "json", "--python", self.python], folder=self.folder).stdout
        return {one["name"]: one["version"] for one in json.loads(listed)}

    def octets(self) -> int:
        """Return the size of all installed files but bytecode."""
        (packages,) = self.folder.glob("lib/python3*/site-packages")
        return sum(file.stat().st_size for file in packages.rglob("*") if file.is_file() and file.suffix != ".pyc")


class Stack(NamedTuple):
    """A stack that ``threelane up`` of the wheel keeps running in the folder of the team."""

    folder: Path
    redis_url: str
    sandbox_url: str
    environment: dict[str, str]


def clean() -> dict[str, str]:
    """Return an environment in which no variable leads back to this checkout or to another's settings."""
    ours = ("THREELANE_", "PYTHONPATH", "VIRTUAL_ENV", "CELERY_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def run(
    words: list[str], *, folder: Path, code: int = 0, timeout: float = 170, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; fails with what it wrote unless it ends with ``code``."""
    done = subprocess.run(
        words, cwd=folder, env=clean() | more, capture_output=True, text=True, timeout=timeout, check=False
    )
    assert code == done.returncode, f"{words} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The wheel and the source distribution of this tree."""
    folder = tmp_path_factory.mktemp("dist")
    run([sys.executable, "-m", "hatchling", "build", "-d", str(folder)], folder=ROOT)
    return Built(next(folder.glob("*.whl")), next(folder.glob("*.tar.gz")))


@pytest.fixture(scope="session")
def installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Environment]:
    """Returns a function that installs the wheel, with extras and beside other requirements, in a new environment."""

    def install(extras: str, *beside: str) -> Environment:
        folder = tmp_path_factory.mktemp("environment")
        run([UV, "venv", "-q", "--python", sys.executable, str(folder)], folder=folder)
        made = Environment(folder)
        made.install(f"{built.wheel}[{extras}]" if extras else str(built.wheel), *beside)
        return made

    return install


@pytest.fixture(scope="session")
def full(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Everything, as the lock has it and the image holds it."""
    folder = tmp_path_factory.mktemp("full")
    run([UV, "venv", "-q", "--python", sys.executable, str(folder)], folder=folder)
    made = Environment(folder)
    made.install("--require-hashes", "-r", str(ROOT / "requirements/run.txt"))
    made.install("--no-deps", str(built.wheel))
    return made


@pytest.fixture(scope="session")
def team(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a team's own modules: none of ours may be taken from there."""
    folder = tmp_path_factory.mktemp("team")
    for name in TEAM:
        folder.joinpath(f"{name}.py").write_text(THEIRS, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def stack(full: Environment, team: Path) -> Iterator[Stack]:
    """Redis, a sandbox, a worker and the processes around it, all from the wheel, started in the team's folder."""
    file = team / ".threelane/stack.json"
    words = ["bash", "-c", 'cd "$0" && exec "$@"', str(team), full.python, "-m", "threelane", "up"]
    # what it prints is for its user: the addresses, and the key that opens them
    up = Child("up", words, Path(os.devnull), dict.fromkeys(os.environ.keys() - clean().keys(), ""))

    def started() -> Any:
        assert up.process.poll() is None, "the stack ended"
        return json.loads(file.read_text()) if file.exists() and file.stat().st_size else None

    reported = wait_until(started, 60, "the stack")
    with redis.Redis.from_url(reported["redis_url"]) as client:
        allow_repeats(client)
    yield Stack(team, reported["redis_url"], reported["sandbox"], reported["environment"])
    up.stop()
    shutil.rmtree(team / ".threelane", ignore_errors=True)


@pytest.fixture
def swept(stack: Stack) -> Iterator[None]:
    """At the end of a test no sweep has found a message whose nudge was lost."""
    yield
    with redis.Redis.from_url(stack.redis_url) as client:
        assert {} == {name: n for name, n in client.hgetall("tl:tally").items() if name.startswith(b"swept")}
