"""Machine: describes the hardware and software of a measurement."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path

from tests.servers import redis_binary


def describe() -> str:
    """Return cores, memory, processor, Python and Redis in one sentence."""
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"Measured on {cores} cores of {_processor()}, {memory:.0f} GiB of memory, "
        f"Linux {platform.release().split('-')[0]}, Python {platform.python_version()}, {_redis()}."
    )


def _processor() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _redis() -> str:
    version_text = subprocess.run([redis_binary(), "--version"], capture_output=True, text=True, check=True).stdout
    name = "Valkey" if "valkey" in version_text.lower() else "Redis"
    version = re.search(r"v=(\S+)", version_text)
    return f"{name} {version[1] if version else ''}".strip()
