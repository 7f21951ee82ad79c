"""Every fault does what its name says, as often as it was told, to whom it was told."""

import time
from collections.abc import Callable
from http.client import HTTPException, IncompleteRead, RemoteDisconnected
from typing import Any

import pytest

from threelane.sandbox.running import Running

TO = "27820000001"
CUT = (RemoteDisconnected, ConnectionResetError, IncompleteRead)
WaitUntil = Callable[[Callable[[], Any]], Any]


def arm(sandbox: Running, **fault: Any) -> None:
    """Arms one fault."""
    assert "error" not in sandbox.control("POST", "faults", fault)


def taken(sandbox: Running) -> int:
    """Returns how many messages were taken."""
    return int(sandbox.control("GET", "ledger?summary=1")["summary"]["messages"])


def outcome(sandbox: Running, to: str = TO, client_id: str = "") -> str:
    """Returns what a client sees of a send: ID, a code, html, garbage, cut or half."""
    given = f"&climsgid={client_id}" if client_id else ""
    path = f"/http/sendmsg?api_id=sandbox&user=sandbox&password=sandbox&text=x&to={to}{given}"
    try:
        status, body = sandbox.request("GET", path)
    except IncompleteRead:
        return "half"
    except (HTTPException, ConnectionError):
        return "cut"
    if status == 502:
        return "html" if b"<html>" in body else "?"
    if body.startswith(b"ERR: "):
        return body[5:8].decode()
    return "ID" if body.startswith(b"ID: ") else "garbage"


# fmt: off
TRANSPORT = [
    ("lose_answer", "001", "cut", 1),
    ("cut_before", "002", "cut", 0),
    ("cut_middle", "003", "half", 1),
    ("html_502", "004", "html", 0),
    ("html_502_after", "005", "html", 1),
    ("garbage", "007", "garbage", 1),
    ("garbage_before", None, "garbage", 0),
]
# fmt: on


@pytest.mark.parametrize(("do", "seen", "count"), [(do, seen, count) for do, _, seen, count in TRANSPORT])
def test_a_transport_fault_damages_the_answer_and_takes_or_does_not(
    sandbox: Running, do: str, seen: str, count: int
) -> None:
    """Seen from outside, taken and not taken look alike; what was taken is charged, then all is well."""
    arm(sandbox, do=do)
    assert (outcome(sandbox), taken(sandbox)) == (seen, count)
    assert (outcome(sandbox), taken(sandbox)) == ("ID", count + 1)
    balance = 100000 - 0.8 * (count + 1)
    assert sandbox.command("getbalance") == f"Credit: {balance:.3f}"
    attempts = sandbox.control("GET", f"attempts?to={TO}")["attempts"]
    assert [each["fault"] for each in attempts] == [do, None]
    assert bool(attempts[0]["id"]) == bool(count)


@pytest.mark.parametrize(("magic", "seen", "count"), [each[1:] for each in TRANSPORT if each[1]])
def test_a_magic_number_damages_its_first_attempts(sandbox: Running, magic: str, seen: str, count: int) -> None:
    """`27999 3 KKK NN`: the first NN attempts of each client id, 00 always."""
    for client_id in ("a", "b"):
        assert [outcome(sandbox, f"279993{magic}02", client_id) for _ in range(3)] == [seen, seen, "ID"]
    assert [outcome(sandbox, f"279993{magic}00") for _ in range(3)] == [seen] * 3
    assert taken(sandbox) == count * 7 + 2


@pytest.mark.parametrize("do", ["slow", "slow_before"])
def test_a_slow_answer_is_taken_at_once_or_late(sandbox: Running, do: str) -> None:
    """Either way the answer comes, after the delay."""
    arm(sandbox, do=do, seconds=0.15)
    begun, begun_at = time.monotonic(), time.time()
    assert outcome(sandbox) == "ID"
    assert time.monotonic() - begun >= 0.15
    [message] = sandbox.control("GET", "ledger")["messages"]
    assert (message["taken_at"] - begun_at < 0.15) == (do == "slow")


def test_a_code_answers_instead_of_taking(sandbox: Running) -> None:
    """With its usual words or others, so often, after so many; 130 names the time until which it holds."""
    arm(sandbox, do="code", code="901", times=2, skip=1)
    assert [outcome(sandbox) for _ in range(4)] == ["ID", "901", "901", "ID"]
    arm(sandbox, do="code", code="999", text="Something new, and: odd")
    assert sandbox.send(TO) == "ERR: 999, Something new, and: odd"
    arm(sandbox, do="code", code="130", seconds=100)
    words, _, until = sandbox.send(TO).rpartition(" ")
    assert words == "ERR: 130, Maximum MT limit exceeded until"
    assert 98 <= int(until) - time.time() <= 101
    assert sandbox.control("GET", "ledger?summary=1")["summary"]["refused"] == {"130": 1, "901": 2, "999": 1}


def test_a_fault_of_a_number_or_prefix_leaves_others_alone(sandbox: Running) -> None:
    """In a list only that line is an error; without `to` it is one line for all."""
    arm(sandbox, do="code", code="128", to="2783", times=None)
    lines = sandbox.send("27820000001,27830000001").split("\n")
    assert [line[:3] for line in lines] == ["ID:", "ERR"]
    arm(sandbox, do="code", code="301")
    assert sandbox.send("27820000001,27820000002") == "ERR: 301, No Credit Left"


def test_a_fault_of_another_command_waits_for_it(sandbox: Running) -> None:
    """`*` is every command."""
    arm(sandbox, do="code", code="901", command="getbalance")
    assert outcome(sandbox) == "ID"
    assert sandbox.command("getbalance") == "ERR: 901, Internal error. Please retry"
    arm(sandbox, do="cut_before", command="*", times=2)
    with pytest.raises(CUT):
        sandbox.command("ping")
    assert outcome(sandbox) == "cut"


@pytest.mark.slow
def test_a_probability_is_drawn_from_the_seed() -> None:
    """Two sandboxes of one seed fail the same requests."""
    seen = []
    for _ in range(2):
        with Running.start("--seed", "11") as running:
            arm(running, do="code", code="901", times=None, probability=0.5)
            seen.append([outcome(running) for _ in range(30)])
    assert seen[0] == seen[1]
    assert set(seen[0]) == {"ID", "901"}


def test_a_status_fault_sets_how_a_message_ends(sandbox: Running, wait_until: WaitUntil) -> None:
    """Accepted and charged, then 007."""
    arm(sandbox, do="status", code="007")
    sandbox.send(TO, climsgid="c1")
    wait_until(lambda: sandbox.command("querymsg", climsgid="c1").endswith("Status: 007"))
    [message] = sandbox.control("GET", "ledger")["messages"]
    assert [each["status"] for each in message["history"]] == ["008", "003", "007"]


def test_a_look_up_lag_hides_the_next_message_only(sandbox: Running) -> None:
    """104 although it was taken."""
    arm(sandbox, do="lookup_lag", seconds=60)
    sandbox.send(TO, climsgid="hidden")
    sandbox.send(TO, climsgid="seen")
    assert sandbox.command("querymsg", climsgid="hidden") == "ERR: 104, Unknown client message ID"
    assert sandbox.command("querymsg", climsgid="seen").startswith("ID: ")


def test_armed_faults_are_listed_with_what_is_left_and_can_be_disarmed(sandbox: Running) -> None:
    """A list arms several, in order."""
    sandbox.control("POST", "faults", [{"do": "code", "code": "901", "times": 3}, {"do": "lose_answer"}])
    outcome(sandbox)
    [first, second] = sandbox.control("GET", "faults")["faults"]
    assert (first["do"], first["code"], first["times_left"], first["hits"]) == ("code", "901", 2, 1)
    assert (second["do"], second["times_left"]) == ("lose_answer", 0)
    assert sandbox.control("DELETE", "faults") == {"faults": []}
    assert outcome(sandbox) == "ID"
