"""Codes: the error codes and the statuses that the overview of the HTTP API lists."""

from __future__ import annotations

from threelane.operations.clickatell.item import Document, Item

# fmt: off
_ERRORS = {
    "001": "authentication failed",        "002": "unknown user or password",   "003": "session expired",
    "005": "session id missing",           "007": "IP address not allowed",     "101": "invalid or missing parameter",
    "102": "invalid user data header",     "103": "unknown API message id",     "104": "unknown client message id",
    "105": "invalid recipient",            "106": "invalid sender",             "107": "empty message",
    "108": "invalid or missing API id",    "109": "message id missing",         "113": "too many parts",
    "114": "cannot route",                 "115": "expired at the gateway",     "116": "invalid Unicode data",
    "120": "invalid delivery time",        "121": "number blocked",             "122": "number opted out",
    "123": "sender not registered",        "128": "number delisted",            "130": "message limit, with its end",
    "201": "invalid batch id",             "202": "no batch template",          "301": "no credit left",
    "901": "internal error, retry",
}
_STATUSES = {
    "001": "unknown, or not reported yet", "002": "queued for redelivery",      "003": "at the network",
    "004": "received by the handset",      "005": "error with the message",     "006": "cancelled",
    "007": "error delivering",             "008": "received by the gateway",    "009": "routing error",
    "010": "expired, not charged",         "011": "queued for later delivery",  "012": "out of credit",
    "014": "message limit exceeded",
}
_WORKERS = "tests/integration/test_worker_codes.py::"
_DOUBT = "tests/integration/test_doubt.py::"
_SESSION = "tests/integration/test_session.py::test_32_threads_with_an_expired_session_cause_one_login"
_EXTREMES = "tests/extremes/test_fields.py::test_intake_and_sandbox_agree_on_the_extremes_of_a_field"
_FURTHER_TESTS = {  # of what a code does; the others have the test of their rule
    "001": "tests/unit/test_credentials.py::test_a_code_of_the_credentials_refuses_them",
    "002": "tests/integration/test_credentials.py::"
           "test_a_worker_with_a_new_password_continues_where_the_old_one_is_refused",
    "003": _SESSION,
    "101": _EXTREMES,
    "102": _EXTREMES,
    "103": "tests/integration/test_poll.py::test_a_message_that_the_gateway_does_not_know_at_all_is_in_doubt_again",
    "104": _DOUBT + "test_a_message_that_the_gateway_never_saw_is_sent_again_with_the_same_id",
    "105": "tests/integration/test_suppression.py::test_two_wrong_numbers_are_no_proof_and_three_suppress_for_90_days",
    "106": _EXTREMES,
    "107": _EXTREMES,
    "113": "tests/extremes/test_texts.py::"
           "test_the_longest_text_is_taken_in_the_parts_that_we_counted_and_one_letter_more_is_refused_by_both",
    "116": _EXTREMES,
    "120": "tests/extremes/test_times.py::test_a_delivery_time_that_the_sandbox_refuses_intake_refuses_with_its_code",
    "121": "tests/integration/test_suppression.py::test_a_number_that_the_gateway_blocks_is_on_the_list",
    "122": _WORKERS + "test_122_is_a_dead_letter_and_the_number_is_refused_from_then_on",
    "130": _WORKERS + "test_130_sends_nothing_before_its_time",
    "201": "tests/unit/test_policy_legacy.py::test_a_lost_session_and_a_new_batch_code_are_tried_twice_at_most",
    "202": "tests/sandbox/test_sandbox_batches.py::test_a_batch_that_could_send_nothing_does_not_start",
    "301": _WORKERS + "test_301_holds_the_account_and_a_top_up_and_resume_deliver_the_rest",
    "901": _WORKERS + "test_901_is_retried_after_waits_that_grow_and_sent_once",
}
_RULE = "tests/unit/test_policy_legacy.py::test_a_listed_code_has_its_verdict_reach_owner_and_alarm"
_FURTHER_STATUSES = {
    "001": _DOUBT + "test_a_look_up_that_lags_is_not_proof",
    "003": "tests/integration/test_receipt_order.py::"
           "test_the_first_final_status_wins_in_every_order_and_the_charge_counts_once",
    "006": "tests/integration/test_at_gateway.py::test_the_gateway_keeps_it_and_a_cancel_stops_it_there",
    "011": "tests/integration/test_at_gateway.py::test_a_look_up_that_finds_scheduled_leaves_it_sent",
    "012": "tests/integration/test_returned.py::"
           "test_a_message_refused_for_the_account_waits_in_its_lane_under_the_hold",
    "014": "tests/integration/test_returned.py::"
           "test_a_message_refused_for_the_account_waits_in_its_lane_under_the_hold",
}
_MEANING = "tests/unit/test_receipt_codes.py::test_each_status_has_its_meaning_and_there_is_no_other"
# fmt: on
ERRORS_IN, STATUSES_IN = "worker/policy/legacy.py:LEGACY", "worker/policy/statuses.py:STATUSES"

ITEMS = (
    *(
        Item(Document.HTTP, "error code", code, meaning, ERRORS_IN, _FURTHER_TESTS.get(code, _RULE))
        for code, meaning in _ERRORS.items()
    ),
    Item(
        Document.HTTP,
        "success code",
        "605",
        "voucher redeemed",
        "gateways/http/gateway.py:read_payment",
        "tests/unit/test_vectors.py::test_a_voucher_is_redeemed_only_by_code_605",
    ),
    *(
        Item(Document.HTTP, "status", code, meaning, STATUSES_IN, _FURTHER_STATUSES.get(code, _MEANING))
        for code, meaning in _STATUSES.items()
    ),
)
