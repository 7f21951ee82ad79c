"""Accounts: writes an accounts file, and a file for each secret of it beside it; and the accounts of sandboxes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from threelane.contract import gateways
from threelane.runtime.account_keys import account_keys
from threelane.worker.process.settings import CallbackSettings, WorkerSettings

NAME = "accounts.toml"


def at_sandbox(url: str, gateway: str = "http", **settings: Any) -> dict[str, Any]:
    """Return the settings of an account at a sandbox."""
    credentials = {one.name: "sandbox" for one in gateways.named(gateway).credentials}
    return {"gateway": gateway, "gateway_url": url, **credentials, **settings}


class AccountAtSandbox(NamedTuple):
    """An account of a stack: its settings besides those of its sandbox, and the options of that sandbox."""

    settings: Mapping[str, Any] = {}
    sandbox: Mapping[str, str] = {}


def write(folder: Path, accounts: Mapping[str, Mapping[str, Any]], default: str = "", routes: str = "") -> Path:
    """Write the file and return its path; ``accounts`` has the settings of each, ``routes`` is TOML."""
    keys, lines = (
        account_keys((WorkerSettings, CallbackSettings)),
        [f"default = {json.dumps(default)}"] if default else [],
    )
    for name, settings in accounts.items():
        lines.append(f"[accounts.{name}]")
        for setting, value in settings.items():
            key = keys[setting]
            shown = _secret(folder / f"{name}_{setting}", value) if key.is_secret else value
            lines.append(f"{key.name} = {json.dumps(shown)}")
    path = folder / NAME
    path.write_text("\n".join([*lines, routes]) + "\n", encoding="utf-8")
    path.chmod(0o600)
    return path


def _secret(path: Path, value: str) -> str:
    """Write a secret that only this user can read; returns the name of its file."""
    path.unlink(missing_ok=True)
    path.touch(0o600)
    path.write_text(value, encoding="utf-8")
    return path.name
