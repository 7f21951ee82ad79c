"""threelane check on an accounts file: each account of this host, and a sentence for each problem."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import redis

from tests.servers import threelane, typed
from threelane import Producer
from threelane.sandbox.running import Running
from threelane.store import keys

Findings = tuple[int, dict[str, list[dict[str, str]]]]
PORTAL = """
[accounts.portal]
gateway = "one"
gateway_url = "{url}"
clickatell_api_key_file = "{key}"
"""


@pytest.fixture
def environment(client: redis.Redis, base_environment: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """An installation of the HTTP API with an accounts file, and the secret of one account."""
    assert client.ping()
    (tmp_path / "key").write_text("sandbox")
    (tmp_path / "key").chmod(0o400)
    return base_environment | {"THREELANE_GATEWAY": "http", "THREELANE_ACCOUNTS_FILE": str(tmp_path / "accounts.toml")}


def check(environment: dict[str, str], content: str, *words: str, **more: str) -> Findings:
    """Return the exit code, and the findings by what they are about."""
    Path(environment["THREELANE_ACCOUNTS_FILE"]).write_text(content)
    done = typed("check", "--json", *words, environment=environment | more)
    by_subject: dict[str, list[dict[str, str]]] = {}
    for one in json.loads(done.stdout):
        by_subject.setdefault(one["what"], []).append(one)
    return done.returncode, by_subject


def test_each_account_of_a_valid_file_has_a_finding(environment: dict[str, str], sandbox: Running) -> None:
    """With its API and rate; with --live, the gateway accepts the credentials of each."""
    content = (
        PORTAL.format(url=sandbox.url, key="key") + "[accounts.b]\n" + PORTAL.format(url="https://b.example", key="no")
    )
    content = content.replace("[accounts.b]\n\n[accounts.portal]", "[accounts.b]")
    code, found = check(environment, content, "--live")
    assert 0 == code
    file, portal, elsewhere = (found[what][0] for what in ("THREELANE_ACCOUNTS_FILE", "account portal", "account b"))
    assert ("ok", "valid; accounts: default, portal, b; routes: none") == (file["grade"], file["detail"])
    assert ("ok", f"API one at {sandbox.url}, 5000 parts a second") == (portal["grade"], portal["detail"])
    missing = Path(environment["THREELANE_ACCOUNTS_FILE"]).parent / "no"
    assert ("warning", f"this host has no {missing}") == (elsewhere["grade"], elsewhere["detail"])
    live = [f"account at {sandbox.url}, API {name}" for name in ("http", "one")]
    assert [["ok"], ["ok"]] == [[one["grade"] for one in found[what]] for what in live]


def test_each_problem_of_the_file_is_an_error_once(environment: dict[str, str], sandbox: Running) -> None:
    """Also for a host that serves an account of it."""
    content = PORTAL.format(url=sandbox.url, key="key") + "[[routes]]\nname = 'r'\naccount = 'portl'\n"
    code, found = check(environment, content)
    (error,) = found["THREELANE_ACCOUNTS_FILE"]
    assert (2, "error") == (code, error["grade"])
    assert "[[routes]] r: there is no account portl; did you mean portal?" == error["detail"]
    wrong_key = content.replace("portl", "portal") + "[accounts.portal2]\ngateway = 'one'\ncolour = 3\n"
    code, found = check(environment, wrong_key, THREELANE_ACCOUNT="portal")
    errors = [one["detail"] for rows in found.values() for one in rows if one["grade"] == "error"]
    assert (2, 2, 2) == (code, len(errors), len(set(errors)))


def test_a_host_without_the_account_of_the_environment_lacks_nothing(
    environment: dict[str, str], sandbox: Running
) -> None:
    """If the file says which account gets the messages that no route matches."""
    none = {name: value for name, value in environment.items() if "CLICKATELL" not in name}
    code, found = check(none, "default = 'portal'\n" + PORTAL.format(url=sandbox.url, key="key"))
    assert (0, "valid; accounts: portal; routes: none") == (code, found["THREELANE_ACCOUNTS_FILE"][0]["detail"])


def test_a_worker_with_an_invalid_file_does_not_start(environment: dict[str, str], sandbox: Running) -> None:
    """Nor one of an account that the file lacks."""
    file = Path(environment["THREELANE_ACCOUNTS_FILE"])
    file.write_text(PORTAL.format(url=sandbox.url, key="key") + "[[routes]]\nname = 'r'\naccount = 'portl'\n")
    done = threelane("worker", environment=environment)
    problem = "  [[routes]] r: there is no account portl; did you mean portal?"
    assert (2, ["threelane: invalid settings", problem]) == (done.returncode, done.stderr.splitlines())
    done = threelane("worker", "--account", "portl", environment=environment)
    problem = f"  THREELANE_ACCOUNT: {file} has no account portl; did you mean portal?"
    assert (2, ["threelane: invalid settings", problem]) == (done.returncode, done.stderr.splitlines())


def test_a_policy_file_is_reported_under_the_name_by_which_it_is_set(
    environment: dict[str, str], sandbox: Running, producer: Producer, client: redis.Redis
) -> None:
    """The key of its account, or the variable; accounts that share the file of the environment report it once."""
    folder = Path(environment["THREELANE_ACCOUNTS_FILE"]).parent
    (folder / "sound.toml").write_text("[legacy.901]\nmost_attempts = 3\n")
    portal = PORTAL.format(url=sandbox.url, key="key")
    lines = 'policy_file = "missing.toml"\n[accounts.b]\n' + PORTAL.format(url="https://b.example", key="key")
    content = portal + lines.replace("[accounts.b]\n\n[accounts.portal]", "[accounts.b]")
    missing = f"{folder / 'missing.toml'} cannot be read (No such file or directory); mount it, or correct the path"
    of_portal, of_all = "[accounts.portal] policy_file", "THREELANE_POLICY_FILE"

    code, found = check(environment, content, THREELANE_POLICY_FILE=str(folder / "sound.toml"))
    seen = {what: [(one["grade"], one["detail"]) for one in found[what]] for what in (of_portal, of_all)}
    assert (2, {of_portal: [("error", missing)], of_all: [("ok", "valid")]}) == (code, seen)

    more = {"THREELANE_POLICY_FILE": str(folder / "missing.toml"), "THREELANE_ACCOUNT": "portal"}
    sent = producer.send(to="27831234567", text="Hello")
    client.hset(keys.record(sent.id), mapping={"account": "portal", "code": "18"})
    for words in (["worker"], ["explain", sent.id]):
        done = threelane(*words, environment=environment | more)
        assert (2, True) == (done.returncode, f"{of_portal} is invalid\n{missing}" in done.stderr), done.stderr
    _, found = check(environment, portal, **more)
    assert [("error", missing)] == [(one["grade"], one["detail"]) for one in found[of_all]]
