"""Trees: the sources of this and of an earlier commit, and the interpreter that runs them."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tomllib
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement

HERE = Path(__file__).parents[1]


class Layout(NamedTuple):
    """The packages of a tree that are used from outside."""

    library: str  # has Producer
    commands: str  # the command line, by ``python -m``


LAYOUTS = (Layout("threelane", "threelane"), Layout("producer", "worker"))
"""All layouts, newest first."""


@dataclass(frozen=True, slots=True)
class Tree:
    """One source tree, and the interpreter with its requirements."""

    root: Path
    name: str
    python: str = sys.executable

    @property
    def layout(self) -> Layout:
        """Return the tree's layout."""
        return next(one for one in LAYOUTS if (self.root / one.commands / "__main__.py").exists())

    def command(self, *arguments: str) -> list[str]:
        """Return the command that runs ``threelane ARGUMENT ...`` of this tree."""
        return [self.python, str(HERE / "tests/in_tree.py"), str(self.root), self.layout.commands, *arguments]


def this_tree() -> Tree:
    """Return the tree of this file, including uncommitted changes."""
    return Tree(HERE, git("describe", "--always", "--dirty"))


@contextmanager
def earlier_tree(name: str, folder: Path) -> Iterator[Tree]:
    """Check out a commit below a folder, as a git work tree that is removed at the end."""
    root = folder / "earlier"
    git("worktree", "add", "--detach", str(root), name)
    try:
        yield Tree(root, git("-C", str(root), "describe", "--always"), python_for(root))
    finally:
        git("worktree", "remove", "--force", str(root))


def last_release() -> str:
    """Return the last tag; without a tag, the previous commit."""
    found = subprocess.run(
        ["git", "describe", "--tags", "--abbrev=0"], cwd=HERE, capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or "HEAD~1"


def commit(name: str) -> str:
    """Return the full hash of a commit, given in any form of git; raises ValueError when there is none."""
    try:
        return git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    except subprocess.CalledProcessError:
        raise ValueError(name) from None


def git(*arguments: str) -> str:
    """Return git's output; raises CalledProcessError when it fails."""
    return subprocess.run(["git", *arguments], cwd=HERE, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def python_for(root: Path) -> str:
    """Return this interpreter if it meets the tree's requirements, else one in an environment from the tree's lock."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project.get("optional-dependencies", {}).values()
    optional = (one for extra in extras for one in extra if not one.startswith("threelane["))
    requirements = [*project["dependencies"], *optional]
    return sys.executable if all(map(is_installed, requirements)) else _locked(root / "requirements/run.txt")


def is_installed(requirement: str) -> bool:
    """Return whether this environment meets a requirement in pyproject.toml syntax."""
    parsed = Requirement(requirement)
    if parsed.marker and not parsed.marker.evaluate():
        return True
    try:
        return parsed.specifier.contains(metadata.version(parsed.name), prereleases=True)
    except metadata.PackageNotFoundError:
        return False


def _locked(lock: Path) -> str:
    """Create an environment from a hashed lock file, once per content, and return its interpreter."""
    folder = Path(sys.prefix) / f"locked-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    python, complete = folder / "bin/python", folder / "complete"
    if not complete.exists():
        venv.create(folder, clear=True, with_pip=True)
        install = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "--require-hashes"]
        subprocess.run([*install, "-r", str(lock)], check=True)
        complete.touch()
    return str(python)
