"""Host app: a service of another team, with Celery of its own, that sends its login codes through Threelane."""

from __future__ import annotations

import os

import redis
from celery import Celery, current_app, shared_task

from threelane import Producer

SHOP = os.environ["SHOP_REDIS"]
app = Celery("shop", broker=SHOP)
producer = Producer()
producer.send("27999500000", "sent before Celery forks its pool", lane=1)
ledger = redis.Redis.from_url(SHOP)


@shared_task(name="shop.code")
def code(number: int) -> None:
    """Send a code, then leave work to another task."""
    before = current_app.main
    answer = producer.send(f"279995{number:05d}", f"Your code is {number:06d}", lane=1)
    mail.delay(number, before, answer.accepted)


@shared_task(name="shop.mail")
def mail(number: int, before: str, was_accepted: bool) -> None:
    """Record which application ran the tasks."""
    ledger.rpush("mails", f"{before} {current_app.main} {was_accepted} {number}")
