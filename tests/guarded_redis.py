"""A Redis as in a deployment: TLS with a private CA, and the users of the ACL in deploy/."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from pathlib import Path

import redis
import trustme

from tests.servers import RedisServer, allow_repeats, free_port, redis_binary

ACL = Path(__file__).parents[1] / "deploy" / "redis-users.acl"
PASSWORD = "do-not-log-me-redis-pw"
LISTED = ""
"""The commands that deploy/redis-users.acl lists."""
NOT_DANGEROUS = "+@all -@dangerous -@admin"
"""All commands but those that Redis calls dangerous or administrative, on the same keys and channels."""
TESTER = "user tester on >tester ~* &* +@all"


def _supports_tls(one: str) -> bool:
    """Return whether a server supports TLS: started without a certificate it exits, and then names the certificate."""
    done = subprocess.run([one, "--port", "0", "--tls-port", "1"], capture_output=True, text=True, check=False)
    return "No tls-cert-file" in done.stdout + done.stderr


@functools.cache
def binary() -> str:
    """Return a server that supports TLS; '' when neither the one under test nor Debian's does."""
    for one in (redis_binary(), shutil.which("redis-server")):
        if one and _supports_tls(one):
            return one
    return ""


MISSING = "" if binary() else "no Redis that supports TLS: apt-get install redis-server"


def _certificate(ca: trustme.CA, folder: Path) -> list[str]:
    """Write the server's certificate for localhost; returns its command-line options."""
    ca.cert_pem.write_to_path(str(folder / "ca.pem"))
    issued = ca.issue_cert("localhost")
    issued.private_key_pem.write_to_path(str(folder / "server.key"))
    (folder / "server.pem").write_bytes(b"".join(one.bytes() for one in issued.cert_chain_pems))
    named = {"cert": "server.pem", "key": "server.key", "ca-cert": "ca.pem"}
    options = [word for name, file in named.items() for word in (f"--tls-{name}-file", str(folder / file))]
    return [*options, "--tls-auth-clients", "optional"]


class GuardedRedis:
    """The users have the permissions of deploy/redis-users.acl; ``tester`` is the tests' own user."""

    def __init__(self, folder: Path, commands: str = LISTED) -> None:
        self.folder = folder
        self.ca = trustme.CA()
        self.tls_port = free_port()
        users = re.sub(r">\w+_PASSWORD ", f">{PASSWORD} ", ACL.read_text(encoding="ascii"))
        if commands:
            users = re.sub(r" -@all \+ping [^(\n]*", f" {commands} ", users)
        self.commands = commands
        (folder / "users.acl").write_text(f"{users}{TESTER}\n", encoding="ascii")
        options = ["--tls-port", str(self.tls_port), "--aclfile", str(folder / "users.acl"), "--maxmemory", "1gb"]
        self.server = RedisServer(folder, *options, *_certificate(self.ca, folder), binary=binary())
        self.url = self.url_of("operator")

    def url_of(self, user: str) -> str:
        """Return the address of a user of the file."""
        return f"rediss://{user}:{PASSWORD}@localhost:{self.tls_port}/0"

    def plain_url_of(self, user: str) -> str:
        """Return the same without TLS."""
        return f"redis://{user}:{PASSWORD}@localhost:{self.server.port}/0"

    def start(self) -> GuardedRedis:
        self.server.start()
        allow_repeats(self.admin())
        return self

    def stop(self) -> None:
        self.server.stop()

    def admin(self) -> redis.Redis:
        return redis.Redis(port=self.server.port, username="tester", password="tester")

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of a command line of an operator, with the CA of the certificate."""
        return {"THREELANE_REDIS_URL": self.url, "THREELANE_REDIS_CA_FILE": str(self.folder / "ca.pem"), **more}

    def refusals(self) -> list[str]:
        """Return what the ACL refused to its users, as user, reason and command or key."""
        found = [one for one in self.admin().acl_log(100) if one["username"] != "default"]
        return [f"{one['username']} {one['reason']} {one['object']}" for one in found]
