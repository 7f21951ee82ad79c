"""The accounts whose callbacks an endpoint serves: those that have a secret path on its host."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from threelane.demo import accounts
from threelane.runtime import logs
from threelane.runtime.settings import load_or_exit
from threelane.worker.process.accounts import callback_accounts_or_exit
from threelane.worker.process.settings import CallbackSettings

OF_ENVIRONMENT, OF_ACME = "0123456789abcdef", "fedcba9876543210"
PORTAL = {"gateway": "one", "clickatell_api_key": "a-key-that-nobody-may-see"}


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder whose accounts file the environment names; the environment has no account and no secret path."""
    for name in [one for one in os.environ if one.startswith("THREELANE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("THREELANE_ACCOUNTS_FILE", str(tmp_path / accounts.NAME))
    return tmp_path


def served() -> dict[str, str]:
    """Return the secret path of each account that the endpoint serves, as a process does at its start."""
    found = callback_accounts_or_exit(load_or_exit(CallbackSettings))
    return {name: settings.callback_secret.get_secret_value() for name, settings in found.items()}


def ends(capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        served()
    assert 2 == ended.value.code
    return capsys.readouterr().err


def test_without_a_file_the_path_of_the_environment_is_required(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As before there could be several accounts."""
    monkeypatch.delenv("THREELANE_ACCOUNTS_FILE")
    assert "THREELANE_CALLBACK_SECRET must be at least 16 letters and digits" in ends(capsys)
    monkeypatch.setenv("THREELANE_CALLBACK_SECRET", OF_ENVIRONMENT)
    assert {"default": OF_ENVIRONMENT} == served()


def test_accounts_of_a_file_need_no_path_of_the_environment(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An account without one here may have its endpoint elsewhere, so that is logged; an invalid one is refused."""
    logs.configure("INFO")
    accounts.write(folder, {"acme": PORTAL | {"callback_secret": OF_ACME}, "bank": PORTAL}, default="acme")
    (folder / "bank_clickatell_api_key").write_text("another-key")
    capsys.readouterr()
    assert {"acme": OF_ACME} == served()
    (line,) = capsys.readouterr().err.splitlines()
    assert ("accounts_without_callbacks", "bank") == tuple(json.loads(line)[one] for one in ("event", "accounts"))
    monkeypatch.setenv("THREELANE_CALLBACK_SECRET", OF_ENVIRONMENT)
    assert {"default": OF_ENVIRONMENT, "acme": OF_ACME} == served()
    monkeypatch.setenv("THREELANE_CALLBACK_SECRET", OF_ACME)
    assert "it has the secret of the environment" in ends(capsys)


def test_an_endpoint_of_no_account_ends_with_a_sentence(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It would answer 404 to every callback."""
    accounts.write(folder, {"acme": PORTAL}, default="acme")
    expected = f"threelane: THREELANE_CALLBACK_SECRET: no account of {folder / accounts.NAME} has a "
    expected += "callback_secret_file on this host, and it is not set; give one of them\n"
    assert expected == ends(capsys).splitlines(keepends=True)[-1]
