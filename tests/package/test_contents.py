"""The wheel holds one import name and every file that the code reads; the source distribution builds the same wheel."""

from __future__ import annotations

import hashlib
import sys
import tarfile
import zipfile
from pathlib import Path

from tests.package.conftest import ROOT, UV, Built, Environment, run

CODE = {".py", ".lua", ".csv", ".html", ".css", ".js", ".svg", ".typed"}
NEEDED = {
    "threelane/py.typed",
    "threelane/demo/messages.csv.gz",
    "threelane/interfaces/console/static/console.css",
    "threelane/interfaces/console/templates/base.html",
    "threelane/producer/accept.lua",
    "threelane/worker/send/claim.lua",
}


def content(wheel: Path) -> dict[str, str]:
    """Return the names of a wheel's files with their hashes."""
    with zipfile.ZipFile(wheel) as opened:
        return {name: hashlib.sha256(opened.read(name)).hexdigest() for name in opened.namelist()}


def in_the_tree() -> set[str]:
    """Return the files below the import name that belong to the product, through the links that lead to them."""
    listed = run(["git", "ls-files", "-z", "-c", "-o", "--exclude-standard"], folder=ROOT).stdout.split("\0")
    folders = {link.name for link in (ROOT / "threelane").iterdir() if link.is_symlink()}
    ours = {f"threelane/{name}" for name in listed if name.partition("/")[0] in folders and (ROOT / name).exists()}
    own = {name for name in listed if name.startswith("threelane/") and (ROOT / name).is_file()}
    return {name for name in ours | own if Path(name).suffix in CODE}


def test_a_wheel_installs_one_name_and_every_file_of_it(built: Built) -> None:
    """No ``producer`` or ``worker`` at top level, where a team has its own."""
    names = set(content(built.wheel))
    assert {"threelane"} == {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    assert set() == (in_the_tree() | NEEDED) - names
    assert set() == {name for name in names if name.endswith((".pyc", ".log")) or "/tests/" in name}


def test_a_source_distribution_holds_files_and_builds_the_same_wheel(built: Built, tmp_path: Path) -> None:
    """A link that was packed as a link would lead nowhere on the machine that builds from it."""
    with tarfile.open(built.sdist) as opened:
        members = opened.getmembers()
        assert [] == [one.name for one in members if not (one.isfile() or one.isdir())]
        opened.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")], folder=source)
    (again,) = (tmp_path / "dist").glob("*.whl")
    assert content(built.wheel) == content(again)


def test_an_editable_install_and_one_from_an_archive_of_git_work(tmp_path: Path) -> None:
    """``pip install -e .`` for those who develop; an archive for those who build from a tag: both keep the links."""
    archive = tmp_path / "archive"
    archive.mkdir()
    packed = run(["git", "stash", "create"], folder=ROOT).stdout.strip() or "HEAD"
    tar = tmp_path / "archive.tar"
    run(["git", "archive", "-o", str(tar), packed], folder=ROOT)
    with tarfile.open(tar) as opened:
        opened.extractall(archive, filter="tar")
    environment = Environment(tmp_path / "environment")
    run([UV, "venv", "-q", str(environment.folder)], folder=tmp_path)
    look = [environment.python, "-c", "import threelane.producer.accept as found; print(found.__file__)"]
    environment.install("-e", str(archive))
    assert run(look, folder=tmp_path).stdout.startswith(str(archive / "threelane/producer"))
    environment.install("--reinstall-package", "threelane", str(archive))
    assert run(look, folder=tmp_path).stdout.startswith(str(environment.folder))
    for name in ("producer", "worker", "sandbox"):
        printed = run([environment.python, "-c", f"import {name}"], folder=tmp_path, code=1).stderr
        assert f"No module named '{name}'" in printed
