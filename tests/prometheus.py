"""Debian's Prometheus for tests: its tools, and a real server on its own port."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit
from urllib.request import urlopen

import yaml

from tests.servers import free_port, wait_until
from threelane.demo.child import _end_with_parent

FOLDER = Path(__file__).parents[1] / "deploy"
RULES = FOLDER / "prometheus" / "rules.yml"
MISSING = "" if shutil.which("prometheus") and shutil.which("promtool") else "no prometheus: apt-get install prometheus"


def alerts() -> list[dict[str, Any]]:
    """Return the alert rules."""
    return [rule for rule in rules() if "alert" in rule]


def rules() -> list[dict[str, Any]]:
    """Return all rules."""
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


class Prometheus:
    """A server that scrapes every second."""

    def __init__(self, folder: Path, metrics: Mapping[str, str], rules_text: str = "") -> None:
        """Scrape these pages; the name of a process without its number is the end of its job's name."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.url = f"http://127.0.0.1:{free_port()}"
        (folder / "rules.yml").write_text(rules_text or RULES.read_text())
        self.scrape(metrics)
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yml"],
            "scrape_configs": [
                {
                    "job_name": f"threelane-{job}",
                    "file_sd_configs": [{"files": [f"{job}.json"], "refresh_interval": "1s"}],
                }
                for job in ("worker", "callbacks", "webhooks", "exporter")
            ],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        self.log = folder / "prometheus.log"
        self.process: subprocess.Popen[bytes] | None = None

    def scrape(self, metrics: Mapping[str, str]) -> None:
        """Replace the pages to scrape."""
        self.pages = len(metrics)
        for job in ("worker", "callbacks", "webhooks", "exporter"):
            targets = [urlsplit(url).netloc for name, url in metrics.items() if name.rstrip("0123456789") == job]
            (self.folder / f"{job}.json").write_text(json.dumps([{"targets": targets}]))

    def __enter__(self) -> Prometheus:
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={self.folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={self.folder / 'data'}",
                    f"--web.listen-address={urlsplit(self.url).netloc}",
                ],
                stdout=output,
                stderr=output,
                preexec_fn=_end_with_parent,
            )
        wait_until(self._ready, what=f"Prometheus; see {self.log}")
        wait_until(self._scrapes, what="the first scrape of all pages")
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait(20)

    def get(self, path: str, **parameters: str) -> Any:
        """Return the data of a request to its API."""
        with urlopen(f"{self.url}/api/v1/{path}?{urlencode(parameters)}", timeout=10) as response:
            return json.loads(response.read())["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the current series of an expression."""
        return list(self.get("query", query=expression)["result"])

    def ever(self, expression: str, seconds: float = 120) -> bool:
        """Return whether an expression had data in the last ``seconds``."""
        now = time.time()
        return bool(
            self.get("query_range", query=expression, start=str(now - seconds), end=str(now), step="1")["result"]
        )

    def firing(self) -> set[str]:
        """Return the names of the firing alerts."""
        return {one["labels"]["alertname"] for one in self.get("alerts")["alerts"] if one["state"] == "firing"}

    def _ready(self) -> bool:
        try:
            with urlopen(f"{self.url}/-/ready", timeout=1) as response:
                return bool(response.status == 200)
        except OSError:
            assert self.process is not None
            assert self.process.poll() is None, self.log.read_text()[-2000:]
            return False

    def _scrapes(self) -> bool:
        found = self.get("targets")["activeTargets"]
        return len(found) == self.pages and all(one["health"] == "up" for one in found)
