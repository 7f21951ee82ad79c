"""docs/configuration.md matches the settings classes, and secrets are typed as secrets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.layout import FOLDERS
from threelane.operations import configuration
from threelane.operations.configuration import register, variable
from threelane.runtime.settings import Settings, load
from threelane.worker.process.settings import AccountSettings

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "configuration.md"
HIDDEN = "hunter2-and-some-more"
SECRET = re.compile(r"password|secret|token|api_key|redis_url|broker_url")
CLASS = re.compile(r"^class (\w+)\([^)]*(?<!Base)Settings\b[^)]*\):", re.MULTILINE)  # all but the first of each program


def test_the_document_is_that_of_the_classes(capsys: pytest.CaptureFixture[str]) -> None:
    """It is generated; ``python -m threelane.operations.configuration > docs/configuration.md`` writes it again."""
    configuration.main()
    assert capsys.readouterr().out == DOCUMENT.read_text(encoding="utf-8")


def test_every_class_of_settings_is_registered() -> None:
    """So it is checked, and in the document: a module that declares one is imported."""
    files = [file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py")]
    there_are = {name for file in files for name in CLASS.findall(file.read_text(encoding="utf-8"))}
    made = {"CredentialSettings"}  # from what gateways declare
    assert there_are == {kind.__name__ for kind in register()} - {"Settings"} - made


@pytest.mark.parametrize("kind", register(), ids=lambda kind: kind.__name__)
def test_each_setting_has_a_description_and_is_on_the_page(kind: type[Settings]) -> None:
    """Also those that a class has from another."""
    text = DOCUMENT.read_text(encoding="utf-8")
    for name, field in kind.model_fields.items():
        assert field.description, name
        assert f"`{variable(name)}`" in text


@pytest.mark.parametrize("kind", register(), ids=lambda kind: kind.__name__)
def test_a_secret_is_typed_as_a_secret_and_shown_nowhere(kind: type[Settings]) -> None:
    """By repr, by str, and by what a traceback would print."""
    secrets = [name for name in kind.model_fields if SECRET.search(name)]
    for name in secrets:
        assert SecretStr in configuration._kinds(kind.model_fields[name].annotation), name
    given = {name: f"redis://:{HIDDEN}@redis/0" if name.endswith("_url") else HIDDEN for name in secrets}
    if "callback_user" in kind.model_fields:
        protecting = dict.fromkeys(("callback_secret", "callback_secret_previous"), HIDDEN.replace("-", ""))
        given |= {"callback_user": "us"} | protecting
    settings = load(kind, **given)
    for shown in (repr(settings), str(settings), f"{settings.model_dump()}", settings.model_dump_json()):
        assert HIDDEN not in shown
        assert HIDDEN.replace("-", "") not in shown


def test_a_portal_key_given_as_the_api_id_is_in_no_log() -> None:
    """The first line of a worker names the account; an id is short, a key is not."""
    key = "bXkta2V5LWlzLW15LWNhc3RsZQ=="
    settings = load(AccountSettings, clickatell_api_id=key, clickatell_user="us")
    assert "us/bXkt..." == settings.login
    assert key not in repr(settings)
    assert "us/3428561" == load(AccountSettings, clickatell_api_id="3428561", clickatell_user="us").login
