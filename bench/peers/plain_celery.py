"""Plain Celery: a task per message, requests with a session per thread, the outcome written to Redis.

Settings come from the environment: BENCH_BROKER_URL, BENCH_OUTCOMES_URL, BENCH_GATEWAY_URL.
"""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Iterable, Mapping

import redis
import requests
from celery import Celery
from requests.adapters import HTTPAdapter

from bench.peers import calling

app = Celery("plain", broker=os.environ["BENCH_BROKER_URL"])
app.conf.update(task_ignore_result=True, worker_send_task_events=False)
outcomes = redis.Redis.from_url(os.environ["BENCH_OUTCOMES_URL"])
local = threading.local()


def session() -> requests.Session:
    """Return this thread's session, with a persistent connection."""
    if not hasattr(local, "session"):
        local.session = requests.Session()
        local.session.mount("http://", HTTPAdapter(pool_connections=1, pool_maxsize=1))
    kept: requests.Session = local.session
    return kept


@app.task(autoretry_for=(requests.ConnectionError,), retry_backoff=True, max_retries=5)
def send_sms(message_id: str, to: str, text: str) -> None:
    """Send one message and record the outcome."""
    response = session().post(calling.SENDMSG, data=calling.form(message_id, to, text), timeout=10)
    response.raise_for_status()
    outcomes.hset(f"sms:{message_id}", mapping=calling.outcome(response.text))


def enqueue(message: Mapping[str, str]) -> None:
    """Enqueue one message."""
    send_sms.apply_async((uuid.uuid4().hex, message["to"], message["text"]))


def bulk(messages: Iterable[Mapping[str, str]]) -> None:
    """Enqueue many, one by one: Celery has no bulk call."""
    for message in messages:
        enqueue(message)


def singles(messages: Iterable[Mapping[str, str]], callers: int) -> None:
    """Enqueue from ``callers`` concurrent threads."""
    calling.from_threads(enqueue, messages, callers)
