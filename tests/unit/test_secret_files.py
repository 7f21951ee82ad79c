"""Secrets by file, as containers get them; an error names the problem, and never the content."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.test_worker_settings import KINDS
from threelane import InvalidSettings
from threelane.runtime.secret_files import open_to_others, read_all, secret_fields
from threelane.runtime.settings import Settings, load
from threelane.worker.process.settings import CallbackSettings, WorkerSettings

URL = "redis://threelane:hunter2@redis:6379/0"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "redis_url"
    made.write_text(URL + "\n")
    made.chmod(0o440)
    return made


def _error_for(monkeypatch: pytest.MonkeyPatch, path: object) -> str:
    monkeypatch.setenv("THREELANE_REDIS_URL_FILE", str(path))
    with pytest.raises(InvalidSettings) as raised:
        load(Settings)
    assert "hunter2" not in str(raised.value)
    return str(raised.value)


def test_a_secret_is_read_from_its_file_without_the_end_of_its_line(
    monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    """An editor ends the line with a line feed."""
    monkeypatch.delenv("THREELANE_BROKER_URL", raising=False)  # of a broker that is under test
    monkeypatch.setenv("THREELANE_REDIS_URL_FILE", str(file))
    assert URL == load(Settings).redis_url.get_secret_value() == load(WorkerSettings).broker


@pytest.mark.parametrize("kind", KINDS, ids=lambda one: one.__name__)
def test_every_secret_may_stand_in_a_file(kind: type[Settings], tmp_path: Path) -> None:
    """Also those of later versions: the type marks them."""
    environment = {}
    for name in secret_fields(kind):
        (tmp_path / name).write_text(f"secret of {name}")
        environment[f"THREELANE_{name.upper()}_FILE"] = str(tmp_path / name)
    assert {"redis_url", "broker_url"} <= set(read_all(kind, environment))
    assert {name: f"secret of {name}" for name in secret_fields(kind)} == read_all(kind, environment)


def test_an_empty_variable_names_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """As compose files leave them."""
    monkeypatch.setenv("THREELANE_REDIS_URL_FILE", "")
    assert load(Settings).redis_url


def test_a_missing_file_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By variable, path and reason."""
    error = _error_for(monkeypatch, tmp_path / "none")
    assert f"THREELANE_REDIS_URL_FILE: {tmp_path}/none cannot be read (No such file or directory): mount it" in error


def test_an_invalid_secret_file_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, file: Path) -> None:
    """A folder, nothing, no text, several lines, far too much."""
    assert "Is a directory" in _error_for(monkeypatch, tmp_path)
    for content, problem in (
        (b"\n", "is empty"),
        (b" \n", "is empty"),
        (b"secret\nold secret\n", "has several lines: keep the secret alone, on one line"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"x" * 70_000, "more than 65536 octets"),
    ):
        file.chmod(0o640)
        file.write_bytes(content)
        assert problem in _error_for(monkeypatch, file)


def test_a_secret_given_twice_is_refused(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    """Nobody would know which of the two is in force."""
    monkeypatch.setenv("THREELANE_REDIS_URL", "redis://elsewhere:6379/0")
    assert "THREELANE_REDIS_URL is also set: set one" in _error_for(monkeypatch, file)


def test_a_secret_that_everybody_can_write_is_refused(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    """A user who can write the address of Redis gets all messages."""
    file.chmod(0o666)
    assert "every user can write" in _error_for(monkeypatch, file)


def test_one_that_everybody_can_read_is_named_and_no_reason_not_to_start(
    monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    """Kubernetes mounts secrets with this mode by default, and a container has no other users."""
    environment = {"THREELANE_REDIS_URL_FILE": str(file)}
    assert [] == list(open_to_others(Settings, environment))
    file.chmod(0o444)
    assert [("THREELANE_REDIS_URL_FILE", str(file))] == list(open_to_others(Settings, environment))
    monkeypatch.setenv("THREELANE_REDIS_URL_FILE", str(file))
    assert load(Settings).redis_url


def test_the_callback_secret_is_checked_wherever_it_comes_from(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    """A short one guards nothing."""
    file.chmod(0o640)
    file.write_text("hunter2")
    monkeypatch.setenv("THREELANE_CALLBACK_SECRET_FILE", str(file))
    with pytest.raises(InvalidSettings, match="THREELANE_CALLBACK_SECRET must be"):
        load(CallbackSettings)


def test_a_certificate_and_its_key_go_together(file: Path, tmp_path: Path) -> None:
    """One without the other is an oversight; a missing CA is reported at the start, not at the first call."""
    with pytest.raises(InvalidSettings, match="THREELANE_REDIS_KEY_FILE, or neither"):
        load(Settings, redis_certificate_file=file)
    with pytest.raises(InvalidSettings, match=r"THREELANE_REDIS_CA_FILE: .* cannot be read"):
        load(Settings, redis_ca_file=tmp_path / "none.pem")
