"""Every command and every snippet of the documents runs, or has its reason here why not."""

from __future__ import annotations

import importlib.util
import json
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from typer.testing import CliRunner

import threelane as library
from tests.documents import FILES, ROOT, SHELL, Block, Command, blocks, commands, spans
from tests.servers import RedisServer
from tests.whole_line import whole_line
from threelane import Producer, ProducerSettings
from threelane.interfaces.command.line import app
from threelane.runtime import number_files
from threelane.sandbox.running import Running
from threelane.store.events import EventReader
from threelane.worker.gateway import overrides
from threelane.worker.reply import words

NOT_RUN = {  # the beginning of a command, and why no test types it
    "make": "its targets are what CI runs, and test_a_target_that_is_named_is_there holds the names",
    ". .venv/bin/activate": "changes the shell that it is typed in",
    "threelane worker": "runs until it is stopped; the other tests of this folder start it",
    "threelane callbacks": "as the worker",
    "threelane webhooks": "as the worker",
    "threelane exporter": "as the worker",
    "threelane api": "as the worker: test_api_*.py",
    "threelane up": "as the worker: test_up.py",
    "threelane demo": "takes half a minute: test_demo.py",
    "python -m threelane.sandbox": "runs until it is stopped; tests/sandbox starts it so",
    "python -m bench": "measures for minutes: make bench",
    "python -m tests.chaos": "kills for minutes: make chaos",
    "curl": "queries a server that the reader runs",
    "deploy/secrets.sh": "test_compose.py runs it",
    "docker": "needs a container engine",
    "kubectl": "needs a cluster",
    "kustomize": "needs a cluster",
    "buildah": "builds an image, for minutes",
    "apt-get": "changes the machine",
    "pip": "installs from a registry",
    "pip-audit": "queries the advisories of the day: needs the network",
    "rabbitmqctl": "changes a broker",
}
ENDS_OTHERWISE = {  # a command that does what it should with another exit code than 0
    "threelane erase 27831234567": (1, "a message of the reader's still waits to be sent"),
    "threelane account drain marketing": (2, "the reader's accounts file has this account"),
    "threelane account use marketing": (2, "as above"),
    "threelane windows holidays remove 2031-12-26 --country ZA": (6, "the reader's calendar replaced it"),
    "threelane producers key revoke k4f1c09a2b7e3": (6, "the reader's key has another id"),
    "threelane producers key rotate k4f1c09a2b7e3 --overlap 24": (6, "as above"),
}
ELSEWHERE = {
    "docs/api.md": ("bash", "python"),  # test_api_docs.py runs these, against an API
    "docs/adding-a-gateway.md": ("python",),  # test_adding_a_gateway.py writes the files that these are
}
NO_SUCH = {
    "threelane COMMAND --help",
    "threelane send ...",
    "threelane up, and in another terminal: threelane send ...",
}
TOML_FILES: dict[str, Callable[[Path], object]] = {
    "ranges": number_files.ranges,
    "numeric_only": number_files.numeric_countries,
}
"""The first key of a file in TOML -> what reads it; all others are files of the policy."""
CALENDAR = """\
BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//Example//EN
BEGIN:VEVENT
UID:1
DTSTAMP:20260101T000000Z
DTSTART;VALUE=DATE:20201226
RRULE:FREQ=YEARLY
SUMMARY:Day of Goodwill
END:VEVENT
END:VCALENDAR
"""
"""A calendar of public holidays, as the documents import it."""
PICTURES = ("text", "mermaid")  # nothing that can be run
DATA = ("json", "toml", "yaml", "nginx", "lua", "promql", "csv")


def reason(command: Command) -> str | None:
    """Return why a command is not run, or None."""
    typed = str(command)
    return next((why for name, why in NOT_RUN.items() if typed == name or typed.startswith(name + " ")), None)


ALL = [block for file in FILES for block in blocks(file)]
NAMES = {file: str(file.relative_to(ROOT)) for file in FILES}
BY_FILE = {
    file: [one for one in ALL if one.file == file and one.language not in ELSEWHERE.get(NAMES[file], ())]
    for file in FILES
}


def test_every_block_has_a_language() -> None:
    """One without a language would never be run: bash, console, python, json, toml; or text, mermaid: pictures."""
    assert [] == [str(block) for block in ALL if block.language not in (*SHELL, "python", *PICTURES, *DATA)]


class Reader:
    """A reader who types the commands of a document from its top."""

    def __init__(self, client: redis.Redis, url: str, sandbox: Running, folder: Path) -> None:
        self.client, self.url, self.sandbox, self.folder = client, url, sandbox, folder
        self.producer = Producer(ProducerSettings(redis_url=url, producer="shop"))
        (folder / "messages.csv").write_text("to,text\n+27831234567,Hello\n", encoding="utf-8")
        (folder / "za.ics").write_text(CALENDAR, encoding="utf-8", newline="\r\n")
        self.known = self.producer.send("27831234567", "Your code is 4711").id
        self.producer.send("27831234567", "20 % off", batch="spring-sale")
        self.environment = {
            "THREELANE_REDIS_URL": url,
            "THREELANE_GATEWAY_URL": sandbox.url,
            "THREELANE_CLICKATELL_API_ID": "sandbox",
            "THREELANE_CLICKATELL_USER": "sandbox",
            "THREELANE_CLICKATELL_PASSWORD": "sandbox",
            "THREELANE_CALLBACK_SECRET": "a1b2c3d4e5f60718",
        }

    def types(self, command: Command) -> None:
        assert command.words[0] == "threelane", f"{command}: run it here, or give the reason in NOT_RUN"
        typed = [self.known if re.fullmatch(r"[0-9a-f]{4}\.\.\.|<id>", word) else word for word in command.words[1:]]
        if ">" in typed:
            typed = typed[: typed.index(">")]
        result = CliRunner().invoke(app, typed, env=self.environment | command.settings)
        wanted, _ = ENDS_OTHERWISE.get(str(command), (0, ""))
        assert result.exit_code == wanted, (
            f"{command}: exit code {result.exit_code}\n{result.output}\n{result.exception!r}"
        )

    def runs(self, block: Block) -> None:
        names: dict[str, Any] = {name: getattr(library, name) for name in library.__all__}
        exec(compile(block.text, str(block), "exec"), {**names, "producer": self.producer})

    def reads(self, block: Block) -> None:
        file = self.folder / f"read.{block.language}"
        file.write_text(block.text, encoding="utf-8")
        if block.language == "toml":
            read = TOML_FILES.get(next(iter(tomllib.loads(block.text))), overrides.check)
            read(file)
        elif block.language == "json":
            reported = json.loads(block.text)
            if {"stop", "start"} & set(next((one for one in reported.values() if isinstance(one, dict)), {})):
                words.load(file)


@pytest.fixture
def reader(
    client: redis.Redis,
    redis_server: RedisServer,
    sandbox: Running,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Reader]:
    """A reader in a folder of their own; a loop over events ends when there are none."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("THREELANE_REDIS_URL", redis_server.url)
    monkeypatch.setitem(EventReader.__init__.__kwdefaults__, "block_seconds", 0.1)
    made = Reader(client, redis_server.url, sandbox, tmp_path)
    yield made
    made.producer.close()


@pytest.mark.parametrize("file", [file for file in FILES if BY_FILE[file]], ids=lambda file: NAMES[file])
def test_the_commands_of_a_document_work(reader: Reader, file: Path) -> None:
    """From its top to its end, as a reader would."""
    for block in BY_FILE[file]:
        if block.language in SHELL:
            for command in commands(block):
                if not reason(command):
                    reader.types(command)
        elif block.language == "python":
            reader.runs(block)
        elif block.language in DATA:
            reader.reads(block)


@pytest.mark.parametrize("file", FILES, ids=lambda file: NAMES[file])
def test_a_command_that_is_named_in_passing_is_there(file: Path) -> None:
    """With all the options that are named with it; it is not run."""
    group = whole_line()
    for span in spans(file):
        if not span.startswith("threelane ") or span in NO_SUCH:
            continue
        assert "" == misnamed(group, span.split()[1:]), f"{NAMES[file]}: `{span}`"


def misnamed(group: Any, typed: list[str]) -> str:
    """Return the first word of a command that does not exist."""
    at, words = group, [word for word in typed if word not in ("|", "...")]
    while hasattr(at, "commands") and words and not words[0].startswith("-"):
        found = at.commands.get(words[0])
        if found is None:
            return words[0]
        at, words = found, words[1:]
    options = {opt for parameter in at.params for opt in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}
    return next((word for word in words if word.startswith("--") and word.split("=")[0] not in options), "")


def test_a_command_that_is_not_there_would_be_found() -> None:
    """The rule itself."""
    group = whole_line()
    assert "" == misnamed(group, ["suppress", "why", "27831234567", "--json"])
    assert "forget" == misnamed(group, ["suppress", "forget", "27831234567"])
    assert "--jsonl" == misnamed(group, ["status", "0f3c", "--jsonl"])


@pytest.mark.parametrize("file", FILES, ids=lambda file: NAMES[file])
def test_a_target_and_a_module_that_is_named_is_there(file: Path) -> None:
    """``make bench``, ``python -m threelane.operations.catalogue``."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    typed = [str(one) for block in BY_FILE[file] if block.language in SHELL for one in commands(block)]
    for text in [*spans(file), *typed]:
        if target := re.match(r"make ([a-z-]+)", text):
            assert target[1] in targets, f"{NAMES[file]}: {text}"
        if module := re.match(r"python -m ([a-z_.]+)", text):
            assert importlib.util.find_spec(module[1]), f"{NAMES[file]}: {text}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: NAMES[file])
def test_a_link_leads_somewhere(file: Path) -> None:
    """To a file that there is, and to a heading of it."""
    for target in re.findall(r"\]\(([^)#:\s]*(?:#[^)\s]+)?)\)", file.read_text(encoding="utf-8")):
        path, _, heading = target.partition("#")
        leads = (file.parent / path).resolve() if path else file
        assert leads.exists(), f"{NAMES[file]}: {target}"
        if heading:
            titles = re.findall(r"^#+ (.+)$", leads.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
            assert heading in slugs, f"{NAMES[file]}: {target}"


def test_every_reason_is_needed_or_could_be() -> None:
    """No command that could be run has a reason not to: each names a process, a tool of others or a target."""
    ours = [name for name in NOT_RUN if name.startswith("threelane ")]
    group = whole_line()
    assert [] == [name for name in ours if misnamed(group, name.split()[1:])]
