"""How much memory a process may use."""

from __future__ import annotations

from pathlib import Path

import pytest

from threelane.runtime import memory

MIB = 1024 * 1024


def folder(root: Path, cgroup: str, files: dict[str, str]) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(cgroup)
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("cgroup", "files", "expected"),
    [
        ("0::/\n", {"sys/fs/cgroup/memory.max": f"{64 * MIB}\n"}, 64),
        ("0::/a/b\n", {"sys/fs/cgroup/a/memory.max": f"{32 * MIB}", "sys/fs/cgroup/a/b/memory.max": "max\n"}, 32),
        ("5:cpu:/x\n4:memory:/d\n", {"sys/fs/cgroup/memory/d/memory.limit_in_bytes": f"{48 * MIB}"}, 48),
    ],
    ids=["cgroup 2", "a group around it", "cgroup 1"],
)
def test_the_limit_of_the_container_counts(tmp_path: Path, cgroup: str, files: dict[str, str], expected: int) -> None:
    """A container sees the memory of the whole machine, and is killed at its own limit."""
    assert expected * MIB == memory.limit(folder(tmp_path, cgroup, files))


def test_without_a_container_the_machine_counts(tmp_path: Path) -> None:
    """Or the address space, if it is limited."""
    assert memory.limit(tmp_path) == memory.limit(folder(tmp_path, "0::/\n", {"sys/fs/cgroup/memory.max": "max"}))
