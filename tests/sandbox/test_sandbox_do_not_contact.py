"""The do-not-contact list: numbers that only a request which bypasses it may send to."""

from typing import Any

import pytest

from threelane.sandbox.codes import ERRORS
from threelane.sandbox.running import Running

TO, OTHER = "27820000001", "27820000002"


def send(sandbox: Running, **fields: object) -> Any:
    """Returns the entries of a Central REST send to both numbers."""
    return sandbox.rest("POST", "message", {"to": [TO, OTHER], "text": "Hello", **fields})[1]["data"]["message"]


@pytest.mark.parametrize(
    ("fields", "accepted"),
    [({}, False), ({"bypassDNCCheck": 0}, False), ({"bypassDNCCheck": 1}, True), ({"bypassDNCCheck": "1"}, True)],
)
def test_a_listed_number_is_refused_unless_the_request_bypasses_the_list(
    sandbox: Running, fields: dict[str, object], accepted: bool
) -> None:
    """The features page of the REST API: a look-up by default and for 0, none for 1."""
    sandbox.control("POST", "donotcontact", {"to": TO})
    listed, other = send(sandbox, **fields)
    assert [accepted, True] == [listed["accepted"], other["accepted"]]
    if not accepted:
        assert ("121", ERRORS["121"]) == (listed["error"]["code"], listed["error"]["description"])


def test_the_list_can_be_set_at_start_and_changed_while_it_runs() -> None:
    """A reset restores that of the start."""
    with Running.start("--do-not-contact", TO, "--do-not-contact", OTHER) as sandbox:
        assert [TO, OTHER] == sandbox.control("GET", "account")["do_not_contact"]
        assert {"do_not_contact": [OTHER]} == sandbox.control("POST", "donotcontact", {"to": TO, "remove": True})
        assert [True, False] == [each["accepted"] for each in send(sandbox)]
        sandbox.control("POST", "reset")
        assert [False, False] == [each["accepted"] for each in send(sandbox)]


def test_every_api_consults_the_list_and_only_central_rest_can_bypass_it(sandbox: Running) -> None:
    """No other API documents the parameter."""
    sandbox.control("POST", "donotcontact", {"to": TO})
    assert "ERR: 121, Destination mobile number blocked" == sandbox.send(TO, bypassDNCCheck="1")
    body = {"messages": [{"to": TO, "content": "x", "bypassDNCCheck": 1}]}
    assert 26 == sandbox.one("POST", "/v1/message", body)[1]["messages"][0]["error"]["code"]


def test_an_opt_out_is_not_bypassed(sandbox: Running) -> None:
    """The documents name the do-not-contact look-up only; a number that opted out stays refused."""
    sandbox.control("POST", "optout", {"to": TO})
    assert "122" == send(sandbox, bypassDNCCheck=1)[0]["error"]["code"]
