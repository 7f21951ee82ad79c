"""What a send takes, what it refuses and with which code."""

import re
import time
from typing import Any
from urllib.parse import quote_from_bytes, urlencode

import pytest

from threelane.sandbox.apis import FORM_TYPE
from threelane.sandbox.running import Running

TO = "27820000001"


def only_message(sandbox: Running) -> Any:
    """Returns the one entry of the ledger."""
    [message] = sandbox.control("GET", "ledger")["messages"]
    return message


def test_an_accepted_message_answers_its_id_alone(sandbox: Running) -> None:
    """One recipient: one line, no To."""
    answer = sandbox.send(TO)
    assert re.fullmatch("ID: [0-9a-f]{32}", answer)
    assert only_message(sandbox)["id"] == answer.removeprefix("ID: ")


# fmt: off
REFUSED: dict[str, list[dict[str, str]]] = {
    "101": [
        {"to": ""}, {"to": ",".join([TO] * 301)}, {"queue": "0"}, {"queue": "4"}, {"queue": "high"},
        {"callback": "8"}, {"callback": "-1"}, {"concat": "4"}, {"concat": "0"}, {"mo": "2"},
        {"escalate": "yes"}, {"unicode": "2"}, {"binary": "2"}, {"validity": "0"}, {"validity": "10081"},
        {"req_feat": "x"}, {"max_credits": "x"}, {"data": "0G"}, {"charset": "martian"},
        {"max_credits": "7"}, {"max_credits": "0.9"}, {"max_credits": "0"}, {"max_credits": "sNaN"},
    ],
    "102": [{"udh": "0605041581000"}, {"udh": "zz"}, {"udh": "060504158100"}],
    "105": [
        {"to": "letters"}, {"to": "+27820000001"}, {"to": "0820000001"}, {"to": "278200"},
        {"to": "2782000000123456"}, {"to": "27 820000001"},
    ],
    "106": [
        {"from": "MuchTooLongName"}, {"from": "+2782"}, {"from": "12345678901234567"},
        {"from": "Acme", "data": "ff00"}, {"from": "Acme", "binary": "1", "text": "ff00"},
    ],
    "107": [{"text": ""}],
    "112": [{"msg_type": "SMS_HOLOGRAM"}],
    "113": [{"text": "a" * 460}, {"text": "a" * 161, "concat": "1"}, {"text": "{" * 229}],
    "114": [{"to": "99900000001"}],
    "116": [
        {"unicode": "1", "text": text} for text in ("00480", "0048006", "1F600", "D83D", "hello", "DE00D83D")
    ],
    "120": [
        {"deliv_time": "10081"}, {"deliv_time": "soon"}, {"scheduled_time": "1000000000"},
        {"scheduled_time": "99999999999"}, {"climsgid": "has space"}, {"climsgid": "x" * 33},
        {"climsgid": "été", "charset": "UTF-8"}, {"climsgid": "tab\t"},
    ],
    "302": [{"to": "447700000001", "max_credits": "1.5"}],
}
# fmt: on


def test_the_longest_validity_is_a_setting(sandbox: Running) -> None:
    """On all APIs: a part of a product that assumes another limit is found here, not at the gateway."""
    one = {"channel": "sms", "to": TO, "content": "Hi"}

    def results(minutes: int) -> list[bool]:
        status, _ = sandbox.one("POST", "/v1/message", {"messages": [{**one, "validityPeriod": minutes}]})
        rest, _ = sandbox.rest("POST", "message", {"to": [TO], "text": "Hi", "validityPeriod": minutes})
        return [sandbox.send(TO, validity=str(minutes)).startswith("ID:"), rest == 202, status == 202]

    assert ([True] * 3, [False] * 3) == (results(10_080), results(10_081))
    sandbox.control("POST", "settings", {"most_validity_minutes": 60})
    assert ([True] * 3, [False] * 3) == (results(60), results(61))


@pytest.mark.parametrize(
    ("parameters", "code"), [(parameters, code) for code, causes in REFUSED.items() for parameters in causes]
)
def test_each_refusal_has_the_gateways_code_and_costs_nothing(
    sandbox: Running, parameters: dict[str, str], code: str
) -> None:
    """What a producer should have caught is refused as the real one does it, never charged, but counted."""
    answer = sandbox.send(**{"to": TO, "text": "Hello", **parameters})
    assert answer.startswith(f"ERR: {code}, ")
    summary = sandbox.control("GET", "ledger?summary=1")["summary"]
    assert summary["refused"] == {code: len(parameters.get("to", "").split(","))}
    assert (summary["messages"], summary["charged"], summary["balance"]) == (0, "0.000", "100000.000")


def test_the_words_of_an_error_follow_its_code(sandbox: Running) -> None:
    """The form that every client splits at the first comma."""
    assert sandbox.send("12") == "ERR: 105, Invalid Destination Address"


def test_several_recipients_get_a_line_each_in_their_order(sandbox: Running) -> None:
    """Taken and refused lines are mixed and each names its recipient."""
    sandbox.control("POST", "optout", {"to": "27820000003", "code": "128"})
    lines = sandbox.send(f"{TO},12,27820000003,27820000004").split("\n")
    assert re.fullmatch(f"ID: [0-9a-f]{{32}} To: {TO}", lines[0])
    assert lines[1:3] == [
        "ERR: 105, Invalid Destination Address To: 12",
        "ERR: 128, Number delisted To: 27820000003",
    ]
    assert re.fullmatch("ID: [0-9a-f]{32} To: 27820000004", lines[3])


def test_three_hundred_recipients_go_in_one_request(sandbox: Running) -> None:
    """The documented limit of a POST; one client id for all of them is no duplicate."""
    numbers = [f"2782{index:07d}" for index in range(300)]
    assert len(sandbox.send(",".join(numbers), climsgid="shared").split("\n")) == 300
    summary = sandbox.control("GET", "ledger?summary=1")["summary"]
    assert (summary["messages"], summary["charged"], summary["duplicates"]) == (300, "240.000", 0)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("121", "Destination mobile number blocked"),
        ("122", "Destination mobile opted out"),
        ("128", "Number delisted"),
    ],
)
def test_a_barred_number_is_refused_until_it_is_let_in_again(sandbox: Running, code: str, words: str) -> None:
    """An opt-out, a block and a delisting each answer in their own words."""
    sandbox.control("POST", "optout", {"to": TO, "code": code})
    assert sandbox.send(TO) == f"ERR: {code}, {words}"
    sandbox.control("POST", "optout", {"to": TO, "remove": True})
    assert sandbox.send(TO).startswith("ID: ")


@pytest.mark.parametrize("step", ["0.8", "1", "1.5", "2", "2.5", "3", "1.0"])
def test_a_cap_is_one_of_the_documented_steps(sandbox: Running, step: str) -> None:
    """The list of the REST API's features page; every other amount is refused."""
    assert sandbox.send(TO, max_credits=step).startswith("ID: ")


def test_the_most_credits_are_compared_with_the_price_of_a_part(sandbox: Running) -> None:
    """No document says so or otherwise; docs/credits.md does, and that estimates are not compared with the limit."""
    answer = sandbox.send(TO, text="x" * 459, max_credits="0.8", concat="3")
    assert answer.startswith("ID: ")
    charged = sandbox.command("getmsgcharge", apimsgid=answer.removeprefix("ID: ").strip())
    assert "charge: 2.4 " in charged


def test_a_number_may_send_8_bit_data_and_a_name_may_send_text(sandbox: Running) -> None:
    """HTTP API Specification 2.2.7, 12.3: only a name cannot be the sender of 8-bit data."""
    for parameters in ({"from": "12025550100", "data": "ff00"}, {"from": "Acme", "text": "Hello"}):
        assert sandbox.command("sendmsg", to=TO, **parameters).startswith("ID: ")


def test_an_unregistered_sender_is_refused_where_senders_are_registered() -> None:
    """Code 123, not 106: the form is right."""
    with Running.start("--sender", "Acme", "--sender", "12025550100") as running:
        assert running.send(TO, **{"from": "Acme"}).startswith("ID: ")
        assert running.send(TO, **{"from": "Other"}) == "ERR: 123, Invalid Sender ID"


def test_the_same_client_id_is_taken_again_and_shows_as_a_duplicate(sandbox: Running) -> None:
    """The id is for looking up, not for deduplication, as with the real gateway."""
    first, second = (sandbox.send(TO, climsgid="twice") for _ in range(2))
    assert first != second
    report = sandbox.control("GET", "ledger?client_id=twice")
    assert [f"ID: {message['id']}" for message in report["messages"]] == [first, second]
    assert (report["summary"]["duplicates"], report["summary"]["duplicate_client_ids"]) == (1, ["twice"])
    assert sandbox.command("querymsg", climsgid="twice").startswith(second)


def test_every_parameter_is_kept_in_the_ledger(sandbox: Running) -> None:
    """The credentials are not."""
    first = {"climsgid": "c1", "from": "12025550100", "concat": "2", "queue": "1", "callback": "7"}
    second = {"mo": "1", "escalate": "1", "max_credits": "1.5", "req_feat": "8240", "msg_type": "SMS_FLASH"}
    third = {"validity": "60", "deliv_ack": "1", "deliv_time": "10", "invented": "kept"}
    options = {**first, **second, **third}
    before = time.time()
    sandbox.send(TO, "Hello", **options)
    message = only_message(sandbox)
    assert message["options"] == {**options, "to": TO, "text": "Hello"}
    expected = {"client_id": "c1", "from": "12025550100", "queue": 1, "callback": 7, "charge": "0.8"}
    assert {name: message[name] for name in expected} == expected
    assert (message["status"], message["api_id"], message["sequence"]) == ("011", "sandbox", 1)
    assert before + 600 <= message["scheduled_at"] <= time.time() + 600


# fmt: off
TEXTS: list[tuple[bytes, dict[str, str], str, str, int]] = [
    (b"caf%E9", {}, "café", "gsm7", 1),
    (b"%80 5", {}, "€ 5", "gsm7", 1),
    (b"caf\xe9+raw", {}, "café raw", "gsm7", 1),
    ("café €".encode(), {"charset": "UTF-8"}, "café €", "gsm7", 1),
    ("café €".encode(), {"charset": "utf8"}, "café €", "gsm7", 1),
    ("café".encode(), {}, "caf??", "gsm7", 1),  # UTF-8 read as Latin-1, as a handset would show it
    (b"back`tick", {}, "back?tick", "gsm7", 1),
    (b"041F04400438043204350442", {"unicode": "1"}, "Привет", "ucs2", 1),
    (b"00480069D83DDE00", {"unicode": "1"}, "Hi\U0001f600", "ucs2", 1),
    (b"D83DDE00" * 36, {"unicode": "1"}, "\U0001f600" * 36, "ucs2", 2),
    (b"%7B" * 228, {}, "{" * 228, "gsm7", 3),
    (b"ff00ff00", {"binary": "1"}, "ff00ff00", "8bit", 1),
]
# fmt: on


@pytest.mark.parametrize(("octets", "parameters", "text", "encoding", "parts"), TEXTS)
def test_a_text_is_read_in_its_charset_and_counted_in_parts(
    sandbox: Running, octets: bytes, parameters: dict[str, str], text: str, encoding: str, parts: int
) -> None:
    """The form is decoded from bytes: Windows-1252 unless it says otherwise, UCS-2 hex with `unicode`."""
    fields = {"api_id": "sandbox", "user": "sandbox", "password": "sandbox", "to": TO, **parameters}
    raw = quote_from_bytes(octets, safe="%+") if octets.isascii() else octets
    body = urlencode(fields).encode() + b"&text=" + (raw if isinstance(raw, bytes) else raw.encode())
    assert sandbox.request("POST", "/http/sendmsg", body, FORM_TYPE)[1].startswith(b"ID: ")
    message = only_message(sandbox)
    assert (message["text"], message["encoding"], message["parts"]) == (text, encoding, parts)


def test_a_get_query_is_read_from_bytes_too(sandbox: Running) -> None:
    """`%E9` in a query must not be taken for broken UTF-8."""
    query = f"api_id=sandbox&user=sandbox&password=sandbox&to={TO}&text=caf%E9+%26+more"
    assert sandbox.request("GET", f"/http/sendmsg?{query}")[1].startswith(b"ID: ")
    assert only_message(sandbox)["text"] == "café & more"


def test_data_is_split_whatever_concat_says(sandbox: Running) -> None:
    """8-bit payloads are never refused for their length."""
    assert sandbox.command("sendmsg", to=TO, data="00" * 141, concat="1").startswith("ID: ")
    message = only_message(sandbox)
    assert (message["encoding"], message["parts"], message["charge"]) == ("8bit", 2, "1.6")
