"""Plain dramatiq: one actor message per SMS on the Redis broker, requests with a session per thread.

Settings come from the environment: BENCH_BROKER_URL, BENCH_OUTCOMES_URL, BENCH_GATEWAY_URL.
"""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Iterable, Mapping

import dramatiq
import redis
import requests
from dramatiq.brokers.redis import RedisBroker

from bench.peers import calling

dramatiq.set_broker(RedisBroker(url=os.environ["BENCH_BROKER_URL"]))  # type: ignore[no-untyped-call]
outcomes = redis.Redis.from_url(os.environ["BENCH_OUTCOMES_URL"])
local = threading.local()


def session() -> requests.Session:
    """Return this thread's session, with a persistent connection."""
    if not hasattr(local, "session"):
        local.session = requests.Session()
    kept: requests.Session = local.session
    return kept


@dramatiq.actor(max_retries=5)
def send_sms(message_id: str, to: str, text: str) -> None:
    """Send one message and record the outcome."""
    response = session().post(calling.SENDMSG, data=calling.form(message_id, to, text), timeout=10)
    response.raise_for_status()
    outcomes.hset(f"sms:{message_id}", mapping=calling.outcome(response.text))


def enqueue(message: Mapping[str, str]) -> None:
    """Enqueue one message."""
    send_sms.send(uuid.uuid4().hex, message["to"], message["text"])


def bulk(messages: Iterable[Mapping[str, str]]) -> None:
    """Enqueue many, one by one: dramatiq has no bulk call."""
    for message in messages:
        enqueue(message)


def singles(messages: Iterable[Mapping[str, str]], callers: int) -> None:
    """Enqueue from ``callers`` concurrent threads."""
    calling.from_threads(enqueue, messages, callers)
