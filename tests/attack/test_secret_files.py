"""Secret files: another user of the machine tries to read what deploy/secrets.sh wrote."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOBODY, OPERATOR = 65534, 1234
OWNERS = {"redis_users": 999, "grafana_password": 472, "redis_url_admin": 0}
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it acts as several users")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user can enter, as a checkout in /srv is; pytest's own is closed to others."""
    made = Path(tempfile.mkdtemp(prefix="threelane-secrets-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


def read_as(uid: int, file: Path) -> bool:
    """Return whether a user can read a file."""
    done = subprocess.run(["cat", str(file)], user=uid, group=uid, extra_groups=[], capture_output=True, check=False)
    return done.returncode == 0


def mounted(secrets: Path) -> list[Path]:
    """Return the files as a container has them: reached by a mount, not through the folder."""
    secrets.chmod(0o711)
    return sorted(secrets.iterdir())


def test_a_local_user_reads_no_secret(folder: Path) -> None:
    """Also not those that an earlier version left at mode 0444 in a folder of mode 0711."""
    secrets = folder / "secrets"
    secrets.mkdir(mode=0o711)
    (secrets / "callback_secret").write_text("x" * 32)
    (secrets / "callback_secret").chmod(0o444)
    assert read_as(NOBODY, secrets / "callback_secret")

    subprocess.run([ROOT / "deploy/secrets.sh"], env={**os.environ, "SECRETS": str(secrets)}, check=True)
    assert [] == [one.name for one in sorted(secrets.iterdir()) if read_as(NOBODY, one)]
    files = mounted(secrets)
    assert [] == [one.name for one in files if read_as(NOBODY, one)]
    assert {one.name: True for one in files} == {one.name: read_as(OWNERS.get(one.name, 10001), one) for one in files}


@pytest.mark.skipif(not shutil.which("setfacl"), reason="needs Debian's acl")
def test_without_root_only_the_reader_s_id_is_added(folder: Path) -> None:
    """An ACL instead of another owner; who ran the script keeps access, everybody else has none."""
    secrets = folder / "secrets"
    secrets.mkdir()
    os.chown(secrets, OPERATOR, OPERATOR)
    checkout = folder / "checkout" / "deploy"
    checkout.mkdir(parents=True)
    for name in ("secrets.sh", "redis-users.acl"):
        shutil.copy(ROOT / "deploy" / name, checkout / name)
    environment = {"SECRETS": str(secrets), "PATH": os.environ["PATH"]}
    run = ["bash", str(checkout / "secrets.sh")]
    subprocess.run(run, env=environment, user=OPERATOR, group=OPERATOR, extra_groups=[], check=True)

    files = mounted(secrets)
    for file in files:
        reader = OWNERS.get(file.name, 10001)
        assert [True, False, False] == [read_as(uid, file) for uid in (reader, NOBODY, 998)], file.name
