"""A caller does not pay for what only workers need."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import threelane


def imported_by(*words: str) -> set[str]:
    """Return the modules that a new process has imported when ``threelane`` ends."""
    lines = (
        "import atexit, json, sys",
        "atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr))",
        f"sys.argv = ['threelane', *{words!r}]",
        "from threelane.__main__ import main",
        "main()",
    )
    environment = os.environ | {"THREELANE_REDIS_URL": "redis://127.0.0.1:9/0"}  # nothing listens there
    ended = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, env=environment)
    return set(json.loads(ended.stderr.splitlines()[-1]))


def test_a_caller_imports_no_worker_and_no_heavy_library() -> None:
    """A web application that sends a login code should not load Celery until the first nudge."""
    loaded = "import json, sys; from threelane import Producer; print(json.dumps(sorted(sys.modules)))"
    completed = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    packages = {name.split(".")[0] for name in json.loads(completed.stdout)}

    assert set() == packages & {
        "aiohttp", "celery", "fastapi", "jinja2", "kombu", "prometheus_client", "rich", "starlette", "typer", "uvicorn",
        "yarl",
    }  # fmt: skip


def test_a_command_waits_for_no_library_that_only_a_process_needs() -> None:
    """Commands and libraries are imported by the command that needs them: each import is CPU of every command."""
    modules = imported_by("status", "0" * 32)

    assert {"redis", "rich.table", "threelane.interfaces.command.status"} <= modules
    assert set() == {name.split(".")[0] for name in modules} & {
        "aiohttp", "celery", "fastapi", "icalendar", "jinja2", "kombu", "openpyxl", "prometheus_client",
        "starlette", "tenacity", "uvicorn", "yarl",
    }  # fmt: skip
    assert set() == {name for name in modules if name.startswith("phonenumbers.data.region_")}
    assert set() == modules & {"rich.live", "rich.markdown", "rich.progress", "rich.traceback", "typer.rich_utils"}
    assert set() == {name for name in modules if name.startswith(("threelane.worker", "threelane.operations"))}
    assert set() == modules & {
        "threelane.library", "threelane.producer.client", "threelane.producer.accept", "threelane.store.scripts",
        "threelane.interfaces.command.bulk", "threelane.interfaces.command.check", "threelane.interfaces.command.send",
    }  # fmt: skip


def test_the_help_imports_no_command() -> None:
    """It lists the registry: neither Redis nor settings are needed to read it or to complete a word."""
    modules = imported_by("--help")

    assert "typer.rich_utils" in modules
    assert set() == {name.split(".")[0] for name in modules} & {"phonenumbers", "pydantic_settings", "redis"}


def test_the_version_imports_nothing_of_the_command_line() -> None:
    """It is printed before a library is imported, whatever is installed."""
    modules = imported_by("--version")

    assert {"threelane", "threelane.__main__", "threelane.runtime", "threelane.runtime.version"} == {
        name for name in modules if name.startswith("threelane")
    }
    assert set() == {name.split(".")[0] for name in modules} & {"msgspec", "pydantic", "redis", "rich", "typer"}


def test_a_client_of_the_http_api_loads_no_server() -> None:
    """A service that sends over HTTP needs neither the framework nor, for threads, asyncio's client."""
    loaded = "import json, sys, threelane.producer.http.client; print(json.dumps(sorted(sys.modules)))"
    completed = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    packages = {name.split(".")[0] for name in json.loads(completed.stdout)}

    assert set() == packages & {"fastapi", "starlette", "uvicorn", "aiohttp", "yarl", "celery", "kombu"}


def test_a_client_of_the_http_api_names_the_extra_that_it_needs() -> None:
    """The threaded one needs none; the other's error names what to install."""
    made = (
        "import sys; sys.modules['aiohttp'] = sys.modules['yarl'] = None; import threelane;"
        "threelane.HttpProducer('http://127.0.0.1:9', 'key').close();"
        "threelane.AsyncHttpProducer('http://127.0.0.1:9', 'key')"
    )
    completed = subprocess.run([sys.executable, "-c", made], capture_output=True, text=True)

    assert (
        "ImportError: AsyncHttpProducer needs aiohttp: pip install 'threelane[http]'"
        == completed.stderr.splitlines()[-1]
    )


def test_everything_that_is_promised_can_be_imported() -> None:
    """``from threelane import ...`` gives each name of ``__all__``."""
    assert [] == [name for name in threelane.__all__ if not hasattr(threelane, name)]


def test_the_http_api_needs_no_package_that_only_workers_have() -> None:
    """`threelane[api]` lacks aiohttp and Celery: requests to the gateway are made by workers."""
    absent = "import sys; sys.modules.update(dict.fromkeys(('aiohttp', 'celery', 'kombu', 'yarl')));"
    completed = subprocess.run(
        [sys.executable, "-c", f"{absent} import threelane.interfaces.web.app"], capture_output=True, text=True
    )
    assert (0, "") == (completed.returncode, completed.stderr)
