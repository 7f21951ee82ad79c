"""Commands: those of the HTTP API, with the forms of their responses."""

from __future__ import annotations

from threelane.operations.clickatell.item import Document, Item

_VECTORS = "tests/unit/test_vectors.py::test_an_exchange_recorded_by_other_clients_is_the_same_for_us"

# fmt: off
_COMMANDS = (
    ("auth", "opens a session: `OK: <session_id>`", "gateways/http/gateway.py:read_auth",
     "tests/integration/test_session.py::test_32_threads_with_an_expired_session_cause_one_login"),
    ("ping", "keeps a session alive: `OK:`", "worker/gateway/api.py:FormApi.keep_alive",
     "tests/sandbox/test_sandbox_auth.py::test_a_session_dies_after_fifteen_minutes_without_a_call"),
    ("sendmsg", "sends: `ID: <apimsgid>`", "gateways/http/gateway.py:HttpGateway.send",
     "tests/unit/test_http_gateway.py::test_an_answer_is_read_as_others_have_seen_it"),
    ("sendmsg to several recipients", "a line each, with `To:`; we send one recipient a request",
     "gateways/http/gateway.py:read_send",
     "tests/unit/test_vectors.py::test_several_lines_are_no_answer_to_one_message"),
    ("querymsg", "status of a message: `ID: <apimsgid> Status: <status>`",
     "gateways/http/gateway.py:HttpGateway.look_up",
     "tests/integration/test_doubt.py::test_a_lost_answer_is_looked_up_and_adopted"),
    ("getmsgcharge", "charge and status of a message", "gateways/http/gateway.py:read_charge",
     "tests/unit/test_http_gateway.py::test_a_charge_has_a_status_in_the_same_line"),
    ("delmsg", "stops a message that waits at the gateway, by its id or ours",
     "gateways/http/gateway.py:HttpGateway.cancel",
     "tests/integration/test_cancel_in_doubt.py::test_a_response_to_a_cancel_by_our_id_has_the_gateway_s_id"),
    ("getbalance", "credits left: `Credit: <0.0>`", "gateways/http/gateway.py:read_balance",
     "tests/integration/test_credit_runs_out.py::test_the_rest_is_delivered_once_after_a_top_up_without_any_action"),
    ("token_pay", "redeems a voucher: `OK: 605`", "operations/account.py:redeem",
     "tests/integration/test_account.py::test_a_voucher_is_redeemed_and_stored_nowhere"),
    ("ERR", "refusal: `ERR: <code>, <description>`", "gateways/http/gateway.py:read_send",
     "tests/unit/test_http_gateway.py::test_a_no_is_split_at_its_first_comma"),
    ("POST and GET", "form parameters; we only use POST", "worker/gateway/wire.py:Wire.post", _VECTORS),
)
# fmt: on

ITEMS = tuple(Item(Document.HTTP, "command", *row) for row in _COMMANDS)
