"""A producer that was used before a fork goes on in the children: gunicorn --preload, Celery's prefork pool."""

from __future__ import annotations

import logging
import os
import signal
import threading
import traceback
from collections.abc import Callable

import msgspec
import pytest
import redis

from tests.servers import RedisServer
from threelane import Accepted, Producer, ProducerSettings

CHILDREN, EACH = 4, 40
PATIENCE_SECONDS = 30  # a child that hangs is ended by its own alarm


def in_child(work: Callable[[], list[str]]) -> tuple[int, int]:
    """Fork; the child writes the lines that ``work`` returns. Returns its process id and where to read them."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading
    status = 1
    try:
        signal.alarm(PATIENCE_SECONDS)
        with os.fdopen(writing, "w") as answers:
            answers.write("\n".join(work()))
        status = 0
    except BaseException:
        traceback.print_exc()
    os._exit(status)


def lines_of(child: tuple[int, int]) -> list[str]:
    """Return what a child wrote; fails unless it ended well."""
    pid, reading = child
    with os.fdopen(reading) as answers:
        lines = answers.read().splitlines()
    _, status = os.waitpid(pid, 0)
    assert 0 == status, f"the child ended with {status}"
    return lines


def send(producer: Producer, name: str) -> list[str]:
    """Send on two ways that share one pool, and return ids; each answer has to be the one to its own message."""
    ids = []
    for number in range(EACH):
        one = producer.send("27831234567", f"{name} {number}", lane=1, client_message_id=f"{name}x{number}")
        many = producer.send_many([{"to": "27831234568", "text": f"{name} {number}"}] * 3)
        found = producer.status(one.id) if isinstance(one, Accepted) else None
        assert found is not None
        assert f"{name}x{number}" == found.client_message_id
        ids += [answer.id for answer in (one, *many) if isinstance(answer, Accepted)]
    return ids


def connection(producer: Producer) -> str:
    return str(producer._redis().client_id())


def test_children_of_a_process_that_sent_share_neither_ids_nor_connections(producer: Producer) -> None:
    """They and their parent send at the same time: all are accepted, each once, over connections of their own."""
    before = send(producer, "before")
    children = [
        in_child(lambda number=number: [connection(producer), *send(producer, f"child{number}")])  # type: ignore[misc]
        for number in range(CHILDREN)
    ]
    meanwhile = send(producer, "parent")
    outputs = [lines_of(child) for child in children]
    ids = [*before, *meanwhile, *(one for lines in outputs for one in lines[1:])]
    assert (CHILDREN + 2) * EACH * 4 == len(set(ids)) == len(ids)
    assert CHILDREN + 1 == len({connection(producer), *(lines[0] for lines in outputs)})
    assert all(producer.statuses(ids))


def test_a_child_sends_although_threads_of_its_parent_were_sending(
    producer: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock that such a thread holds at the moment of the fork is never released in the child.

    All has been used before, and nothing is logged: Python itself keeps the lock of a module that a thread imports at
    that moment, and of a file that it writes to.
    """
    monkeypatch.setattr(logging.getLogger("threelane"), "disabled", True)
    assert producer.send("27831234567", "before", lane=1).accepted
    stop = threading.Event()

    def keep_sending(number: int) -> None:
        while not stop.is_set():
            assert producer.send("27831234567", f"thread {number}", lane=1).accepted

    threads = [threading.Thread(target=keep_sending, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    try:
        outputs = [
            lines_of(in_child(lambda: [producer.send("27831234567", "child", lane=1).id]))  # type: ignore[union-attr]
            for _ in range(25)
        ]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert 25 == len({one for lines in outputs for one in lines})


def test_a_script_under_way_in_the_parent_is_not_answered_in_the_child(
    client: redis.Redis, redis_server: RedisServer
) -> None:
    """The fork falls between the question and its answer: the parent reads its own, the child repeats the request."""
    with Producer(ProducerSettings(redis_url=redis_server.url)) as producer:
        assert producer.send("27831234567", "before").accepted
        stream = producer.send_stream({"to": "27831234567", "text": f"{number}"} for number in range(1500))
        first = next(stream)
        child = in_child(lambda: [msgspec.json.encode(producer.send("27831234567", "child")).decode()])
        answers = [first, *stream]
        reported = msgspec.json.decode(lines_of(child)[0])
    assert all(answer.accepted for answer in answers)
    assert reported["id"] not in {answer.id for answer in answers if isinstance(answer, Accepted)}
    assert 1502 == len(list(client.scan_iter("tl:m:*", count=1000)))
