"""A failover may hide the reply to a message that the old primary accepted: the caller must not take it for refused."""

from __future__ import annotations

import threading
from pathlib import Path

import redis

from tests.error_replies.states import ReadOnly
from tests.error_replies.switch import Switch
from tests.servers import wait_until
from threelane import Producer, ProducerSettings, Unavailable
from threelane.store import keys


def test_a_message_whose_first_reply_was_lost_is_unsure_although_the_repetition_was_refused(tmp_path: Path) -> None:
    """Redis ran the script, its reply was lost, and the repetition got READONLY: the message is accepted."""
    state = ReadOnly(tmp_path)
    switch = Switch(state.server.port)
    caught: list[Unavailable] = []
    address = f"redis://127.0.0.1:{switch.port}/0"
    with (
        Producer(ProducerSettings(redis_url=address, redis_timeout_seconds=20)) as producer,
        redis.Redis(port=state.server.port) as there,
    ):
        first = producer.send("27999500001", "Hello", lane=3).id
        switch.loses_replies_to = b"EVALSHA"

        def send() -> None:
            answer = producer.try_send("27999500001", "Hello", lane=3)
            assert isinstance(answer, Unavailable), answer
            caught.append(answer)

        sending = threading.Thread(target=send, daemon=True)
        sending.start()
        wait_until(lambda: there.zcard(keys.QUEUED[3]) == 2, what="Redis to accept it")
        accepted = {one.decode() for one in there.zrange(keys.QUEUED[3], 0, -1)} - {first}
        state.begin([])
        switch.loses_replies_to = b""
        switch.point(state.server.port)
        sending.join(30)
    switch.close()
    state.close()

    (away,) = caught
    assert accepted == set(away.unsure)
    assert "(READONLY)" in str(away)
