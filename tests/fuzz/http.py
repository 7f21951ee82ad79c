"""Fuzz: thousands of valid and invalid requests to the HTTP API and to the callback endpoints, over real HTTP.

Fails on a 5xx, and on a response that is not in the API's description.  Prints the counts at the end.
"""

from __future__ import annotations

import argparse
import logging
import re
import subprocess
import sys
import tempfile
from collections import Counter
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes, urlsplit

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as some

from tests.integration.conftest import SECRET, threelane_child
from tests.integration.http_api import Api
from tests.servers import RedisServer
from tests.unit.test_inbound_fuzz import CORPUS, JSON, mutated

KEYS: dict[str, dict[str, Any]] = {  # each kind of key and its rights; what is not given is not limited
    "operator": {"operator": True, "texts": True, "evidence": True},
    "wide producer": {},
    "narrow producer": {"lanes": (3,), "senders": ("ACME",), "cost_centres": ("news",), "rate": 50.0},
}
ALLOWED_STATUSES = {200, 400, 404, 413}
TYPES = ["application/x-www-form-urlencoded", "application/json", "application/xml", "text/plain; charset=utf-16", ""]


def main() -> int:
    """Fuzz both, and return the exit code."""
    parser = argparse.ArgumentParser(prog="make fuzz-api", description=__doc__)
    parser.add_argument("--examples", type=int, default=25, help="most requests of one kind per operation")
    parser.add_argument("--callbacks", type=int, default=2_000, help="requests to the callback endpoints")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    logging.disable()  # the API runs in this process, and would log a line per request
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(Path(folder)).start()
        try:
            failed = fuzz_api(server.url, options.examples, options.seed)
            wrong = fuzz_callbacks(server.url, Path(folder), options.callbacks, options.seed)
        finally:
            server.stop()
    return 1 if failed or wrong else 0


def fuzz_api(redis_url: str, examples: int, number: int) -> bool:
    """Run schemathesis on the API with each kind of key; returns whether it found a failure."""
    api = Api(redis_url).start()
    try:
        failed = [kind for kind in KEYS if not _holds(api, kind, examples, number)]
    finally:
        api.stop()
    return bool(failed)


def _holds(api: Api, kind: str, examples: int, number: int) -> bool:
    """Run schemathesis with one kind of key and print the counts; returns whether it found no failure."""
    example = {"to": "27831234567", "text": "a", "batch": "newsletter-7", "delay": 90, "from": "ACME"}
    key = api.key("shop", **KEYS[kind])
    made = api.request("POST", "/v1/messages", example | {"cost_centre": "news"}, key)
    assert made.status in (200, 201), made
    command = [sys.executable, "-m", "schemathesis.cli", "--no-color", "run", f"{api.url}/openapi.json"]
    command += ["-H", f"Authorization: Bearer {key}", "-n", str(examples), "--seed", str(number)]
    command += ["--suppress-health-check", "all", "--continue-on-failure", "--warnings", "off"]
    # a schema cannot express which phone numbers and texts are valid
    command += ["--exclude-checks", "positive_data_acceptance"]
    command += ["--exclude-path-regex", "^/v1/account/"]  # 503: no worker runs here to call the gateway
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(f"{kind} key:")
    print(done.stdout if done.returncode else "\n".join(re.findall(r"(?s)Test Phases:.*", done.stdout)), done.stderr)
    return done.returncode == 0


def fuzz_callbacks(redis_url: str, folder: Path, requests: int, number: int) -> list[str]:
    """Send damaged callbacks of Clickatell to every endpoint; returns the wrong responses."""
    environment = {"THREELANE_REDIS_URL": redis_url, "THREELANE_CALLBACK_SECRET": SECRET}
    environment |= {"THREELANE_CALLBACKS_PORT": "0", "THREELANE_METRICS_PORT": "0"}
    child = threelane_child("callbacks", folder, environment)
    statuses: Counter[int] = Counter()
    wrong: list[str] = []
    try:
        address = urlsplit(child.event("callbacks")["url"])
        connection = HTTPConnection(address.hostname or "", address.port, timeout=30)

        @seed(number)
        @settings(
            max_examples=requests,
            phases=[Phase.generate],
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(
            method=some.sampled_from(["POST", "POST", "GET"]),
            endpoint=some.sampled_from(["status", "mo", "platform", "one", "status/x", ""]),
            body=mutated() | some.sampled_from(CORPUS) | JSON | some.binary(max_size=300),
            kind=some.sampled_from(TYPES),
        )
        def post(method: str, endpoint: str, body: bytes, kind: str) -> None:
            path = f"/{SECRET}/{endpoint}"
            if method == "GET":
                path, body = f"{path}?{quote_from_bytes(body, safe='=&%+')}", b""
            try:
                connection.request(method, path, body or None, {"Content-Type": kind} if kind else {})
                response = connection.getresponse()
                response.read()
            except (OSError, HTTPException) as failed:
                connection.close()
                wrong.append(f"{method} {endpoint} {body!r}: {type(failed).__name__}")
                return
            statuses[response.status] += 1
            if response.status not in ALLOWED_STATUSES:
                wrong.append(f"{method} {endpoint} {body!r}: {response.status}")

        post()
    finally:
        child.stop()
    traces = child.log.read_text(encoding="utf-8").count("Traceback")
    print(f"callback endpoints: {statuses.total()} requests {dict(sorted(statuses.items()))}, {traces} tracebacks")
    for one in wrong[:20]:
        print(f"  wrong: {one}")
    return wrong + ["a traceback in the log"] * traces


if __name__ == "__main__":
    sys.exit(main())
