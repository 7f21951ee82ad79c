"""Which tests are repeated on another Redis: those of the scripts and the keys, and the main job of real processes."""

from __future__ import annotations

import pytest

_IN = "tests/integration/test_"
_ALL = ("accept_outage", "check_redis", "guarded_redis", "health", "nudge.", "wrong_type")
_NONE = (
    *("adding_a_gateway", "check_settings", "console", "demo", "docs", "endpoints_taken", "host_app"),
    *("nudge_rabbit", "prometheus", "rabbit_"),
)
_STARTS = frozenset(("endpoint", "reporting", "running_api", "workers"))
"""Fixtures that start processes: what they ask of Redis is asked by the tests of the scripts and by the main job."""


def is_of_redis(item: pytest.Item) -> bool:
    """Return whether another version of Redis could change what a test finds."""
    name = item.nodeid.removeprefix(_IN)
    if item.nodeid.startswith(("tests/faults/", "tests/properties/")) or item.get_closest_marker("main_job"):
        return True
    fixtures = getattr(item, "fixturenames", ())
    is_direct = "redis_server" in fixtures and not _STARTS.intersection(fixtures)
    return name.startswith(_ALL) or (is_direct and not name.startswith(_NONE))
