"""Trees: which tree of the sources a process runs, and with which packages."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from tests.trees import HERE, LAYOUTS, Layout, Tree, is_installed

MAIN = "import threelane_of_a_test, sys; print(threelane_of_a_test.__file__, *sys.argv[1:])"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_tree_is_known_by_its_command_line(tmp_path: Path, layout: Layout) -> None:
    """An earlier commit has other packages; folders that git left behind, with caches in them, are none."""
    for one in LAYOUTS:
        (tmp_path / one.commands / "__pycache__").mkdir(parents=True)
    (tmp_path / layout.commands / "__main__.py").touch()

    assert layout == Tree(tmp_path, "earlier").layout


def test_a_process_runs_the_tree_it_was_given(tmp_path: Path) -> None:
    """What is installed, or on PYTHONPATH, is another tree's."""
    for root in ("wanted", "installed"):
        package = tmp_path / root / "threelane_of_a_test"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "__main__.py").write_text(MAIN)

    ended = _in_tree(tmp_path / "wanted", tmp_path / "installed", "worker", "--lanes")

    assert f"{tmp_path}/wanted/threelane_of_a_test/__init__.py worker --lanes\n" == ended.stdout


def test_a_package_of_another_tree_is_never_run(tmp_path: Path) -> None:
    """It would be compared with itself, and nothing would show it."""
    package = tmp_path / "installed/threelane_of_a_test"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(MAIN)
    (tmp_path / "wanted").mkdir()

    ended = _in_tree(tmp_path / "wanted", tmp_path / "installed")

    assert 1 == ended.returncode
    assert "threelane_of_a_test is imported from" in ended.stderr


@pytest.mark.parametrize(
    ("requirement", "expected"),
    [
        (f"redis=={metadata.version('redis')}", True),
        ("redis>=1", True),
        ("celery[redis]>=1", True),
        ("redis<1", False),
        ("threelane-is-on-no-index", False),
        ("threelane-is-on-no-index; python_version < '3'", True),
    ],
)
def test_an_environment_of_its_own_is_made_for_what_is_not_installed(requirement: str, expected: bool) -> None:
    """Otherwise the same packages serve both trees, and only our own code differs."""
    assert expected == is_installed(requirement)


def _in_tree(root: Path, installed: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(HERE / "tests/in_tree.py"), str(root), "threelane_of_a_test", *words]
    return subprocess.run(
        command, env={"PYTHONPATH": str(installed)}, capture_output=True, text=True, timeout=60, check=False
    )
