"""Memory: how many octets this process may use, by its container's limit or the machine's memory."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

MIB = 1024 * 1024
_ROOT = Path("/")


def limit(root: Path = _ROOT) -> int:
    """Return the lowest limit that is set: of the container (cgroup 2 or 1), of the address space, of the machine."""
    return min(_limits(root))


def _limits(root: Path) -> Iterator[int]:
    yield os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        yield soft
    for group in _groups(root):
        for name in ("memory.max", "memory.limit_in_bytes"):
            try:
                text = (group / name).read_text().strip()
            except OSError:
                continue
            if text.isdigit():  # "max" is no limit
                yield int(text)


def _groups(root: Path) -> Iterator[Path]:
    """Yield the folders of this process's control groups and of the groups around them."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / ("memory" if controllers else "")
        inner = top / path.lstrip("/")
        yield from (one for one in (inner, *inner.parents) if one.is_relative_to(top))
