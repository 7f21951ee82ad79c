"""Imports run one way, and a caller does not pay for what only workers need."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import producer

ROOT = Path(producer.__file__).parents[1]


def imported(folder: str) -> dict[str, set[str]]:
    """Return the top-level packages that each file of a folder imports, anywhere in it."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / folder).rglob("*.py"):
        names = found.setdefault(path.relative_to(ROOT).as_posix(), set())
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names.update(alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.split(".")[0])
    assert found, f"no Python in {folder}"
    return found


@pytest.mark.parametrize(
    ("folder", "banned", "allowed"),
    [
        ("producer", {"worker", "sandbox"}, set()),
        ("sandbox", {"producer", "worker"}, set()),
        ("worker", {"sandbox"}, {"worker/cli.py"}),
    ],
)
def test_imports_run_one_way(folder: str, banned: set[str], allowed: set[str]) -> None:
    """The sandbox stays an independent witness, and a caller never drags a worker in."""
    offenders = {path for path, names in imported(folder).items() if names & banned}

    assert set() == offenders - allowed


def test_a_caller_imports_no_worker_and_no_heavy_library() -> None:
    """A web application that sends a login code should not load Celery until the first nudge."""
    loaded = "import json, sys, producer; print(json.dumps(sorted(sys.modules)))"
    told = subprocess.run([sys.executable, "-c", loaded], cwd=ROOT, capture_output=True, text=True, check=True)
    packages = {name.split(".")[0] for name in json.loads(told.stdout)}

    assert set() == packages & {"celery", "kombu", "aiohttp", "prometheus_client", "typer", "rich", "worker", "sandbox"}


def test_a_command_waits_for_no_library_that_only_a_process_needs() -> None:
    """Each is loaded by the command that needs it: a command line that thinks for a second is one too slow."""
    loaded = "import json, sys, worker.cli; print(json.dumps(sorted(sys.modules)))"
    told = subprocess.run([sys.executable, "-c", loaded], cwd=ROOT, capture_output=True, text=True, check=True)
    packages = {name.split(".")[0] for name in json.loads(told.stdout)}

    assert set() == packages & {"celery", "kombu", "aiohttp", "prometheus_client", "sandbox"}


def test_a_client_of_the_http_api_loads_no_server() -> None:
    """A service that sends over HTTP needs neither the framework nor, for threads, asyncio's client."""
    loaded = "import json, sys, producer.http.client; print(json.dumps(sorted(sys.modules)))"
    told = subprocess.run([sys.executable, "-c", loaded], cwd=ROOT, capture_output=True, text=True, check=True)
    packages = {name.split(".")[0] for name in json.loads(told.stdout)}

    assert set() == packages & {"fastapi", "starlette", "uvicorn", "aiohttp", "celery", "kombu", "worker"}


def test_everything_that_is_promised_can_be_imported() -> None:
    """``from producer import ...`` gives each name of ``__all__``."""
    assert [] == [name for name in producer.__all__ if not hasattr(producer, name)]
