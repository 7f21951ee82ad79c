"""The image without a container engine: the services of compose.yaml, run from the image's files, do the main job.

``make image && make image-test``; exits with 1 on a breach, and with 0 and the reason where the image is unavailable.

Each process runs with the image's files as its root, read-only, as the image's user, without new privileges, with its
own /tmp, and the command, environment and secrets of compose.yaml.  It uses the host's network: the services' names
resolve to loopback, and each process has its own metrics port.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import redis
import yaml
from rich.console import Console

from tests.chaos import ledger
from tests.servers import free_port, redis_binary, wait_until
from threelane.demo.child import Child

ROOT = Path(__file__).parents[2]
MESSAGES = ROOT / "demo/messages.csv.gz"
SANDBOX_PORT = 8085
ENTER = """
set -eu
mount --bind "$IMAGE" "$IMAGE"
mount -o remount,bind,ro,nosuid "$IMAGE"
mount -t tmpfs -o size=64m,mode=1777 tmpfs "$IMAGE/tmp"
mount -t tmpfs -o size=1m,mode=755 tmpfs "$IMAGE/run"
mkdir "$IMAGE/run/secrets"
mount --bind "$SECRETS" "$IMAGE/run/secrets"
mount --bind "$ETC" "$IMAGE/etc"
mount -t tmpfs -o size=1m,mode=755 tmpfs "$IMAGE/dev"
for one in null zero random urandom; do touch "$IMAGE/dev/$one"; mount --bind "/dev/$one" "$IMAGE/dev/$one"; done
mkdir "$IMAGE/dev/shm"; mount -t tmpfs -o size=16m,mode=1777 tmpfs "$IMAGE/dev/shm"
mount -t proc proc "$IMAGE/proc" 2>/dev/null || mount --bind /proc "$IMAGE/proc"
cd /
exec setpriv --no-new-privs chroot --userspec="$OWNER" "$IMAGE" /usr/bin/env -i - "$@"
"""


class Image:
    """The built image's files and configuration."""

    def __init__(self, folder: Path) -> None:
        self.files = _built("mount")
        config = json.loads(_built("inspect"))["Docker"]["config"]
        self.user: str = config["User"]
        self.environment = dict(line.split("=", 1) for line in config["Env"])
        self.entry: list[str] = config["Entrypoint"]
        self.health: list[str] = config["Healthcheck"]["Test"][1:]
        self.folder = folder

    def command(self, command: list[str], environment: dict[str, str]) -> list[str]:
        """Return the command line that runs a command in the image, without this process's environment."""
        variables = [f"{name}={value}" for name, value in {**self.environment, **environment}.items()]
        return ["unshare", "--mount", "bash", "-c", ENTER, "enter", *variables, *command]

    def settings(self) -> dict[str, str]:
        """Return the environment of the ENTER script."""
        return {
            "IMAGE": self.files,
            "OWNER": self.user,
            "SECRETS": str(self.folder / "secrets"),
            "ETC": str(self.folder / "etc"),
        }

    def run(self, command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[bytes]:
        """Run a command in the image and return the finished process."""
        command, settings = self.command(command, environment), {**os.environ, **self.settings()}
        return subprocess.run(command, env=settings, capture_output=True, timeout=300, check=False)


def main() -> int:
    console = Console()
    if reason := _missing():
        console.print(f"image-test: not run: {reason}")
        return 0
    folder = Path(tempfile.mkdtemp(prefix="threelane-image-"))
    folder.chmod(0o711)
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    subprocess.run([ROOT / "deploy/secrets.sh"], env={**os.environ, "SECRETS": str(folder / "secrets")}, check=True)
    (folder / "secrets").chmod(0o711)  # compose mounts each file; this test mounts the folder
    image = Image(folder)
    shutil.copytree(Path(image.files) / "etc", folder / "etc", symlinks=True)
    hosts = "".join(f"127.0.0.1 {name}\n" for name in ("localhost", *compose))
    (folder / "etc/hosts").write_text(hosts)
    children: list[Child] = []
    try:
        sound = _job(image, compose, children, console)
    finally:
        for child in reversed(children):
            child.stop()
    if sound:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        console.print(f"logs in {folder}", markup=False)
    return 0 if sound else 1


def _job(image: Image, compose: dict[str, Any], children: list[Child], console: Console) -> bool:
    port = free_port()
    children.append(_redis(image, port))
    admin = redis.Redis(port=port, username="tester", password="tester")
    wait_until(lambda: _responds(admin), what="Redis to respond")
    started: dict[str, Child] = {}
    environments: dict[str, dict[str, str]] = {}
    for name, event in READY.items():
        environments[name] = {
            key: _substituted(value) for key, value in compose[name].get("environment", {}).items()
        } | TUNED
        address = next((one["source"] for one in compose[name].get("secrets", ()) if isinstance(one, dict)), "")
        environments[name] |= {"THREELANE_REDIS_URL_FILE": f"/run/secrets/{address}"} if address else {}
        environments[name] |= {"THREELANE_WORKER_NAME": name, "THREELANE_METRICS_PORT": str(free_port())}
        command = image.command([*image.entry, *compose[name]["command"]], environments[name])
        surroundings = {**os.environ, **image.settings()}
        if name == "sandbox":  # the image for production does not contain it
            command = [sys.executable, "-m", "threelane", *compose[name]["command"]]
            surroundings = {**os.environ, **environments[name]}
        started[name] = Child(name, command, image.folder / f"{name}.log", surroundings)
        children.append(started[name])
        started[name].event(event)
    secret = (image.folder / "secrets/callback_secret").read_text()
    _call_sandbox("settings", {"callback_url": f"http://127.0.0.1:8081/{secret}/status"})
    users = {_identity(child) for name, child in started.items() if name != "sandbox"}
    has_no_sandbox = image.run([*image.entry, "sandbox"], {}).returncode == 2
    console.print(f"without the sandbox: {has_no_sandbox}")
    console.print(f"started, with user, group and no_new_privs {users}: {', '.join(started)}")

    producer = environments["worker"] | {"THREELANE_REDIS_URL_FILE": "/run/secrets/redis_url_producer"}
    options = ["--numbers", "international", "--duplicates", "send", "--json"]
    bulk = image.run([*image.entry, "bulk", "/run/secrets/messages.csv", *options], producer)
    results = [json.loads(line) for line in bulk.stdout.splitlines()]
    ids = {one["id"] for one in results if one.get("status")}
    console.print(f"threelane bulk {MESSAGES.stem}: {results[-1]['summary']}")
    wait_until(lambda: not ledger.moving(admin), 240, "all messages to finish")
    verdict = ledger.compare(ids, admin, _call_sandbox("ledger"))
    console.print(
        f"{verdict.received} received by the gateway, {verdict.by_status}; lost {len(verdict.lost)}, twice "
        f"{len(verdict.twice)}, unfinished {len(verdict.unfinished)}, disagree {len(verdict.disagree)}; "
        f"{verdict.charged_in_records / 1e6} credits recorded, {verdict.charged_at_sandbox / 1e6} charged"
    )
    healthy = []
    for name in ("worker", "worker-lane-1"):
        done = image.run(image.health, environments[name])
        healthy.append(done.returncode == 0)
        console.print(f"healthcheck of {name}: {done.returncode} {(done.stdout + done.stderr).decode().strip()}")
    wrote = image.run(["python", "-c", "open('/opt/threelane/x', 'w')"], {})
    read_only = b"Read-only file system" in wrote.stderr
    refused = [f"{one['reason']} {one['object']}" for one in admin.acl_log() if one["username"] != "default"]
    console.print(f"its files are read-only: {read_only}; refused by the ACL: {refused or 'nothing'}")
    is_unprivileged = users == {(*image.user.split(":"), "1")}
    return (
        verdict.sound
        and verdict.received > 1000
        and read_only
        and is_unprivileged
        and all(healthy)
        and not refused
        and has_no_sandbox
    )


READY = {
    "sandbox": "listening",
    "callbacks": "callbacks",
    "worker": "started",
    "worker-lane-1": "started",
    "webhooks": "metrics",
    "exporter": "metrics",
    "api": "api",
}
CHOSEN = {  # an operator's .env for the sandbox
    "THREELANE_GATEWAY_URL": f"http://sandbox:{SANDBOX_PORT}",
    "THREELANE_CLICKATELL_API_ID": "sandbox",
    "THREELANE_CLICKATELL_USER": "sandbox",
    "THREELANE_PARTS_PER_SECOND": "2000",
}
TUNED = {  # the sandbox's look-ups find a message at once, and it retries callbacks soon
    "THREELANE_DOUBT_DELAYS_SECONDS": "1,2,4",
    "THREELANE_SANDBOX_CALLBACK_RETRY_SCALE": "0.01",
}


def _missing() -> str:
    """Return why the test cannot run; '' when it can."""
    for tool in ("unshare", "setpriv", "chroot"):
        if not shutil.which(tool):
            return f"no {tool}"
    if os.geteuid():
        return "not root: mounts and chroot need it"
    found = subprocess.run([ROOT / "deploy/build.sh", "inspect"], capture_output=True, text=True, check=False)
    if found.returncode == 3:  # a prerequisite is missing
        return "; ".join(found.stderr.splitlines())
    return "" if found.returncode == 0 else "no image: make image"


def _built(word: str) -> str:
    done = subprocess.run([ROOT / "deploy/build.sh", word], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _redis(image: Image, port: int) -> Child:
    """Start Redis with the configuration and the users of compose.yaml, and a user of the test."""
    secrets = image.folder / "secrets"
    for address in secrets.glob("redis_url_*"):
        address.write_text(address.read_text().replace(":6379/", f":{port}/"))
    users = image.folder / "users.acl"
    users.write_text((secrets / "redis_users").read_text() + "user tester on >tester ~* &* +@all\n")
    (secrets / "messages.csv").write_bytes(gzip.decompress(MESSAGES.read_bytes()))
    binary = shutil.which("redis-server") or redis_binary()
    command = [binary, str(ROOT / "deploy/redis.conf"), "--port", str(port), "--dir", str(image.folder)]
    return Child("redis", [*command, "--aclfile", str(users)], image.folder / "redis.log", {})


def _responds(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def _substituted(value: str) -> str:
    """Substitute the variables in a value of compose.yaml: ${NAME:-default}."""
    return re.sub(r"\$\{(\w+):-([^}]*)\}", lambda found: CHOSEN.get(found[1], found[2]), value)


def _identity(child: Child) -> tuple[str, ...]:
    """Return the user, the group and the no_new_privs flag of a process."""
    status = Path(f"/proc/{child.process.pid}/status").read_text()
    return tuple(re.findall(rf"^{name}:\s+(\d+)", status, re.MULTILINE)[0] for name in ("Uid", "Gid", "NoNewPrivs"))


def _call_sandbox(path: str, body: dict[str, Any] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = Request(f"http://127.0.0.1:{SANDBOX_PORT}/sandbox/{path}", data, {"Content-Type": "application/json"})
    with urlopen(request, timeout=60) as response:
        return json.loads(response.read())


if __name__ == "__main__":
    sys.exit(main())
