"""Watch: checks everything the suite logged for phone numbers, texts and secrets.

Each test process checks its own records of Python's logging, and what its child processes wrote to their logs or to
standard error.  Standard output is for the person who typed a command, and may have a number.
"""

from __future__ import annotations

import json
import logging
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple

from threelane.producer.accept import AcceptCall
from threelane.store import registry

SHORTEST = 10  # characters of a text, to be distinct from words in the log
MOST_TEXTS = 400
MOST_OF_AN_EVENT = 500  # records of one event, which are alike
API_KEY = "tl_k"  # the prefix of each key
VOUCHER = "0000077000000777"  # that tests redeem
SECRETS = (
    "do-not-log-me-sandbox-pw",
    VOUCHER,
    "a1b2c3d4e5f60718293a4b5c6d7e8f90",
    "password=",
    "Bearer ",
    "Basic ",
    API_KEY,
)
# a phone number as people and gateways write it; times in ms start with 1 and have 13 digits, ids have letters
NUMBER = re.compile(r"(?<![\w.:=-])\+?(?:[2-9][0-9]{8,14}|1[2-9][0-9]{9})(?![\w.-])")


class Leak(NamedTuple):
    """A secret, number or text in a log: where, of which kind, with its context."""

    where: str
    kind: str
    around: str


class LogWatch:
    """Collects the values that must not be logged, and the logs to check."""

    def __init__(self) -> None:
        self.secrets: set[str] = set(SECRETS)
        self.texts: set[str] = set()
        self.files: set[Path] = set()
        self.lines: dict[str, str] = {}  # line -> source, each line once

    def text(self, text: str) -> None:
        beginning = text[:30].strip()
        if len(beginning) >= SHORTEST and len(self.texts) < MOST_TEXTS:
            self.texts |= {beginning, json.dumps(beginning, ensure_ascii=False)[1:-1]}

    def read(self, output: Any) -> None:
        """Record a file that a process writes to."""
        name = getattr(output, "name", None)
        if isinstance(name, str) and Path(name).is_absolute():
            self.files.add(Path(name))

    def found(self) -> list[Leak]:
        """Return the leaks, each kind once per source."""
        found: dict[tuple[str, str], Leak] = {}
        for where, text in self._everything():
            for one in self.judge(where, text):
                found.setdefault((one.where, one.kind), one)
        return list(found.values())

    def judge(self, where: str, text: str) -> Iterator[Leak]:
        """Yield the leaks in a text."""
        for number in NUMBER.finditer(text):
            yield Leak(where, "number", _around(text, number.start()))
        for kind, words in (("text", self.texts), ("secret", self.secrets)):
            for word in words:
                at = text.find(word)
                if at >= 0:
                    yield Leak(where, kind, _around(text, at))

    def _everything(self) -> Iterator[tuple[str, str]]:
        for line, where in list(self.lines.items()):
            yield where, line
        for file in sorted(self.files):
            if file.is_file():
                yield str(file), file.read_text(encoding="utf-8", errors="replace")


_WATCHING: list[LogWatch] = []  # only the last is active, so that the watch's own test does not reach the suite's watch


class _Listening(logging.Handler):
    def __init__(self, watch: LogWatch) -> None:
        super().__init__()
        self._watch = watch
        self._times: dict[str, int] = {}

    def emit(self, record: logging.LogRecord) -> None:
        if self._watch is not _WATCHING[-1]:
            return
        times = self._times[record.getMessage()] = self._times.get(record.getMessage(), 0) + 1
        if times > MOST_OF_AN_EVENT and record.levelno < logging.WARNING:
            return
        fields = [value for name, value in vars(record).items() if name in ("fields", "lines", "exc_text")]
        self._watch.lines[f"{record.getMessage()} {fields}"] = f"logger {record.name}"


@contextmanager
def watching() -> Iterator[LogWatch]:
    """LogWatch everything this process logs and starts, until the context ends."""
    watch = LogWatch()
    _WATCHING.append(watch)
    listening = _Listening(watch)
    logging.getLogger().addHandler(listening)
    logger, level = logging.getLogger("threelane"), logging.getLogger("threelane").level
    logger.setLevel(logging.INFO)
    hooks: list[tuple[Any, str, Callable[[Any, dict[Any, Any]], object]]] = [
        (subprocess.Popen, "__init__", lambda _, named: [watch.read(named.get(to)) for to in ("stdout", "stderr")]),
        (subprocess.Popen, "communicate", lambda result, _: watch.lines.update(_stderr(result))),
        (AcceptCall, "__init__", lambda _, arguments: [watch.text(one.message.text) for one in arguments[0]]),
        (registry, "put", lambda result, _: watch.secrets.update(filter(None, (result[1], result[0].secret)))),
    ]
    undos = [_after(watch, *one) for one in hooks]
    try:
        yield watch
    finally:
        logging.getLogger().removeHandler(listening)
        logger.setLevel(level)
        for undo in undos:
            undo()
        _WATCHING.remove(watch)


def _after(watch: LogWatch, owner: Any, name: str, hook: Callable[[Any, dict[Any, Any]], object]) -> Callable[[], None]:
    """Call a hook after each call, with the result and the arguments by position and by name."""
    real = getattr(owner, name)

    @wraps(real)
    def wrapped(*arguments: Any, **named: Any) -> Any:
        result = real(*arguments, **named)
        positions = arguments[1:] if isinstance(owner, type) else arguments
        if watch is _WATCHING[-1]:
            hook(result, {**dict(enumerate(positions)), **named})
        return result

    setattr(owner, name, wrapped)
    return lambda: setattr(owner, name, real)


def _stderr(completed: tuple[Any, Any]) -> dict[str, str]:
    error = completed[1]
    output = error.decode("utf-8", "replace") if isinstance(error, bytes) else error or ""
    return {output: "standard error of a process"} if output else {}


def _around(text: str, at: int) -> str:
    return text[max(0, at - 120) : at + 60].replace("\n", " | ")
