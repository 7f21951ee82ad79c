"""Variables: a name that nothing reads is found; names of other tools are left alone."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.layout import FOLDERS, ROOT
from tests.slow import also_slow
from threelane.operations.configuration import register
from threelane.runtime import variables
from threelane.runtime.variables import READ_ELSEWHERE, Unknown, unknown
from threelane.sandbox.settings import SandboxSettings

PROCESSES = {
    "worker": "threelane.worker.upkeep.engine",
    "callbacks": "threelane.interfaces.callbacks.serve",
    "webhooks": "threelane.worker.webhooks.dispatcher",
    "api": "threelane.interfaces.web.serve",
    "exporter": "threelane.operations.exporter",
}
READ_BY_OTHERS = re.compile(
    r"\$\{?(THREELANE_\w+)|environ(?:\.get\(|\[)\"(THREELANE_\w+)\"|^\s+(THREELANE_\w+)[:=]", re.M
)
MISSPELT = {
    "THREELANE_PARTS_PER_SECONDS": "THREELANE_PARTS_PER_SECOND",
    "THREELANE_REDIS_URI": "THREELANE_REDIS_URL",
    "THREELANE_WEBHOOKS_TIMEOUT_SECONDS": "THREELANE_WEBHOOK_TIMEOUT_SECONDS",
    "THREELANE_CALLBACK_SECRET_FIEL": "THREELANE_CALLBACK_SECRET_FILE",
    "THREELANE_COST_CENTER": "THREELANE_COST_CENTRE",
    "threelane_lease_second": "THREELANE_LEASE_SECONDS",
    "THREELANE_QQQQ": "",
}


def of_the_repository() -> Iterator[str]:
    """Yield the variables that files outside of the product set or read."""
    files = [ROOT / name for name in ("compose.yaml", "compose.portal.yaml", "Makefile", ".ci/run")]
    for folder in ("tests", "deploy", "bench"):
        files += [one for one in (ROOT / folder).rglob("*") if one.suffix in (".py", ".yaml", ".yml", ".sh", ".env")]
    for file in files:
        for found in READ_BY_OTHERS.finditer(file.read_text(encoding="utf-8")):
            yield next(name for name in found.groups() if name)


@pytest.mark.parametrize(("name", "nearest"), MISSPELT.items())
def test_a_misspelt_name_is_found_with_the_nearest_one(name: str, nearest: str) -> None:
    """It would be without effect, and the default in force."""
    register()
    assert [Unknown(name, nearest)] == list(unknown({name: "7", "PATH": "/bin"}))


def test_each_setting_and_each_file_of_a_secret_is_known() -> None:
    """Whatever the document lists may be set."""
    valid = {name for kind in register() for name in variables.names(kind)}
    valid |= {"THREELANE_REDIS_URL_FILE", "THREELANE_CALLBACK_SECRET_FILE", "THREELANE_CLICKATELL_PASSWORD_FILE"}
    assert [] == list(unknown(dict.fromkeys(valid, "1")))


def test_only_a_secret_may_stand_in_a_file() -> None:
    """Nothing would read another one's."""
    assert ["THREELANE_PARTS_PER_SECOND_FILE"] == [one.name for one in unknown({"THREELANE_PARTS_PER_SECOND_FILE": ""})]


def test_a_variable_of_another_tool_is_not_a_misspelt_setting() -> None:
    """The tests, compose.yaml, Grafana, and what Kubernetes sets for a Service."""
    register()
    found = set(of_the_repository())
    assert {"THREELANE_TEST_BROKER", "THREELANE_IMAGE", "THREELANE_EXAMPLES"} <= found
    assert [] == list(unknown(dict.fromkeys(found, "1")))


def test_names_of_the_sandbox_are_judged_only_where_its_settings_are_known() -> None:
    """A process does not know them; the command line does."""
    given = {"THREELANE_SANDBOX_PRICE": "", "THREELANE_SANDBOX_PRIZE": ""}
    assert [] == list(unknown(given))
    assert [Unknown("THREELANE_SANDBOX_PRIZE", "THREELANE_SANDBOX_PRICE")] == list(unknown(given, [SandboxSettings]))


@pytest.mark.parametrize("process", ["worker", "api", *also_slow("callbacks", "webhooks", "exporter")])
def test_each_process_knows_every_setting_when_it_warns(process: str) -> None:
    """Processes share one file of variables: a worker must not warn of what the webhooks read."""
    script = (
        f"import importlib, json\nimportlib.import_module({PROCESSES[process]!r})\n"
        "from threelane.runtime.settings import REGISTER\nprint(json.dumps([one.__name__ for one in REGISTER]))"
    )
    completed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert sorted(one.__name__ for one in register()) == sorted(json.loads(completed.stdout))


def test_each_process_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each configures its log, and then looks at the names."""
    files = [file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py")]
    texts = {file: file.read_text(encoding="utf-8") for file in files}
    configured = {file.name for file, text in texts.items() if "logs.configure(settings.log_level)" in text}
    assert configured == {file.name for file, text in texts.items() if "variables.warn()" in text}


def test_every_variable_that_is_read_elsewhere_has_its_reason() -> None:
    """A pattern is a hole in the check: it needs its reason."""
    assert all(READ_ELSEWHERE.values())
