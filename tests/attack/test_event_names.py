"""Event names: somebody who recorded a post repeats it under another id, so that a receiver processes it twice."""

from __future__ import annotations

import asyncio
import time

from tests.integration.receiver import Receiver
from threelane.contract import signature
from threelane.store.registry import Registration
from threelane.worker.process.settings import WebhookSettings
from threelane.worker.webhooks.post import open_session, post

SECRET = "s" * 32


def test_a_repeated_post_under_another_id_is_refused() -> None:
    """Before: the id was outside the signature. Receivers of earlier versions verify as before."""

    async def send(receiver: Receiver) -> None:
        async with open_session(WebhookSettings(webhook_private_addresses=True)) as session:
            await post(session, Registration(webhook=receiver.url(), secret=SECRET), "1-0", b"{}", int(time.time()))

    with Receiver() as receiver:
        asyncio.run(send(receiver))
    (recorded,) = receiver.posts
    stamp, now = recorded.headers[signature.TIMESTAMP], time.time()
    second, first = recorded.headers[signature.SIGNATURE_V2], recorded.headers[signature.SIGNATURE]
    assert signature.verify(SECRET, stamp, recorded.body, second, now, event="1-0")
    assert not signature.verify(SECRET, stamp, recorded.body, second, now, event="1-1")
    assert not signature.verify(SECRET, stamp, recorded.body, first, now, event="1-1")  # the second one removed
    assert signature.verify(SECRET, stamp, recorded.body, first, now)  # a receiver of an earlier version
