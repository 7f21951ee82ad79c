"""Descriptors: raises this process's limit of open files, and shares it between connections and everything else."""

from __future__ import annotations

import resource

OWN = 64  # logs, certificates, listening sockets, and connections of the moment between accept and close
MOST = 65_536  # with more, tables of descriptors cost memory and no endpoint needs them


def raise_limit() -> int:
    """Raise the soft limit of open files to the hard one and return it; only for Threelane's own processes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return MOST if soft == resource.RLIM_INFINITY else soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def limit() -> int:
    """Return the soft limit of open files."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if soft == resource.RLIM_INFINITY else soft


def connections(wanted: int, limit: int, reserved: int) -> int:
    """Return how many connections an endpoint may hold so that ``reserved`` descriptors, and its own, stay free."""
    return max(16, min(wanted, limit - reserved - OWN))
