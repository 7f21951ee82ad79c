"""A caller does not pay for what only workers need."""

from __future__ import annotations

import json
import subprocess
import sys

import threelane


def test_a_caller_imports_no_worker_and_no_heavy_library() -> None:
    """A web application that sends a login code should not load Celery until the first nudge."""
    loaded = "import json, sys, threelane; print(json.dumps(sorted(sys.modules)))"
    completed = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    packages = {name.split(".")[0] for name in json.loads(completed.stdout)}

    assert set() == packages & {
        "aiohttp", "celery", "fastapi", "jinja2", "kombu", "prometheus_client", "rich", "starlette", "typer", "uvicorn",
        "yarl",
    }  # fmt: skip


def test_a_command_waits_for_no_library_that_only_a_process_needs() -> None:
    """Each is loaded by the command that needs it: a command line that thinks for a second is one too slow."""
    loaded = "import json, sys, threelane.interfaces.command.line; print(json.dumps(sorted(sys.modules)))"
    completed = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    packages = {name.split(".")[0] for name in json.loads(completed.stdout)}

    assert set() == packages & {"celery", "kombu", "aiohttp", "prometheus_client", "sandbox"}


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
