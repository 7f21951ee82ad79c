"""Scene: a stack after a day's work, as an operator sees it: real processes, real responses, real receipts."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.integration.http_api import Api
from tests.servers import allow_repeats, wait_until
from threelane import Producer, ProducerSettings, Status
from threelane.demo.stack import Stack
from threelane.store import keys, suppression
from threelane.store.suppression import OPERATOR, STOP, Entry
from threelane.worker.account import hold

RETRIED = "27999190101"  # returns 901 once, then accepts
NEWS = "Our summer sale begins on Saturday: 20% off. Reply STOP to opt out."


class ConsoleScene:
    """A running stack, its API, and messages in every state; ``retried`` was delivered at its second attempt."""

    def __init__(self, folder: Path) -> None:
        self.stack = Stack(folder, {"credit": "400000"}, {"THREELANE_PARTS_PER_SECOND": "300"})

    def __enter__(self) -> Self:
        self.stack.__enter__()
        prices = self.stack.environment["THREELANE_PRICES"]
        self.api = Api(self.stack.redis_url, prices=prices).start()
        self.key = self.api.key("operations", operator=True, texts=True, evidence=True)
        for name in ("shop", "logins"):
            settings = ProducerSettings(redis_url=self.stack.redis_url, producer=name, prices=prices)
            setattr(self, name, Producer(settings))
        self._fill()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.shop.close()
        self.logins.close()
        self.api.stop()
        self.stack.stop()

    def codes(self, number: int) -> None:
        """Send login codes in lane 1."""
        self.logins.send_many(
            {"to": f"2783123{4000 + n}", "text": f"Your code is {1000 + n}", "lane": 1, "tags": ["login"]}
            for n in range(number)
        )

    def _fill(self) -> None:
        redis, now = self.api.redis, int(time.time() * 1000)
        allow_repeats(redis)
        self.codes(60)
        self.retried = self.logins.send(
            RETRIED, "Your code is 4711", lane=1, client_message_id="login4711", tags=["login"], cost_centre="logins"
        ).id
        self._newsletter("27999111300", 14)  # 113, owner: producer
        self._newsletter("27999112800", 6)  # 128, owner: recipient
        parcel = "Your parcel is on its way."
        self.shop.send_many({"to": f"2782555{1000 + n}", "text": parcel, "lane": 2} for n in range(80))
        self.invalid = self.shop.send("27999111300", "Your parcel <b>has arrived</b>.", lane=2, batch="parcels").id
        wait_until(lambda: self._has_status(self.retried, Status.DELIVERED), 60, "the second attempt to be delivered")
        wait_until(lambda: redis.zcard(keys.DEAD) >= 20, 60, "dead letters")
        for scope in hold.holds(redis, now):
            hold.resume(redis, scope, now)
        hold.put(redis, "lane:3", "the newsletter has a wrong link", now)
        hold.put(redis, "sender:ACME", "not registered in Kenya yet", now, now + 7_200_000)
        self.shop.send_many({"to": f"2784666{1000 + n}", "text": NEWS, "batch": "newsletter-7"} for n in range(1500))
        tomorrow = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
        self.shop.send_many(
            {
                "to": f"2782777{1000 + n}",
                "text": "Your appointment is tomorrow.",
                "deliver_at": (tomorrow + timedelta(minutes=15 * n)).isoformat(),
                "batch": "appointments",
                "tags": ["reminder"],
                "lane": 2,
            }
            for n in range(6)
        )
        day = 86_400_000
        by_recipient = Entry(source=STOP, evidence="STOP by SMS", first=now - 9 * day, last=now - 9 * day)
        by_operator = Entry(
            source=OPERATOR, scope="tag:promo", evidence="called on 3 May", first=now - day, last=now - day
        )
        suppression.add(redis, [("27831234567", by_recipient), ("27831234567", by_operator)])

    def _newsletter(self, to: str, number: int) -> None:
        self.shop.send_many({"to": to, "text": NEWS, "batch": "newsletter-6", "tags": ["promo"]} for _ in range(number))

    def _has_status(self, message_id: str, expected: Status) -> bool:
        found = self.logins.status(message_id)
        return found is not None and found.status is expected
