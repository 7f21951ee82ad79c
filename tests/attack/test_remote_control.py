"""Somebody who reaches the broker sends Celery's remote control commands: no worker obeys, and health shows its lanes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from tests.integration.conftest import Workers, log_of, taken
from tests.rabbit import NOT_INSTALLED, RabbitServer
from tests.servers import threelane, wait_until
from threelane import Producer
from threelane.sandbox.running import Running

COMMANDS = """
import sys
from celery import Celery

app = Celery(broker=sys.argv[1])
for command, arguments in (
    ("cancel_consumer", {"queue": "sms.1"}),
    ("add_consumer", {"queue": "other"}),
    ("pool_shrink", {"n": 10}),
    ("pool_grow", {"n": 1}),
    ("pool_restart", {}),
    ("autoscale", {"max": 1, "min": 0}),
    ("rate_limit", {"task_name": "threelane.send", "rate_limit": "1/h"}),
    ("time_limit", {"task_name": "threelane.send", "hard": 1, "soft": 1}),
    ("revoke", {"task_id": "x", "terminate": True}),
    ("enable_events", {}),
    ("shutdown", {}),
):
    app.control.broadcast(command, arguments=arguments)
print("sent")
"""
