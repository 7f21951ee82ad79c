"""Versions: the images beside Threelane's own, each with one version for compose, the Dockerfile, Kubernetes and docs.

Each is the newest of its line that public sources confirm to be without a known vulnerability on the date below. A tag
can be moved: in your registry, replace it with the digest of the image that you checked (`name:tag@sha256:...`). No
digest is given here, since none was read from the registry itself.
"""

from __future__ import annotations

from typing import NamedTuple

CHECKED = "2026-11-28"


class Image(NamedTuple):
    """An image, its version, and why it is this one."""

    name: str
    version: str
    reason: str

    def __str__(self) -> str:
        """Return the reference as compose and Docker write it."""
        return f"{self.name}:{self.version}"


IMAGES = {
    "python": Image(
        "docker.io/library/python",
        "3.11.16-slim-bookworm",
        "security release of August 2026 (docker-library/official-images, 22049)",
    ),
    "redis": Image(
        "docker.io/library/redis",
        "7.4.10-bookworm",
        "urgent security release of July 2026 (docker-library/official-images, 21922); 7.4.9 fixed CVE-2026-23479",
    ),
    "prometheus": Image(
        "docker.io/prom/prometheus",
        "v3.13.2",
        "long-term support until July 2027; 3.5 and 3.11 have known vulnerabilities in dependencies",
    ),
    "grafana": Image(
        "docker.io/grafana/grafana",
        "13.2.2",
        "security release of September 2026: CVE-2026-15815, -76154, -79656; 11.x is no longer supported",
    ),
}
