"""What reads the logs of the suite finds what must not be there, and nothing else."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from tests.watch import watching
from threelane import Producer
from threelane.store import registry

TEXT = "The secret word is marimba"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('{"event":"sent","to":"27831234567"}', "number"),
        ("could not send to +4915112345678, giving up", "number"),
        ("12025550100", "number"),
        ("GET /a1b2c3d4e5f60718293a4b5c6d7e8f90/status", "secret"),
        ("https://api/http/sendmsg?user=u&password=p", "secret"),
        ("{'Authorization': 'Bearer x'}", "secret"),
    ],
)
def test_what_must_not_be_logged_is_found(text: str, kind: str) -> None:
    """Whatever surrounds it."""
    with watching() as watch:
        assert [kind] == [one.kind for one in watch.judge("here", text)]


@pytest.mark.parametrize(
    "text",
    [
        '{"event":"accepted","id":"0f3c2783123456780123456789abcdef","to":"27831******"}',
        '{"id":"1763800000123-0","at":"2026-01-01T12:00:00.123+00:00"}',
        '{"wait_seconds":0.27831234567,"pid":123456,"score":1763800000123}',
        "http://127.0.0.1:38123/<secret>/status",
    ],
)
def test_what_may_be_logged_is_not(text: str) -> None:
    """Ids, times and masked numbers."""
    with watching() as watch:
        assert [] == list(watch.judge("here", text))


def test_logs_and_standard_error_of_processes_are_read(tmp_path: Path) -> None:
    """Those that run on in a file, and those that are waited for."""
    words = [sys.executable, "-c", "import sys; print('to 27831234567', file=sys.stderr)"]
    with watching() as watch:
        with (tmp_path / "process.log").open("wb") as log:
            subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT).wait()
        subprocess.run(words, capture_output=True, check=True)
        logging.getLogger("threelane").warning("sent", extra={"fields": {"to": "27831234568"}})
        places = sorted(one.where for one in watch.found())
    assert [str(tmp_path / "process.log"), "logger threelane", "standard error of a process"] == places


def test_texts_that_were_sent_and_secrets_that_were_made_are_looked_for(
    producer: Producer, client: redis.Redis
) -> None:
    """Nobody has to list them."""
    with watching() as watch:
        producer.send("27831234567", TEXT)
        _, secret = registry.put(client, "shop", webhook="https://shop.example/sms")
        assert ["text"] == [one.kind for one in watch.judge("here", f"could not send {TEXT!r}")]
        assert ["secret"] == [one.kind for one in watch.judge("here", f"signed with {secret}")]
