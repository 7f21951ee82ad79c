"""Somebody who reaches the broker sends commands of Celery's remote control: no worker obeys."""

from __future__ import annotations

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
