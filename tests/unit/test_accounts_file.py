"""The accounts file: the settings of each account, and a sentence for everything that is wrong with it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from threelane.contract.accounts.account import DEFAULT
from threelane.runtime.account_keys import AccountKey, account_keys
from threelane.runtime.settings import REGISTER, InvalidSettings, load
from threelane.worker.process.accounts import Accounts, read_accounts, read_accounts_or_exit
from threelane.worker.process.settings import CallbackSettings, WorkerSettings

KEY, PASSWORD = "a-key-that-nobody-may-see", "hunter2-and-some-more"
NO_USER = (
    "it has a user or a password, which logs would show; write https://host alone, and the credentials into their own "
    "settings"
)
SECRET = "a1b2c3d4e5f60718"
PORTAL = 'gateway = "one"\nclickatell_api_key_file = "portal_key"\n'
OLD = """
gateway = "http"
clickatell_api_id = "3428561"
clickatell_user = "us"
clickatell_password_file = "old_password"
"""
OF_ENVIRONMENT = {"THREELANE_GATEWAY": "one", "THREELANE_CLICKATELL_API_KEY": "the-key-of-the-environment"}


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder with the secrets of two accounts, and an environment that names its accounts file and an account."""
    for name in [one for one in os.environ if one.startswith("THREELANE_")]:
        monkeypatch.delenv(name)
    for name, content in {"portal_key": KEY, "old_password": PASSWORD}.items():
        write(tmp_path / name, content, 0o400)
    monkeypatch.setenv("THREELANE_ACCOUNTS_FILE", str(tmp_path / "accounts.toml"))
    for name, value in OF_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return tmp_path


def write(path: Path, content: str, mode: int = 0o644) -> None:
    path.unlink(missing_ok=True)
    path.write_text(content)
    path.chmod(mode)


def accounts(folder: Path, content: str) -> Accounts:
    write(folder / "accounts.toml", content)
    return read_accounts_or_exit()


def problems(folder: Path, content: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the sentences with which a process ends."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        accounts(folder, content)
    first, *lines = capsys.readouterr().err.splitlines()
    assert (2, "threelane: invalid settings") == (ended.value.code, first)
    assert KEY not in "".join(lines)
    assert PASSWORD not in "".join(lines)
    return [line.strip() for line in lines]


def test_each_account_has_its_settings(folder: Path) -> None:
    """Those of the file, and of the environment where that may fill in."""
    os.environ["THREELANE_PARTS_PER_SECOND"] = "70"
    found = accounts(
        folder,
        f"""
        [accounts.portal]
        {PORTAL}
        parts_per_second = 20
        reserve_credits = [10, 5.5]
        doubt_delays_seconds = [5, 60]
        prices = "27=0.8,*=1.5"
        currency = "EUR"
        policy_file = "policy.toml"
        [accounts.old]
        {OLD}
        gateway_url = "https://gateway.example"
        gateway_charset = "windows-1252"
        gateway_sessions = true
        gateway_timeout_seconds = 20
        """,
    )
    portal, old, own = (found.settings[name] for name in ("portal", "old", DEFAULT))
    assert ("portal", "one", KEY, 20.0) == (
        portal.account,
        portal.gateway,
        portal.credential("clickatell_api_key"),
        portal.parts_per_second,
    )
    assert ((10.0, 5.5), (5.0, 60.0), "27=0.8,*=1.5", "EUR", folder / "policy.toml") == (
        portal.reserve_credits,
        portal.doubt_delays_seconds,
        portal.prices,
        portal.currency,
        portal.policy_file,
    )
    assert ("us/3428561", PASSWORD, "https://gateway.example", 70.0, 20.0, True) == (
        old.login,
        old.credential("clickatell_password"),
        old.gateway_address,
        old.parts_per_second,
        old.gateway_timeout_seconds,
        old.gateway_sessions,
    )
    assert (DEFAULT, "the-key-of-the-environment") == (own.account, own.credential("clickatell_api_key"))
    assert {"default", "portal", "old"} == set(found.routing.accounts)
    assert ("windows-1252", "EUR", 1_500_000) == (
        found.routing.accounts["old"].charset,
        found.routing.accounts["portal"].currency,
        found.routing.accounts["portal"].price("447700900123"),
    )
    assert KEY not in repr(found)
    assert PASSWORD not in repr(found)


def test_a_process_has_the_settings_of_its_account(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every command and worker, through the same function as before."""
    accounts(folder, f"[accounts.portal]\n{PORTAL}gateway_connections = 7")
    assert (DEFAULT, 64) == (load(WorkerSettings).account, load(WorkerSettings).gateway_connections)
    for given, expected in {"portal": "portal", "default": DEFAULT, "": DEFAULT}.items():
        monkeypatch.setenv("THREELANE_ACCOUNT", given)
        assert expected == load(WorkerSettings).account
    monkeypatch.setenv("THREELANE_ACCOUNT", "portal")
    assert (KEY, 7) == (load(WorkerSettings).credential("clickatell_api_key"), load(WorkerSettings).gateway_connections)
    assert "the-key-of-the-environment" == load(WorkerSettings, account=DEFAULT).credential("clickatell_api_key")


def test_an_account_never_inherits_what_another_one_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its address, credentials, money and callbacks: a message would go through another account."""
    own = {key.setting for key in account_keys(REGISTER).values() if key.source is AccountKey.DEFAULT}
    assert {"gateway", "gateway_url", "clickatell_api_key", "prices", "currency", "reserve_credits"} < own
    assert {"callback_secret", "callback_user", "callback_password", "gateway_charset"} < own
    for name, value in {
        "GATEWAY_URL": "https://of.the.environment",
        "PRICES": "*=9",
        "RESERVE_CREDITS": "100,100",
        "CURRENCY": "EUR",
        "GATEWAY_CHARSET": "ucs-2",
        "GATEWAY_VALIDITY_MINUTES": "60",
        "CLICKATELL_USER": "another",
        "CALLBACK_SECRET": "f" * 16,
    }.items():
        monkeypatch.setenv(f"THREELANE_{name}", value)
    write(folder / "path", SECRET, 0o400)
    found = accounts(folder, f"[accounts.portal]\n{PORTAL}callback_secret_file = 'path'")
    portal = found.settings["portal"]
    assert ("https://platform.clickatell.com", "*=1", (0, 0), "credits", "utf-8", 10080, "") == (
        portal.gateway_address,
        portal.prices,
        portal.reserve_credits,
        portal.currency,
        portal.gateway_charset,
        portal.gateway_validity_minutes,
        portal.clickatell_user,
    )
    assert SECRET == found.callbacks["portal"].callback_secret.get_secret_value()


def test_without_a_file_there_is_the_account_of_the_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As ever."""
    monkeypatch.delenv("THREELANE_ACCOUNTS_FILE")
    found = read_accounts(load(WorkerSettings))
    assert [DEFAULT] == [*found.settings] == [*found.routing.accounts]
    assert ((), DEFAULT) == (found.routing.routes, found.routing.default)


def test_secrets_of_other_accounts_need_not_be_here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker's host has those of its own account and no others; without its own it does not start."""
    (folder / "old_password").unlink()
    found = accounts(folder, f"default = 'portal'\n[accounts.portal]\n{PORTAL}[accounts.old]\n{OLD}")
    assert {"old": (folder / "old_password",)} == dict(found.elsewhere)
    assert "" == found.settings["old"].credential("clickatell_password")
    monkeypatch.setenv("THREELANE_ACCOUNT", "old")
    with pytest.raises(InvalidSettings) as invalid:
        load(WorkerSettings)
    assert str(invalid.value).strip() == (
        f"[accounts.old] clickatell_password_file: {folder / 'old_password'} cannot be read (No such file or "
        "directory): mount it, or correct the path"
    )


def test_a_host_without_the_account_of_the_environment_names_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Otherwise nobody would know whether there is one."""
    monkeypatch.delenv("THREELANE_CLICKATELL_API_KEY")
    portal = f"[accounts.portal]\n{PORTAL}"
    assert [
        "default: the environment has no account, so a message that no route matches would have none; give default = "
        '"portal", or set the credentials of the environment\'s account'
    ] == problems(folder, portal, capsys)
    assert ["portal"] == [*accounts(folder, f"default = 'portal'\n{portal}").routing.accounts]
    assert [DEFAULT, "portal"] == [*accounts(folder, f"default = 'default'\n{portal}").routing.accounts]


def portal(lines: str) -> str:
    return f"[accounts.portal]\n{PORTAL}{lines}"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (portal("[accounts.portal]"), "FILE has two accounts of the name portal (at line 4, "
                                      "column 17); give the second one another name"),
        (portal("[accounts.b]\n" + PORTAL), "[accounts.b]: its credentials are those of PORTAL; remove one of "
                                           "them, or correct the files"),
        (portal("clickatell_api_key = 'k'"), "PORTAL clickatell_api_key: this file holds no secrets; write it "
                                             "into a file of its own, and that file's path as clickatell_api_key_file"),
        (portal("parts_per_secnd = 3"), "PORTAL parts_per_secnd: not a key of an account; did you mean "
                                        "parts_per_second?"),
        (portal("redis_connections = 3"), "PORTAL redis_connections: it is the same for all accounts; set "
                                          "THREELANE_REDIS_CONNECTIONS, and leave it out here"),
        (portal("clickatell_user = 'us'"), "PORTAL clickatell_user: the API one does not use it; leave it out: "
                                           "it needs clickatell_api_key_file"),
        ("[accounts.portal]\ngateway = 'one'", "PORTAL: the API one needs clickatell_api_key_file; add it"),
        ("[accounts.portal]", "PORTAL gateway: gateway is missing; give one of http, one, platform, rest, xml"),
        ("[accounts.portal]\ngateway = 'two'", "PORTAL gateway: 'two' is not an API; give one of http, one, "
                                               "platform, rest, xml"),
        (portal("parts_per_second = 0"), "PORTAL parts_per_second: Input should be greater than 0"),
        (portal("parts_per_second = true"), "PORTAL parts_per_second: this is true or false; give a value: "
                                            "message parts per second, of all workers together"),
        (portal("parts_per_second = inf"), "PORTAL parts_per_second: inf is not a number that it can have; "
                                           "give another"),
        (portal("prices = 'x'"), "PORTAL prices: 'x': write a prefix in digits, or *, and its price, as in "
                                 "27=0.8,*=1"),
        (portal("currency = 'euro'"), "PORTAL currency: write credits, or three capital letters as in EUR"),
        (portal("gateway_url = 3"), "PORTAL gateway_url: Input should be a valid string; write it in quotes"),
        (portal(f"gateway_url = 'https://us:{PASSWORD}@host'"), f"PORTAL gateway_url: {NO_USER}"),
        (portal("gateway_url = 'https://us@host'"), f"PORTAL gateway_url: {NO_USER}"),
        (portal("callback_user = 'us'"), "PORTAL callback_user: it needs callback_password_file; give both, or "
                                         "neither"),
        (portal("callback_secret_previous_file = 'elsewhere'"),
         "PORTAL callback_secret_previous_file: it needs callback_secret_file; give both, or neither"),
        (portal("callback_user = ''\ncallback_password_file = 'old_password'"),
         "PORTAL callback_password_file: it needs callback_user; give both, or neither"),
        (portal("callback_password_previous_file = 'elsewhere'"),
         "PORTAL callback_password_previous_file: it needs callback_user; give both, or neither"),
        (portal("gateway_timeout_seconds = 40"), "PORTAL: THREELANE_LEASE_SECONDS=60 must be more than twice "
                                                 "gateway_timeout_seconds=40: a lease outlives a send"),
        ("[accounts.Portal]", "[accounts.Portal]: 'Portal' is not a name; use lower-case letters, digits and hyphens "
                              "between them, at most 24"),
        ("[accounts.default]", "[accounts.default]: default is the name of the account of the environment; choose "
                               "another name"),
        ("", "FILE is empty; write accounts and routes into it, or unset this variable"),
        ("# later\n", "FILE is empty; write accounts and routes into it, or unset this variable"),
        ("accounts = 3", "accounts: this is a number; write a table for each account, as [accounts.marketing]"),
        ("[accounts]\nportal = 3", "PORTAL: this is a number; write a table with the keys of the account"),
        ("[routes]", "routes: this is a table; begin each route with a line [[routes]]"),
        ("default = 3", 'default: 3 is not the name of an account; give one, as in "marketing"'),
        ("[account.portal]", "account: not a table of this file; did you mean accounts?"),
        ("[accounts.portal\n", "FILE is not TOML (Expected ']' at the end of a table declaration "
                               "(at line 1, column 17)); correct that line"),
        (f"default = {'9' * 5000}", "FILE has a number that is too long, or tables that are "
                                    "nested too deeply; remove it"),
        (f"default = {'[' * 5000}", "FILE has a number that is too long, or tables that are "
                                    "nested too deeply; remove it"),
        (portal("PARTS_PER_SECOND = 3"), "PORTAL PARTS_PER_SECOND: not a key of an account; write parts_per_second"),
        (portal("THREELANE_CURRENCY = 'EUR'"), "PORTAL THREELANE_CURRENCY: not a key of an account; write currency"),
        (portal("default = 'portal'"), "PORTAL default: not a key of an account; write it at the top of the file, "
                                       "above the first [accounts...]"),
        (portal("[[routes]]\nname = 'r'\naccount = 'portal'\ndefault = 'portal'"),
         "[[routes]] r: default is not a key of a route; write it at the top of the file, above the first [[routes]]"),
        (portal("[[routes]]\nname = 'r'\naccount = ['portal']"),
         "[[routes]] r: account is a list; give one name, or accounts = {a = 3, b = 1}"),
        (portal("reserve_credits = 5"), "PORTAL reserve_credits: Input should be a valid tuple; write a list, as in "
                                        "[100, 50]"),
        (portal("reserve_credits = [1, 2, 3]"), "PORTAL reserve_credits: this has 3 values; give one number, the "
                                                "credits reserved for lane 1, or two: those and the additional credits "
                                                "for lane 2"),
        (portal("reserve_credits = []"), "PORTAL reserve_credits: this has no value; give one number, the credits "
                                         "reserved for lane 1, or two: those and the additional credits for lane 2"),
        (portal("reserve_credits = [5, inf]"), "PORTAL reserve_credits: Input should be a finite number"),
        (portal("doubt_delays_seconds = [inf]"), "PORTAL doubt_delays_seconds: Input should be a finite number"),
        (portal("parts_per_second = '5/s'"), "PORTAL parts_per_second: Input should be a valid number, unable to parse "
                                             "string as a number; write a number without quotes"),
        (f"[accounts.portal]{OLD}".replace('"us"', '""'), "PORTAL clickatell_user: it is empty, and the API http needs "
                                                          "it; give it"),
        (portal('policy_file = "a\\u0000b"'),
         "PORTAL policy_file: 'a\\x00b' is not the path of a file; write one in quotes"),
        ("[[routes]]\nname = 'r'\naccount = 'b'", "[[routes]] r: there is no account b; choose one of default"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_one_sentence(
    folder: Path, content: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the table, the problem and the remedy."""
    file = folder / "accounts.toml"
    expected = expected.replace("PORTAL", "[accounts.portal]").replace("FILE", f"THREELANE_ACCOUNTS_FILE: {file}")
    assert [expected] == problems(folder, content, capsys)


def test_a_byte_order_mark_is_no_problem(folder: Path) -> None:
    """Editors on Windows write one, and the line that TOML would report looks right."""
    assert "portal" in accounts(folder, "\ufeff" + portal("")).settings


def test_a_path_that_no_file_can_have_is_one_sentence(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A key pasted in place of the path of its file may be that long."""
    (problem,) = problems(folder, portal("").replace("portal_key", "k" * 300), capsys)
    assert problem.startswith("[accounts.portal] clickatell_api_key_file: ")
    assert problem.endswith("cannot be read (File name too long): mount it, or correct the path")


def test_every_problem_is_reported_at_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of all accounts and routes."""
    content = portal("parts_per_second = 0\nbreaker_failures = -1\n[[routes]]\nname = 'r'\nlane = 4")
    assert 4 == len(problems(folder, content, capsys))


def test_the_credentials_of_the_environment_are_no_second_account(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its rate and its balance would count twice; at another address they are those of another account."""
    monkeypatch.setenv("THREELANE_CLICKATELL_API_KEY", KEY)
    assert [
        "[accounts.portal]: its credentials are those of the environment; remove one of them, or correct the files"
    ] == problems(folder, portal(""), capsys)
    assert "portal" in accounts(folder, portal("gateway_url = 'http://127.0.0.1:8090'")).settings


def test_two_accounts_of_one_secret_file_elsewhere_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Although this host does not have it."""
    (folder / "portal_key").unlink()
    second = f"[accounts.b]\n{PORTAL}"
    assert 1 == len(problems(folder, portal(second), capsys))


@pytest.mark.parametrize(("mode", "remedy"), [(0o444, "read"), (0o604, "read"), (0o602, "write")])
def test_a_secret_file_that_everybody_can_read_is_refused(
    folder: Path, mode: int, remedy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Or write."""
    (folder / "portal_key").chmod(mode)
    (problem,) = problems(folder, portal(""), capsys)
    assert problem.startswith("[accounts.portal] clickatell_api_key_file: every user")
    assert remedy in problem
    assert str(folder / "portal_key") in problem


def test_a_file_that_everybody_can_write_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another user could send the messages elsewhere, with the credentials."""
    write(folder / "accounts.toml", portal(""), 0o666)
    with pytest.raises(SystemExit):
        read_accounts_or_exit()
    assert f"every user can write {folder / 'accounts.toml'}, and send messages elsewhere" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With its path."""
    with pytest.raises(SystemExit):
        read_accounts_or_exit()
    assert f"{folder / 'accounts.toml'} cannot be read (No such file or directory)" in capsys.readouterr().err


def test_one_secret_path_of_callbacks_is_of_one_account(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Callbacks find their account by it; equal ids of two accounts would meet."""
    write(folder / "path", SECRET, 0o400)
    with_path = "callback_secret_file = 'path'\n"
    both = f"[accounts.portal]\n{PORTAL}{with_path}[accounts.old]\n{OLD}{with_path}"
    says = "callback_secret_file: it has the secret of {}, and callbacks find their account by it; write another"
    assert [f"[accounts.old] {says.format('[accounts.portal]')}"] == problems(folder, both, capsys)
    monkeypatch.setenv("THREELANE_CALLBACK_SECRET", SECRET)
    assert [f"[accounts.portal] {says.format('the environment')}"] == problems(folder, portal(with_path), capsys)
    write(folder / "path", "short", 0o400)
    (problem,) = problems(folder, portal(with_path), capsys)
    assert problem.startswith("[accounts.portal]: callback_secret_file must be at least 16 letters and digits")


def test_a_password_of_callbacks_that_is_not_here_leaves_no_endpoint_open(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """This host serves the path of the account, and could not check the password; without the path it needs none."""
    lines = "callback_secret_file = 'path'\ncallback_user = 'us'\ncallback_password_file = 'elsewhere'"
    write(folder / "path", SECRET, 0o400)
    assert [
        "[accounts.portal]: callback_user needs callback_password_file, which has no value on this host; set both, or "
        "neither"
    ] == problems(folder, portal(lines), capsys)
    (folder / "path").unlink()
    assert {} == accounts(folder, portal(lines)).callbacks


def test_an_account_that_the_file_lacks_ends_the_process(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the nearest name; without a file, with its variable."""
    accounts(folder, portal(""))
    monkeypatch.setenv("THREELANE_ACCOUNT", "portl")

    def problem() -> str:
        with pytest.raises(InvalidSettings) as invalid:
            load(WorkerSettings)
        return str(invalid.value).strip()

    assert problem() == f"THREELANE_ACCOUNT: {folder / 'accounts.toml'} has no account portl; did you mean portal?"
    monkeypatch.delenv("THREELANE_ACCOUNTS_FILE")
    assert problem() == (
        "THREELANE_ACCOUNT: portl is an account of a file; set THREELANE_ACCOUNTS_FILE, or unset THREELANE_ACCOUNT"
    )


def test_every_key_of_an_account_is_taken(folder: Path) -> None:
    """With the default of its setting: no key is known, and then refused."""
    for name in ("callback_password", "callback_password_previous", "callback_secret_previous", "callback_secret"):
        write(folder / name, f"{SECRET}{name.replace('_', '')}", 0o400)
    keys = [key for key in account_keys(REGISTER).values() if not key.setting.startswith("clickatell")]
    values: dict[str, Any] = {key.name: key.setting if key.is_secret else key.default for key in keys}
    values |= {"policy_file": "policy.toml", "callback_user": "us", "gateway": "one"}
    lines = [
        f"{name} = {str(value).lower() if isinstance(value, bool) else _toml(value)}" for name, value in values.items()
    ]
    found = accounts(folder, f"[accounts.portal]\n{chr(10).join(lines)}\nclickatell_api_key_file = 'portal_key'")
    assert "us" == found.callbacks["portal"].callback_user
    assert isinstance(found.callbacks["portal"], CallbackSettings)


def _toml(value: Any) -> str:
    return str([*value]) if isinstance(value, tuple) else repr(value)
