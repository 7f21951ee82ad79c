"""The sandbox's own addresses, and the process around them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from threelane.sandbox.running import Running
from threelane.sandbox.settings import SandboxSettings

TO = "27820000001"
WaitUntil = Callable[[Callable[[], Any]], Any]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("faults", {"do": "explode"}, "do"),
        ("faults", {}, "do"),
        ("faults", {"do": "code"}, "code"),
        ("faults", {"do": "status", "code": "999"}, "code"),
        ("faults", {"do": "slow"}, "seconds"),
        ("faults", {"do": "lose_answer", "times": 0}, "times"),
        ("faults", {"do": "lose_answer", "command": "dance"}, "command"),
        ("faults", {"do": "lose_answer", "tmies": 1}, "tmies"),
        ("faults", [{"do": "lose_answer"}, {"do": "lose_answer", "probability": 2}], "[1].probability"),
        ("credit", {"add": "much"}, "add"),
        ("credit", {"set": "-1"}, "set"),
        ("credit", {"add": "-100001"}, "add"),
        ("credit", {}, "add"),
        ("optout", {"to": "x"}, "to"),
        ("optout", {"to": TO, "code": "301"}, "code"),
        ("settings", {"seed": 5}, "seed"),
        ("settings", {"latency_ms": -1}, "latency_ms"),
        ("settings", {"callback_url": "ftp://x"}, "callback_url"),
        ("reset", {"credit": "-1"}, "credit"),
    ],
)
def test_bad_input_is_refused_with_its_field_and_reason(sandbox: Running, path: str, body: object, field: str) -> None:
    """A 400, and nothing changed."""
    before = sandbox.control("GET", "account")
    status, answer = sandbox.request("POST", f"/sandbox/{path}", json.dumps(body).encode())
    error = json.loads(answer)["error"]
    assert (status, error["field"]) == (400, field)
    assert error["reason"]
    assert (sandbox.control("GET", "account"), sandbox.control("GET", "faults")) == (before, {"faults": []})


def test_what_is_not_json_is_refused(sandbox: Running) -> None:
    """Also an empty body."""
    for path in ("faults", "credit", "settings", "optout"):
        assert sandbox.request("POST", f"/sandbox/{path}", b"{nope")[0] == 400
        assert sandbox.request("POST", f"/sandbox/{path}", b"")[0] == 400


@pytest.mark.parametrize("path", ["/sandbox/faults", "/http/sendmsg", "/rest/message", "/v1/message"])
def test_a_body_of_more_than_sixteen_megabytes_is_refused(sandbox: Running, path: str) -> None:
    """At its own addresses as at those of the APIs; and it goes on."""
    status, answer = sandbox.request("POST", path, b" " * (16 * 1024 * 1024 + 1), "application/json")
    assert status in (400, 413) or answer.startswith(b"ERR: ")  # the HTTP API answers 200, whatever it says
    assert sandbox.control("GET", "health")["status"] == "ok"


def test_the_ledger_can_be_filtered_and_streamed(sandbox: Running) -> None:
    """By client id, by recipient, as a summary alone, as a line each."""
    sandbox.send("27820000001,27820000002", climsgid="both")
    sandbox.send("27820000001", climsgid="one")

    def listed(query: str) -> list[tuple[str, str]]:
        messages = sandbox.control("GET", f"ledger?{query}")["messages"]
        return [(message["client_id"], message["to"][-1]) for message in messages]

    assert listed("") == [("both", "1"), ("both", "2"), ("one", "1")]
    assert listed("client_id=both") == [("both", "1"), ("both", "2")]
    assert listed("to=27820000001") == [("both", "1"), ("one", "1")]
    assert listed("client_id=both&to=27820000001") == [("both", "1")]
    assert listed("client_id=nobody") == []
    lines = sandbox.request("GET", "/sandbox/ledger.jsonl")[1].splitlines()
    assert [json.loads(line)["sequence"] for line in lines] == [1, 2, 3]
    assert "messages" not in sandbox.control("GET", "ledger?summary=1")


def test_attempts_show_each_try_with_its_time_and_answer(sandbox: Running) -> None:
    """So that a test can see the waits between them."""
    for _ in range(3):
        sandbox.send("27999190102", climsgid="c1")
    sandbox.send(TO, climsgid="other")
    attempts = sandbox.control("GET", "attempts?client_id=c1")["attempts"]
    assert [each["code"] for each in attempts] == ["901", "901", None]
    assert [each["answer"][:8] for each in attempts[:2]] == ["ERR: 901"] * 2
    assert attempts[2]["answer"] == f"ID: {attempts[2]['id']}"
    assert sorted(each["at"] for each in attempts) == [each["at"] for each in attempts]


def test_a_reset_forgets_everything_but_ids_go_on(sandbox: Running) -> None:
    """Messages, attempts, faults, barred numbers, vouchers and credit start over."""
    first = sandbox.send(TO, climsgid="c1")
    sandbox.send("27999190101")
    sandbox.command("token_pay", token="0000025000000001")
    sandbox.control("POST", "optout", {"to": TO})
    sandbox.control("POST", "faults", {"do": "lose_answer"})
    summary = sandbox.control("POST", "reset", {"credit": "12.5"})
    assert (summary["messages"], summary["refused"], summary["balance"]) == (0, {}, "12.500")
    assert sandbox.command("querymsg", climsgid="c1").startswith("ERR: 104")
    assert sandbox.send("27999190101").startswith("ERR: 901")
    again = sandbox.send(TO, climsgid="c1")
    assert again.startswith("ID: ")
    assert again != first
    assert sandbox.control("GET", "account")["barred"] == {}


def test_the_account_shows_no_password(sandbox: Running) -> None:
    """It may be a real one."""
    account = sandbox.control("GET", "account")
    assert (account["user"], account["prices"]) == ("sandbox", {"1": "1.2", "4477": "2"})
    assert "password" not in account


@pytest.mark.slow
def test_the_same_seed_and_requests_give_the_same_ids() -> None:
    """Another seed gives others."""
    seen = []
    for seed in ("3", "3", "4"):
        with Running.start("--seed", seed) as running:
            seen.append([running.send(TO), running.command("auth"), running.send(TO)])
    assert seen[0] == seen[1]
    assert seen[0] != seen[2]


def test_latency_delays_answers(sandbox: Running) -> None:
    """Set while it runs."""
    settings = sandbox.control("POST", "settings", {"latency_ms": 30, "latency_jitter_ms": 1})
    assert (settings["latency_ms"], settings["latency_jitter_ms"]) == (30.0, 1.0)
    assert sandbox.command("getbalance") == "Credit: 100000.000"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_at_once_and_cleanly(number: signal.Signals) -> None:
    """Exit code 0, with messages, retries and schedules under way."""
    with Running.start("--callback-url", "http://127.0.0.1:1/", "--handset-after-seconds", "60") as running:
        running.send(TO, callback="7")
        running.send(TO, deliv_time="10")
        assert running.stop(number) == 0


def test_the_ledger_file_survives_a_kill(tmp_path: Path, wait_until: WaitUntil) -> None:
    """Each message and status is a whole line as soon as it happened."""
    path = tmp_path / "ledger.jsonl"
    with Running.start("--ledger", str(path)) as running:
        ids = [running.send(TO, climsgid=f"c{index}").removeprefix("ID: ") for index in range(20)]
        assert path.read_bytes().count(b'"event":"message"') == 20
        wait_until(lambda: path.read_bytes().count(b'"status":"004"') == 20)
        running.stop(signal.SIGKILL)
    entries = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [entry["id"] for entry in entries if entry["event"] == "message"] == ids
    assert [entry["status"] for entry in entries if entry["id"] == ids[0]] == ["008", "003", "004"]


def test_every_option_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """And an option on the command line wins."""
    monkeypatch.setitem(os.environ, "THREELANE_SANDBOX_CREDIT", "5")
    monkeypatch.setitem(os.environ, "THREELANE_SANDBOX_PRICE", "27=0.5,2782=0.25")
    monkeypatch.setitem(os.environ, "THREELANE_SANDBOX_DEFAULT_PRICE", "3")
    with Running.start("--default-price", "2") as running:
        account = running.control("GET", "account")
    assert (account["balance"], account["default_price"]) == ("5.000", "2")
    assert account["prices"] == {"27": "0.5", "2782": "0.25"}


def test_the_help_names_each_setting_and_its_default() -> None:
    """As plain text: what stands in brackets would be taken for markup."""
    words = [sys.executable, "-m", "threelane.sandbox", "--help"]
    told = subprocess.run(words, env={**os.environ, "COLUMNS": "200"}, capture_output=True, text=True, check=True)
    plural = {"senders": "sender"}
    for name in SandboxSettings.model_fields:
        assert f"--{plural.get(name, name).replace('_', '-')} " in told.stdout
    assert told.stdout.count("(sandbox)") == 5


def test_a_wrong_option_is_refused_by_name(capfd: pytest.CaptureFixture[str]) -> None:
    """Before anything listens."""
    with pytest.raises(RuntimeError, match="exit code 2"):
        Running.start("--price", "abc")
    assert "price" in capfd.readouterr().err
