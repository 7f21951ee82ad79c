"""docs/adding-a-gateway.md, followed to the letter: one folder more, no other file touched, and messages go through."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.documents import ROOT, blocks
from tests.integration.test_demo import OPTED_OUT, messages
from tests.layout import FOLDERS
from tests.servers import RedisServer, wait_until
from threelane.demo.child import Child

PAGE = ROOT / "docs" / "adding-a-gateway.md"
FILE = re.compile(r"# (gateways/example/\w+\.py)\n")
SECRET = "a1b2c3d4e5f60718293a4b5c6d7e8f90"


class Product:
    """A copy of the product, in which a gateway is added; its commands run from there."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.tree, self.folder = folder / "tree", folder
        for name in (*FOLDERS, "threelane"):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, self.tree / name, symlinks=True, ignore=ignored)
        clean = {name: value for name, value in os.environ.items() if not name.startswith("THREELANE_")}
        self.environment = clean | {"PYTHONPATH": str(self.tree)} | environment

    def add(self, folder: str, files: dict[str, str]) -> None:
        """Add the folder of a gateway."""
        (self.tree / "gateways" / folder).mkdir()
        for name, text in files.items():
            (self.tree / "gateways" / folder / name).write_text(text, encoding="utf-8")

    def run(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "threelane", *words],
            cwd=self.folder,
            env=self.environment | more,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    def prints(self, *words: str) -> Any:
        """Return the JSON that a command prints."""
        ended = self.run(*words, "--json")
        assert 0 == ended.returncode, ended.stdout + ended.stderr
        return json.loads(ended.stdout)

    @contextmanager
    def running(self, command: str, *words: str, **more: str) -> Iterator[Child]:
        line = [sys.executable, "-P", "-m", "threelane", command, *words]  # not from the folder of the tests
        child = Child(command, line, self.folder / f"{command}.log", self.environment | more)
        try:
            yield child
        finally:
            child.stop()


@pytest.fixture
def product(client: redis.Redis, redis_server: RedisServer, tmp_path: Path) -> Product:
    """The product on an empty Redis."""
    assert client.ping()
    return Product(
        tmp_path,
        {
            "THREELANE_REDIS_URL": redis_server.url,
            "THREELANE_CALLBACK_SECRET": SECRET,
            "THREELANE_CALLBACKS_PORT": "0",
            "THREELANE_METRICS_PORT": "0",
            "THREELANE_API_PORT": "0",
            "COLUMNS": "200",
        },
    )


@pytest.fixture
def example(product: Product) -> Product:
    """The product with the gateway of the page, and its account in the settings."""
    found = {name[1]: block.text[name.end() :] for block in blocks(PAGE) if (name := FILE.match(block.text))}
    product.add("example", {Path(name).name: text for name, text in found.items()})
    product.environment |= {"THREELANE_GATEWAY": "example", "THREELANE_EXAMPLE_KEY": "sandbox"}
    return product


def test_the_page_has_every_file_that_it_lists() -> None:
    """And nothing else is to be written."""
    listed = re.findall(r"^\| `(\w+\.py)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert [f"gateways/example/{name}" for name in listed] == [
        name[1] for block in blocks(PAGE) if (name := FILE.match(block.text))
    ]


@pytest.mark.slow
def test_a_gateway_that_the_page_adds_sends_and_receives_receipts(example: Product) -> None:
    """By a worker, a callback endpoint and its double: a receipt with its charge, and a refusal by its own code."""
    with example.running("sandbox", "--port", "0") as sandbox, example.running("callbacks") as endpoint:
        address = endpoint.event("callbacks")["url"].replace("<secret>", SECRET)
        url = sandbox.event("listening")["url"]
        _post(f"{url}/sandbox/settings", {"callback_url": address})
        with example.running("worker", THREELANE_GATEWAY_URL=url) as worker:
            worker.event("started")
            sent = example.prints("send", "27831234567", "Hello")["id"]
            refused = example.prints("send", OPTED_OUT, "Not wanted")["id"]
            ends = [_end(example, sent), _end(example, refused)]
    assert [("delivered", "delivered", 800_000, ""), ("dead", "", 0, "31")] == [
        (end["status"], end["network_status"], end["charge_millionths"], end["code"]) for end in ends
    ]
    assert "by the key of example" in worker.log.read_text(encoding="utf-8")
    assert "callback_refused" not in endpoint.log.read_text(encoding="utf-8")


@pytest.mark.slow
def test_its_credential_is_a_setting_like_any_other(example: Product, tmp_path: Path) -> None:
    """With a file in its place, and a line of check when it is missing."""
    known = "THREELANE_EXAMPLE_KEY is not set"
    assert known not in example.run("check").stdout
    del example.environment["THREELANE_EXAMPLE_KEY"]
    assert known in example.run("check").stdout
    file = tmp_path / "key"
    file.write_text("sandbox\n", encoding="utf-8")
    assert known not in example.run("check", THREELANE_EXAMPLE_KEY_FILE=str(file)).stdout


@pytest.mark.slow
def test_an_undeclared_feature_is_refused_at_accept(example: Product) -> None:
    """And what it declares is shown beside the other APIs."""
    ended = example.run("send", "27831234567", "Hello", "--field", "type=flash")
    assert 1 == ended.returncode
    assert "the API of this account (example) has no flash" in " ".join((ended.stdout + ended.stderr).split())
    row = example.prints("features")["client_message_id"]
    assert ("reference", "climsgid") == (row["example"], row["http"])


@pytest.mark.slow
def test_the_demo_runs_on_it(example: Product) -> None:
    """The main job, with lost answers, retries and a refusal: three ledgers agree."""
    for name in ("THREELANE_REDIS_URL", "THREELANE_GATEWAY", "THREELANE_EXAMPLE_KEY"):
        del example.environment[name]
    file = str(messages(example.folder))
    ended = example.run("demo", "--gateway", "example", "--messages", file, "--json", "summary.json")
    assert (0, "") == (ended.returncode, ended.stderr), ended.stdout
    summary = json.loads((example.folder / "summary.json").read_text(encoding="utf-8"))
    assert [] == summary["breaches"]
    assert ({"dead": 1, "delivered": 59}, {"31": 1}) == (summary["by_status"], summary["dead_by_code"])
    assert ("48", "48.000") == (summary["credits_in_records"], summary["credits_at_sandbox"])


HEAD = "from threelane.contract.gateways import Declaration\n"
SOUND = (
    "GATEWAY = Declaration(name='broken', title='B', address='http://b', family='broken', "
    "parameters={'to': 'to', 'text': 'text'}, "
)
STARTS = ("send 27831234567 Hello", "worker", "callbacks", "exporter", "webhooks", "api", "demo", "check")


@pytest.mark.parametrize("command", STARTS)
@pytest.mark.slow
def test_a_folder_without_its_declaration_ends_every_process_with_one_sentence(product: Product, command: str) -> None:
    """Exit code 2 and no traceback: an incomplete gateway is refused without guessing."""
    product.add("broken", {"__init__.py": '"""Nothing yet."""\n'})
    ended = product.run(*command.split())
    assert 2 == ended.returncode, ended.stdout + ended.stderr
    assert "gateways/broken: its __init__.py has no GATEWAY" in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr


@pytest.mark.parametrize("command", ["worker", "callbacks", "exporter", "check"])
@pytest.mark.slow
def test_a_table_of_codes_that_is_not_there_ends_what_uses_it_with_one_sentence(product: Product, command: str) -> None:
    """Every process that needs the meaning of codes ends before it does anything."""
    parts = "sender='threelane.gateways.http.gateway:create', codes='threelane.gateways.broken.codes:CODES')\n"
    product.add("broken", {"__init__.py": HEAD + SOUND + parts})
    ended = product.run(command)
    assert 2 == ended.returncode, ended.stdout + ended.stderr
    sentence = "gateway broken: its codes, threelane.gateways.broken.codes:CODES, cannot be loaded: ModuleNotFoundError"
    assert sentence in " ".join((ended.stdout + ended.stderr).split())
    assert "Traceback" not in ended.stdout + ended.stderr


@pytest.mark.slow
def test_a_sender_of_another_name_ends_the_worker_with_one_sentence(example: Product) -> None:
    """As after copying a folder: metrics and codes would be those of the wrong gateway."""
    file = example.tree / "gateways" / "example" / "gateway.py"
    file.write_text(file.read_text(encoding="utf-8").replace('name = "example"', 'name = "http"'), encoding="utf-8")
    ended = example.run("worker")
    assert 2 == ended.returncode, ended.stdout + ended.stderr
    assert "threelane: gateway example: its sender has the name http" in ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr


@pytest.mark.parametrize("command", ["worker", "check"])
@pytest.mark.parametrize(
    ("create", "sentence"),
    [
        ("def create(): ...", "cannot create the gateway: TypeError"),
        ("def create(settings, client): ...", "returned a NoneType, not a gateway"),
        ("def create(settings, client): return 1 / 0", "cannot create the gateway: ZeroDivisionError"),
        ("def create(settings, client): raise SystemExit(0)", "cannot create the gateway: SystemExit: 0"),
    ],
)
@pytest.mark.slow
def test_a_sender_that_creates_no_gateway_ends_the_worker_with_one_sentence(
    example: Product, command: str, create: str, sentence: str
) -> None:
    """Exit code 2: no later attempt would succeed."""
    (example.tree / "gateways" / "example" / "gateway.py").write_text(create + "\n", encoding="utf-8")
    ended = example.run(command)
    assert 2 == ended.returncode, ended.stdout + ended.stderr
    assert f"gateway example: its sender {sentence}" in " ".join((ended.stdout + ended.stderr).split())
    assert "Traceback" not in ended.stdout + ended.stderr


@pytest.mark.parametrize("command", ["send 27831234567 Hello", "worker", "check"])
@pytest.mark.slow
def test_a_folder_that_exits_at_import_ends_every_process_with_one_sentence(product: Product, command: str) -> None:
    """Not silently, with the code of the folder."""
    product.add("broken", {"__init__.py": "import sys\nsys.exit(0)\n"})
    ended = product.run(*command.split())
    assert 2 == ended.returncode, ended.stdout + ended.stderr
    assert "gateways/broken: its __init__.py cannot be loaded: SystemExit: 0" in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr


def _end(product: Product, message_id: str) -> Any:
    def at_rest() -> Any:
        found = product.prints("status", message_id)
        return found if found["status"] in ("delivered", "dead") else None

    return wait_until(at_rest)


def _post(url: str, body: dict[str, str]) -> None:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=10).close()
