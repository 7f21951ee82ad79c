"""Trees: the sources of an earlier commit beside these, and the Python that runs them."""

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
    """Which packages a tree has for those who use it from outside."""

    library: str  # holds Producer
    commands: str  # ``python -m`` this is the command line


LAYOUTS = (Layout("threelane", "threelane"), Layout("producer", "worker"))
"""The newest first."""


@dataclass(frozen=True, slots=True)
class Tree:
    """One tree of the sources, and the Python that has what it needs."""

    root: Path
    name: str
    python: str = sys.executable

    @property
    def layout(self) -> Layout:
        """Return the layout it has."""
        return next(one for one in LAYOUTS if (self.root / one.commands / "__main__.py").exists())

    def command(self, *words: str) -> list[str]:
        """Return what runs ``threelane WORD ...`` of this tree, and of no other."""
        return [self.python, str(HERE / "tests/in_tree.py"), str(self.root), self.layout.commands, *words]


def this_tree() -> Tree:
    """Return the tree that this file is in, with what is not committed."""
    return Tree(HERE, git("describe", "--always", "--dirty"))


@contextmanager
def earlier_tree(name: str, folder: Path) -> Iterator[Tree]:
    """Check a commit out below a folder, as a work tree of git that is removed at the end."""
    root = folder / "earlier"
    git("worktree", "add", "--detach", str(root), name)
    try:
        yield Tree(root, git("-C", str(root), "describe", "--always"), python_for(root))
    finally:
        git("worktree", "remove", "--force", str(root))


def last_release() -> str:
    """Return the last tag, or the commit before this one where there is none."""
    found = subprocess.run(
        ["git", "describe", "--tags", "--abbrev=0"], cwd=HERE, capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or "HEAD~1"


def commit(name: str) -> str:
    """Return the full name of a commit, given as git takes it; raises ValueError for what is none."""
    try:
        return git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    except subprocess.CalledProcessError:
        raise ValueError(name) from None


def git(*words: str) -> str:
    """Return what git prints; raises CalledProcessError when it fails."""
    return subprocess.run(["git", *words], cwd=HERE, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def python_for(root: Path) -> str:
    """Return this Python where it has what the tree requires, else that of an environment from the tree's own lock."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project.get("optional-dependencies", {}).values()
    wanted = [*project["dependencies"], *(one for extra in extras for one in extra if not one.startswith("threelane["))]
    return sys.executable if all(map(is_installed, wanted)) else _locked(root / "requirements/run.txt")


def is_installed(requirement: str) -> bool:
    """Return whether this environment meets a requirement, written as in pyproject.toml."""
    wanted = Requirement(requirement)
    if wanted.marker and not wanted.marker.evaluate():
        return True
    try:
        return wanted.specifier.contains(metadata.version(wanted.name), prereleases=True)
    except metadata.PackageNotFoundError:
        return False


def _locked(lock: Path) -> str:
    """Make an environment from a hashed lock file, once for each content, and return its Python."""
    folder = Path(sys.prefix) / f"locked-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    python, complete = folder / "bin/python", folder / "complete"
    if not complete.exists():
        venv.create(folder, clear=True, with_pip=True)
        install = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "--require-hashes"]
        subprocess.run([*install, "-r", str(lock)], check=True)
        complete.touch()
    return str(python)
