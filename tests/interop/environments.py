"""Environments: each client in one of its own, below a folder that git ignores; made once, and patched."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests.interop.clients import NPM, Client, Patch

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".interop"
DRIVERS = Path(__file__).parent / "drivers"
_UV = str(Path(sys.executable).parent / "uv")
_READY = "ready"  # written last: an environment without it is made again


class NotAvailable(Exception):
    """A client cannot be tried here; the text says what is missing."""


class Environment(NamedTuple):
    """An installed client."""

    words: tuple[str, ...]  # the command that runs a driver
    variables: dict[str, str]


def prepare(client: Client) -> Environment:
    """Return the environment of a client; installs and patches it unless it was before."""
    folder = CACHE / f"{client.registry}-{client.name}-{_digest(client)}".lower()
    packages = folder / "node_modules" if client.registry == NPM else folder / "packages"
    if not (folder / _READY).exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _install(client, folder)
        for patch in client.patches:
            apply(packages, patch)
        (folder / _READY).touch()
    if client.registry == NPM:
        return Environment((_node(), str(DRIVERS / client.driver)), {"NODE_PATH": str(packages)})
    python = str(folder / "bin/python")
    return Environment((python, "-W", "ignore", str(DRIVERS / client.driver)), {"PYTHONPATH": str(packages)})


def _install(client: Client, folder: Path) -> None:
    if client.registry == NPM:
        _node()
        words = ["npm", "install", "--prefix", str(folder), "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
        _run([*words, f"{client.name}@{client.version}"])
        return
    _run([_UV, "venv", "-q", "--python", sys.executable, str(folder)])
    python, packages = str(folder / "bin/python"), str(folder / "packages")
    _run([_UV, "pip", "install", "-q", "--python", python, "--target", packages, f"{client.name}=={client.version}"])


def apply(packages: Path, patch: Patch) -> None:
    """Replace one place of an installed file; a file with none or several is of another version of the client."""
    file = packages / patch.file
    text = file.read_text("utf-8")
    if text.count(patch.old) != 1:
        raise NotAvailable(f"{patch.file} has {patch.old!r} {text.count(patch.old)} times")
    file.unlink()  # the file may be a link into a cache
    file.write_text(text.replace(patch.old, patch.new), "utf-8")


def _digest(client: Client) -> str:
    """Return what changes with the version and the patches."""
    return hashlib.blake2b(repr((client.version, client.patches)).encode(), digest_size=6).hexdigest()


def _node() -> str:
    found = shutil.which("node")
    if found is None or shutil.which("npm") is None:
        raise NotAvailable("needs node and npm")
    return found


def _run(words: list[str]) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no output"]
        raise NotAvailable(f"{Path(words[0]).name} {words[1]} ended with {done.returncode}: {last[0]}")
