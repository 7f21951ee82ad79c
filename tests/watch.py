"""Watch: what the whole suite logged is read at its end, for numbers, texts and secrets.

Each test process watches its own: the records of Python's logging, and what the processes that it started wrote into
their logs or to standard error.  Standard output is for the person who typed a command, and may name a number.
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

from threelane.producer.accept import Intake
from threelane.store import registry

SHORTEST = 10  # letters of a text that are told from a word of the log
MOST_TEXTS = 400
MOST_OF_AN_EVENT = 500  # records of one name; what each says is the same
API_KEY = "tl_k"  # the beginning of each
STANDING = ("do-not-log-me-sandbox-pw", "a1b2c3d4e5f60718293a4b5c6d7e8f90", "password=", "Bearer ", "Basic ", API_KEY)
# a whole number, as people and gateways write it; times in ms begin with 1 and have 13 digits, ids have letters
NUMBER = re.compile(r"(?<![\w.:=-])\+?(?:[2-9][0-9]{8,14}|1[2-9][0-9]{9})(?![\w.-])")


class Found(NamedTuple):
    """One line that says too much: where, what kind of thing, and its surroundings."""

    where: str
    kind: str
    around: str


class Watch:
    """Collects what must not be logged, and where logs are."""

    def __init__(self) -> None:
        self.secrets: set[str] = set(STANDING)
        self.texts: set[str] = set()
        self.files: set[Path] = set()
        self.said: dict[str, str] = {}  # what was said -> where; the same line once

    def text(self, text: str) -> None:
        beginning = text[:30].strip()
        if len(beginning) >= SHORTEST and len(self.texts) < MOST_TEXTS:
            self.texts |= {beginning, json.dumps(beginning, ensure_ascii=False)[1:-1]}

    def read(self, output: Any) -> None:
        """Note a file that a process writes to."""
        name = getattr(output, "name", None)
        if isinstance(name, str) and Path(name).is_absolute():
            self.files.add(Path(name))

    def found(self) -> list[Found]:
        """Return all that was found, each kind once for each place."""
        found: dict[tuple[str, str], Found] = {}
        for where, said in self._everything():
            for one in self.judge(where, said):
                found.setdefault((one.where, one.kind), one)
        return list(found.values())

    def judge(self, where: str, said: str) -> Iterator[Found]:
        """Yield what a log must not say."""
        for number in NUMBER.finditer(said):
            yield Found(where, "number", _around(said, number.start()))
        for kind, words in (("text", self.texts), ("secret", self.secrets)):
            for word in words:
                at = said.find(word)
                if at >= 0:
                    yield Found(where, kind, _around(said, at))

    def _everything(self) -> Iterator[tuple[str, str]]:
        for said, where in list(self.said.items()):
            yield where, said
        for file in sorted(self.files):
            if file.is_file():
                yield str(file), file.read_text(encoding="utf-8", errors="replace")


_WATCHING: list[Watch] = []  # the last one alone: the test of the watch is not seen by that of the suite


class _Listening(logging.Handler):
    def __init__(self, watch: Watch) -> None:
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
        self._watch.said[f"{record.getMessage()} {fields}"] = f"logger {record.name}"


@contextmanager
def watching() -> Iterator[Watch]:
    """Watch all that this process logs and starts, until the context ends."""
    watch = Watch()
    _WATCHING.append(watch)
    listening = _Listening(watch)
    logging.getLogger().addHandler(listening)
    ours, level = logging.getLogger("threelane"), logging.getLogger("threelane").level
    ours.setLevel(logging.INFO)
    tell: list[tuple[Any, str, Callable[[Any, dict[Any, Any]], object]]] = [
        (subprocess.Popen, "__init__", lambda _, given: [watch.read(given.get(to)) for to in ("stdout", "stderr")]),
        (subprocess.Popen, "communicate", lambda answer, _: watch.said.update(_stderr(answer))),
        (Intake, "__init__", lambda _, given: [watch.text(one.message.text) for one in given[0]]),
        (registry, "put", lambda answer, _: watch.secrets.update(filter(None, (answer[1], answer[0].secret)))),
    ]
    began = [_after(watch, *one) for one in tell]
    try:
        yield watch
    finally:
        logging.getLogger().removeHandler(listening)
        ours.setLevel(level)
        for undo in began:
            undo()
        _WATCHING.remove(watch)


def _after(watch: Watch, owner: Any, name: str, tell: Callable[[Any, dict[Any, Any]], object]) -> Callable[[], None]:
    """Tell, whenever something was called, of its answer and its arguments, by position and by name."""
    real = getattr(owner, name)

    @wraps(real)
    def wrapped(*given: Any, **named: Any) -> Any:
        answer = real(*given, **named)
        positions = given[1:] if isinstance(owner, type) else given
        if watch is _WATCHING[-1]:
            tell(answer, {**dict(enumerate(positions)), **named})
        return answer

    setattr(owner, name, wrapped)
    return lambda: setattr(owner, name, real)


def _stderr(answer: tuple[Any, Any]) -> dict[str, str]:
    error = answer[1]
    said = error.decode("utf-8", "replace") if isinstance(error, bytes) else error or ""
    return {said: "standard error of a process"} if said else {}


def _around(said: str, at: int) -> str:
    return said[max(0, at - 120) : at + 60].replace("\n", " | ")
