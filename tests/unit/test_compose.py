"""compose.yaml and the Dockerfile are checked without a container engine, as far as that is possible."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from deploy.redis_users import USERS
from threelane.contract import gateways
from threelane.runtime.account_keys import account_keys
from threelane.runtime.secret_files import secret_fields, variable
from threelane.runtime.settings import ApiSettings, Settings, load
from threelane.worker.process.accounts import read_accounts
from threelane.worker.process.settings import CallbackSettings, WebhookSettings, WorkerSettings

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = {name: one for name, one in SERVICES.items() if "build" in one}
BIN = Path(sys.executable).parent


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(BIN / words[0]), *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False)


def test_compose_matches_its_schema() -> None:
    """The schema of the Compose specification, as check-jsonschema ships it."""
    files = ("compose.yaml", "compose.portal.yaml", "compose.accounts.yaml")
    completed = _run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", *files)
    assert 0 == completed.returncode, completed.stdout


@pytest.mark.parametrize("api", ["one", "platform"])
def test_an_account_of_the_portal_needs_one_more_file(api: str, create_secrets: Callable[..., dict[str, str]]) -> None:
    """Every worker reads each credential of its API from a secret, and no other service has one."""
    more = yaml.safe_load((ROOT / "compose.portal.yaml").read_text())
    assert {name for name in OURS if OURS[name]["command"][0] == "worker"} == set(more["services"])
    names = {one.name for one in gateways.named(api).credentials}
    for service in more["services"].values():
        assert {variable(one): f"/run/secrets/{one}" for one in names} == service["environment"]
        assert names == set(service["secrets"])
    assert names == set(more["secrets"])
    assert names.isdisjoint(create_secrets())
    assert {"clickatell_api_key": "k3y"}.items() <= create_secrets(CLICKATELL_API_KEY="k3y").items()


def test_a_second_account_has_a_worker_and_its_secrets_where_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The example file is valid; only its worker has the account's key, only the endpoint the secret of its path."""
    example, mounted = (ROOT / "deploy/accounts.example.toml").read_text(), tmp_path / "accounts.toml"
    mounted.write_text(example.replace("/run/secrets", str(tmp_path)))
    for name in [one for one in os.environ if one.startswith("THREELANE_")]:
        monkeypatch.delenv(name)
    found = read_accounts(load(WorkerSettings, accounts_file=mounted))
    assert {"default", "marketing"} == {*found.routing.accounts}
    more = yaml.safe_load((ROOT / "compose.accounts.yaml").read_text())
    keys, services = account_keys((WorkerSettings, CallbackSettings)), more["services"]
    named = tomllib.loads(example)["accounts"]["marketing"]
    of_callbacks = {key.name for key in account_keys((CallbackSettings,)).values()}
    paths = {name: Path(value).name for name, value in named.items() if name.endswith("_file")}
    assert {paths[name] for name in paths if name not in of_callbacks} == {*services["worker-marketing"]["secrets"]}
    assert {paths[name] for name in paths if name in of_callbacks} == {*services["callbacks"]["secrets"]}
    assert {*paths.values()} == {*more["secrets"]}
    assert {*paths} <= {key.name for key in keys.values() if key.is_secret}
    assert {"file": "compose.yaml", "service": "worker"} == services["worker-marketing"]["extends"]
    assert ["worker", "--account", "marketing"] == services["worker-marketing"]["command"]
    assert {"worker", "worker-lane-1", "callbacks", "operator"} == {*services} & {*SERVICES}
    for service in services.values():
        (config,) = service["configs"]
        assert {"THREELANE_ACCOUNTS_FILE": config["target"]} == service["environment"]


def test_the_dockerfile_is_clean() -> None:
    """By hadolint; each exception is beside its line."""
    completed = _run("hadolint", "deploy/Dockerfile")
    assert (0, "") == (completed.returncode, completed.stdout)


def test_the_build_context_has_every_source_and_no_secret() -> None:
    """.dockerignore lets in exactly the paths that the Dockerfile copies."""
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copies = [line.split()[1:-1] for line in (ROOT / "deploy/Dockerfile").read_text().splitlines() if "COPY" in line]
    copied = {one for words in copies for one in words if not one.startswith(("--", "/opt"))}
    assert copied == let_in
    assert all((ROOT / one).exists() for one in let_in)


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_held_short(name: str) -> None:
    """Read-only, without rights, with a ceiling of memory and an exact version."""
    service = SERVICES[name]
    assert service["read_only"] is True
    assert ["ALL"] == service["cap_drop"]
    assert ["no-new-privileges:true"] == service["security_opt"]
    assert service["mem_limit"]
    assert not service["image"].endswith((":latest", ":main"))
    assert ":" in service["image"].rpartition("/")[2]
    assert not service.get("privileged")


@pytest.mark.parametrize("name", OURS)
def test_every_process_runs_as_nobody_and_is_an_existing_command(name: str) -> None:
    """As the image's user."""
    from threelane.interfaces.command.registry import BY_NAME

    service = OURS[name]
    assert "10001:10001" == service["user"]
    assert service["command"][0] in BY_NAME


@pytest.mark.parametrize("name", OURS)
def test_a_process_gets_known_settings_and_its_secrets_as_files(name: str) -> None:
    """A variable that nobody reads is a mistake; docker inspect shows a secret in the environment."""
    kinds = (WorkerSettings, CallbackSettings, WebhookSettings, ApiSettings)
    known = {f"THREELANE_{one.upper()}" for kind in kinds for one in kind.model_fields}
    secret = {one for kind in kinds for one in secret_fields(kind)}
    variables: dict[str, str] = OURS[name].get("environment", {})
    assert set() == set(variables) - known - {variable(one) for one in secret}
    assert not {f"THREELANE_{one.upper()}" for one in secret} & set(variables)
    files = {value.removeprefix("/run/secrets/") for key, value in variables.items() if key.endswith("_FILE")}
    secrets = [
        one if isinstance(one, dict) else {"source": one, "target": one} for one in OURS[name].get("secrets", ())
    ]
    assert files == {one["target"] for one in secrets}
    assert {one["source"] for one in secrets} <= set(COMPOSE["secrets"])


def test_every_process_has_a_redis_user_of_its_own() -> None:
    """Whoever takes over one process has no more permissions than that process."""
    addresses = {
        name: one["source"] for name, service in OURS.items() for one in service.get("secrets", ()) if "target" in one
    }
    named = {name: f"redis_url_{name.removesuffix('-lane-1')}" for name in OURS if name != "sandbox"}
    assert named == addresses


def test_a_worker_has_time_to_end_its_calls() -> None:
    """Longer than a lease: what it has claimed is ended, or in doubt, before it is killed."""
    lease = Settings.model_fields and WorkerSettings.model_fields["lease_seconds"].default
    for name in ("worker", "worker-lane-1"):
        assert int(SERVICES[name]["stop_grace_period"].rstrip("s")) > lease


def test_prometheus_scrapes_every_process_that_has_metrics() -> None:
    """By the services' names and the processes' own ports."""
    targets = [yaml.safe_load(file.read_text()) for file in (ROOT / "deploy/prometheus/compose").glob("*.yml")]
    scraped = {target.split(":")[0] for one in targets for group in one for target in group["targets"]}
    assert {"worker", "worker-lane-1", "callbacks", "exporter", "webhooks"} == scraped
    assert scraped <= set(SERVICES)


@pytest.fixture
def create_secrets(tmp_path: Path) -> Callable[..., dict[str, str]]:
    """Returns a function that runs deploy/secrets.sh and returns all secrets."""

    def create(**credentials: str) -> dict[str, str]:
        run = [str(shutil.which("bash")), str(ROOT / "deploy/secrets.sh")]
        environment = {"SECRETS": str(tmp_path), "PATH": "/usr/bin:/bin", **credentials}
        subprocess.run(run, env=environment, check=True, capture_output=True)
        return {file.name: file.read_text() for file in tmp_path.iterdir()}

    return create


def test_secrets_are_made_once_and_fit_together(create_secrets: Callable[..., dict[str, str]]) -> None:
    """Each address has the password that the ACL has for its user; what is there already stays."""
    made = create_secrets()
    addresses = {name.removeprefix("redis_url_"): urlsplit(made[name]) for name in made if name.startswith("redis_url")}
    assert {one.name for one in USERS} == set(addresses)
    for user, address in addresses.items():
        assert user == address.username
        assert f"user {user} on >{address.password} " in made["redis_users"]
    assert len(USERS) == len({one.password for one in addresses.values()})
    assert "_PASSWORD" not in made["redis_users"]
    assert set(COMPOSE["secrets"]) <= set(made)
    assert made == create_secrets()


def test_secrets_of_an_earlier_version_stay_valid(
    create_secrets: Callable[..., dict[str, str]], tmp_path: Path
) -> None:
    """One user for all: every process gets its address, until the operator removes both files."""
    address = "redis://threelane:abc@redis:6379/0"
    (tmp_path / "redis_users").write_text("user threelane on >abc ~* +@all\n")
    (tmp_path / "redis_url").write_text(address)
    made = create_secrets()
    assert {address} == {text for name, text in made.items() if name.startswith("redis_url")}
    (tmp_path / "redis_users").unlink()
    made = create_secrets()
    assert address not in made.values()
    assert made["redis_users"].count("user ") == 1 + len(USERS)


@pytest.mark.parametrize("removed", ["redis_url_producer", "redis_users"])
def test_a_missing_address_or_acl_is_made_again_with_the_same_passwords(
    create_secrets: Callable[..., dict[str, str]], tmp_path: Path, removed: str
) -> None:
    """The address of producers goes to their hosts; new passwords for all would lock out every process."""
    made = create_secrets()
    (tmp_path / removed).unlink()
    assert made == create_secrets()


def test_a_user_that_a_later_version_adds_gets_its_own_line(
    create_secrets: Callable[..., dict[str, str]], tmp_path: Path
) -> None:
    """All other lines stay, also one that an operator changed."""
    made = create_secrets()
    kept = [one.replace("user producer on", "user producer off") for one in made["redis_users"].splitlines()[:-1]]
    (tmp_path / "redis_users").chmod(0o600)
    (tmp_path / "redis_users").write_text("\n".join(kept) + "\n")
    (tmp_path / "redis_url_admin").unlink()
    again = create_secrets()
    password = urlsplit(again["redis_url_admin"]).password
    *before, last = again["redis_users"].splitlines()
    assert kept == before
    assert last.startswith(f"user admin on >{password} ")
    assert {**made, "redis_users": "", "redis_url_admin": ""} == {**again, "redis_users": "", "redis_url_admin": ""}


READERS = {
    "redis_users": 999,
    "grafana_password": 472,
    "redis_url_admin": 0,
}  # of the images of Redis and Grafana; the others are ours


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away; an ACL is in tests/attack")
def test_only_the_container_that_needs_a_secret_may_read_it(tmp_path: Path) -> None:
    """Compose mounts the files as they are; those of earlier versions could be read by every local user."""
    folder = tmp_path / "secrets"
    folder.mkdir(mode=0o711)
    (folder / "callback_secret").write_text("of an earlier version")
    (folder / "callback_secret").chmod(0o444)
    environment = {"SECRETS": str(folder), "PATH": "/usr/bin:/bin"}
    subprocess.run([ROOT / "deploy/secrets.sh"], env=environment, check=True, capture_output=True)
    modes = {one.name: (one.stat().st_uid, oct(one.stat().st_mode & 0o777)) for one in folder.iterdir()}
    assert {name: (READERS.get(name, 10001), "0o400") for name in modes} == modes
    assert set(COMPOSE["secrets"]) <= set(modes)
    assert (0o700, "of an earlier version") == (
        folder.stat().st_mode & 0o777,
        (folder / "callback_secret").read_text(),
    )
