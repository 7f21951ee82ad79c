"""Who may come in: credentials on each request, sessions, and forms that are not forms."""

import asyncio
import re
from urllib.parse import urlencode

import pytest
from aiohttp.test_utils import TestClient, TestServer

from threelane.sandbox.apis import FORM_TYPE
from threelane.sandbox.app import create
from threelane.sandbox.running import Running
from threelane.sandbox.settings import SandboxSettings

GOOD = {"api_id": "sandbox", "user": "sandbox", "password": "sandbox"}


@pytest.mark.parametrize(
    ("wrong", "answer"),
    [
        ({"user": "nobody"}, "ERR: 002, Unknown username or password"),
        ({"password": "guess"}, "ERR: 001, Authentication failed"),
        ({"api_id": "9001"}, "ERR: 108, Invalid or missing API ID"),
        ({"api_id": ""}, "ERR: 108, Invalid or missing API ID"),
    ],
)
@pytest.mark.parametrize("command", ["auth", "sendmsg", "querymsg", "getbalance"])
def test_each_wrong_credential_has_its_own_code(
    sandbox: Running, command: str, wrong: dict[str, str], answer: str
) -> None:
    """A client can tell which of the three is wrong."""
    assert sandbox.command(command, **wrong) == answer


def test_an_api_id_is_a_string_of_any_form() -> None:
    """New accounts have ids that are no numbers, and 09001 is not 9001."""
    with Running.start("--api-id", "09001", "--seed", "1") as running:
        assert running.command("getbalance", api_id="09001") == "Credit: 100000.000"
        assert running.command("getbalance", api_id="9001").startswith("ERR: 108")


def test_a_session_stands_for_the_credentials(sandbox: Running) -> None:
    """`auth` gives 32 hex digits that every command takes."""
    session_id = sandbox.command("auth").removeprefix("OK: ")
    assert re.fullmatch("[0-9a-f]{32}", session_id)
    for command, expected in {"ping": "OK: ", "getbalance": "Credit: 100000.000"}.items():
        path = f"/http/{command}?session_id={session_id}"
        assert sandbox.request("GET", path) == (200, expected.encode())


def test_a_session_dies_after_fifteen_minutes_without_a_call() -> None:
    """Each call renews it; code 003 when it is dead or was never born."""
    assert asyncio.run(_session_over_time((0, 899, 899 + 899, 899 + 899 + 900))) == [
        "OK: ",
        "OK: ",
        "OK: ",
        "ERR: 003, Session ID expired",
    ]


async def _session_over_time(moments: tuple[float, ...]) -> list[str]:
    now = 1_000_000.0
    async with TestClient(TestServer(create(SandboxSettings(seed=1), clock=lambda: now))) as client:
        session_id = (await (await client.post("/http/auth", data=GOOD)).text()).removeprefix("OK: ")
        answers = []
        for moment in moments:
            now = 1_000_000.0 + moment
            answer = await client.get("/http/ping", params={"session_id": session_id})
            answers.append(await answer.text())
        return answers


def test_without_any_way_in_the_answer_says_so(sandbox: Running) -> None:
    """Nothing at all is 001; other parameters but neither session nor credentials is 005."""
    assert sandbox.request("GET", "/http/ping") == (200, b"ERR: 001, Authentication failed")
    assert sandbox.request("GET", "/http/ping?x=1") == (200, b"ERR: 005, Missing session ID")
    assert sandbox.request("GET", "/http/auth") == (200, b"ERR: 001, Authentication failed")
    assert sandbox.request("GET", f"/http/ping?session_id={'0' * 32}") == (
        200,
        b"ERR: 003, Session ID expired",
    )


@pytest.mark.parametrize("command", ["auth", "ping", "sendmsg", "querymsg", "getbalance"])
def test_a_post_that_is_not_declared_a_form_has_no_parameters(sandbox: Running, command: str) -> None:
    """The real gateway sees nothing then and answers 001, even to good credentials."""
    body = urlencode(GOOD).encode()
    for content_type in ("text/plain", "application/json", ""):
        answer = sandbox.request("POST", f"/http/{command}", body, content_type)
        assert answer == (200, b"ERR: 001, Authentication failed")


@pytest.mark.parametrize("path", ["/http/getbalance", "/http/getbalance.php"])
def test_commands_answer_to_get_and_post_with_and_without_php(sandbox: Running, path: str) -> None:
    """Old clients use the suffix."""
    query = urlencode(GOOD)
    assert sandbox.request("GET", f"{path}?{query}") == (200, b"Credit: 100000.000")
    assert sandbox.request("POST", path, query.encode(), f"{FORM_TYPE}; charset=utf-8")[1] == b"Credit: 100000.000"


@pytest.mark.parametrize("keeps", [False, True])
def test_a_password_can_change_while_the_sandbox_runs(sandbox: Running, keeps: bool) -> None:
    """Workers with the old one are refused from then on, and their sessions expire unless the change keeps them."""
    session = sandbox.command("auth").removeprefix("OK: ")
    sandbox.control("POST", "credentials", {"password": "new", "keep_sessions": keeps})

    answers = [sandbox.command("getbalance", password=one) for one in ("sandbox", "new")]
    pinged = sandbox.request("GET", f"/http/ping?session_id={session}")[1].decode()

    assert ["ERR: 001, Authentication failed", "Credit: 100000.000"] == answers
    assert ("OK: " if keeps else "ERR: 003, Session ID expired") == pinged


def test_a_reset_restores_the_credentials_of_the_settings(sandbox: Running) -> None:
    """The next test of the same sandbox is not refused."""
    sandbox.control("POST", "credentials", {"password": "new", "user": "other", "api_id": "1"})
    sandbox.control("POST", "reset")

    assert "Credit: 100000.000" == sandbox.command("getbalance")


@pytest.mark.parametrize(("field", "path"), [("rest_token", "account/balance"), ("api_key", "/v1/balance")])
def test_a_token_or_a_key_can_change_too(sandbox: Running, field: str, path: str) -> None:
    """Each API refuses its own credential, with its own code."""
    sandbox.control("POST", "credentials", {field: "new"})
    status, _ = sandbox.rest("GET", path) if field == "rest_token" else sandbox.one("GET", path)

    assert 401 == status
