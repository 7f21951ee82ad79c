"""Every credit is accounted for."""

from decimal import Decimal

import pytest

from threelane.sandbox.running import Running


def test_a_part_costs_what_its_longest_prefix_says(sandbox: Running) -> None:
    """Exact decimals: three parts at 0.8 are 2.4."""
    sandbox.send("27820000001", "a" * 459)
    sandbox.send("12025550100")
    sandbox.send("447700000001")
    sandbox.send("447800000001")
    charges = [message["charge"] for message in sandbox.control("GET", "ledger")["messages"]]
    assert charges == ["2.4", "1.2", "2", "0.8"]
    assert sandbox.command("getbalance") == "Credit: 99993.600"


def test_credit_never_goes_below_zero(sandbox: Running) -> None:
    """The message that does not fit is refused with 301; a smaller one still goes; a top-up lets it pass."""
    sandbox.control("POST", "credit", {"set": "2.3"})
    assert sandbox.send("27820000001", "a" * 459) == "ERR: 301, No Credit Left"
    assert sandbox.send("27820000001", "a" * 306).startswith("ID: ")
    assert sandbox.command("getbalance") == "Credit: 0.700"
    assert sandbox.send("27820000001") == "ERR: 301, No Credit Left"
    sandbox.control("POST", "credit", {"add": "0.1"})
    assert sandbox.send("27820000001").startswith("ID: ")
    assert sandbox.command("getbalance") == "Credit: 0.000"


def test_credit_can_run_out_within_one_request(sandbox: Running) -> None:
    """The first recipients are taken, the rest refused, each on its line."""
    sandbox.control("POST", "credit", {"set": 1.6})
    lines = sandbox.send("27820000001,27820000002,27820000003").split("\n")
    assert [line[:3] for line in lines] == ["ID:", "ID:", "ERR"]
    assert lines[2] == "ERR: 301, No Credit Left To: 27820000003"


def test_the_summary_adds_up(sandbox: Running) -> None:
    """started_with + topped_up - charged == balance, whatever happened."""
    sandbox.send("27820000001", "a" * 161)
    sandbox.send("27999201000")  # expires: not charged in the end
    sandbox.control("POST", "credit", {"add": "50.05"})
    sandbox.command("token_pay", token="0000010000000001")
    sandbox.control("POST", "credit", {"set": "77"})
    summary = sandbox.control("GET", "ledger?summary=1")["summary"]
    amount = {name: Decimal(summary[name]) for name in ("started_with", "topped_up", "charged", "balance")}
    assert amount["started_with"] + amount["topped_up"] - amount["charged"] == amount["balance"]


def test_a_voucher_pays_once(sandbox: Running) -> None:
    """605 is success here, 607 a voucher used or expired, 606 no voucher."""
    assert sandbox.command("token_pay", token="0000025000000001") == "OK: 605"
    assert sandbox.command("getbalance") == "Credit: 100250.000"
    assert sandbox.command("token_pay", token="0000025000000001") == "ERR: 607, Expired Voucher"
    assert sandbox.command("token_pay", token="0000025090000001") == "ERR: 607, Expired Voucher"
    for token in ("0000000011112222", "123", "CREDIT-100"):
        assert sandbox.command("token_pay", token=token) == "ERR: 606, Invalid Voucher"
    assert sandbox.command("token_pay") == "ERR: 101, Invalid or missing parameters"


@pytest.mark.parametrize("name", ["routeCoverage", "routeCoverage.php", "routecoverage.php"])
def test_coverage_tells_the_price_of_a_prefix(sandbox: Running, name: str) -> None:
    """114 where no route leads."""
    query = "api_id=sandbox&user=sandbox&password=sandbox&msisdn="
    expected = {
        "447700000001": b"OK: This prefix is currently supported. Charge: 2",
        "99900000001": b"ERR: 114, Cannot route message",
        "x": b"ERR: 105, Invalid Destination Address",
        "": b"ERR: 101, Invalid or missing parameters",
    }
    for number, answer in expected.items():
        assert sandbox.request("GET", f"/utils/{name}?{query}{number}") == (200, answer)
