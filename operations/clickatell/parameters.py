"""Parameters: those of the HTTP API's commands and of the REST API's table of features."""

from __future__ import annotations

from threelane.operations.clickatell.item import Document, Item

_EXTREMES = "tests/extremes/test_fields.py::test_intake_and_sandbox_agree_on_the_extremes_of_a_field"
_TIMES = "tests/extremes/test_times.py::test_every_time_and_validity_that_intake_accepts_the_sandbox_takes"
_CREDENTIALS = "tests/unit/test_wire.py::test_the_credentials_of_an_account_travel_as_they_are_set"
_ON_THE_WIRE = "tests/unit/test_features.py::test_a_feature_is_sent_as_declared_or_refused"

# fmt: off
_SHARED = (  # (HTTP's name, REST's name), meaning, where, test
    (("to", "to"), "recipient", "contract/phone.py:parse",
     "tests/unit/test_phone.py::test_a_number_is_digits_without_a_leading_zero_or_refused"),
    (("text", "text"), "text", "contract/body.py:read",
     "tests/extremes/test_texts.py::"
     "test_the_longest_text_is_taken_in_the_parts_that_we_counted_and_one_letter_more_is_refused_by_both"),
    (("from", "from"), "sender", "contract/senders.py:parse", _EXTREMES),
    (("climsgid", "clientMessageId"), "id by which a message is found again: ours on the wire",
     "contract/message_id.py:identify",
     "tests/unit/test_http_gateway.py::test_the_client_id_is_ours_with_any_id_of_the_caller"),
    (("concat", "maxMessageParts"), "most parts", "contract/fields.py:FIELDS", _EXTREMES),
    (("callback", "callback"), "which statuses are reported, 0 to 7", "contract/fields.py:FIELDS",
     "tests/sandbox/test_sandbox_callbacks.py::test_each_mask_pushes_its_statuses_and_no_other"),
    (("mo", "mo"), "only routes on which the recipient can reply", "contract/fields.py:FIELDS", _ON_THE_WIRE),
    (("unicode", "unicode"), "the text is UCS-2", "contract/text.py:measure",
     _ON_THE_WIRE),
)
_HTTP = (
    ("scheduled_time", "Unix time of delivery, up to 7 days ahead", "contract/message.py:gateway_time",
     _TIMES),
    ("deliv_time", "minutes until delivery, up to 10080", "gateways/xml/gateway.py:order",
     _TIMES),
    ("apimsgid", "the gateway's id", "gateways/http/gateway.py:HttpGateway.status",
     "tests/integration/test_poll.py::test_a_message_whose_id_the_gateway_does_not_find_is_looked_up_by_the_gateway_s_own"),
    ("charge", "credits that a message cost", "gateways/http/gateway.py:read_charge",
     "tests/integration/test_callbacks.py::test_a_charge_is_counted_once_however_often_it_is_reported"),
    ("status", "state of a message, three digits", "worker/policy/statuses.py:status_code",
     "tests/unit/test_receipt_codes.py::test_a_status_is_three_digits_however_it_was_written"),
    ("timestamp", "Unix time of a status, or local time (GMT+2) of a reply", "worker/inbound/moment.py:milliseconds",
     "tests/unit/test_inbound_central.py::test_a_reply_has_its_moment_from_gmt_plus_2_or_none"),
    ("momsgid", "the gateway's id of a reply", "worker/inbound/central.py:read",
     "tests/integration/test_replies.py::test_a_repeated_reply_is_published_once"),
    ("token", "voucher of token_pay: never in a log", "operations/account.py:redeem",
     "tests/integration/test_account.py::test_a_voucher_is_redeemed_and_stored_nowhere"),
    ("api_id", "credential: the API, or a Portal API key", "gateways/http/__init__.py:CREDENTIALS",
     _CREDENTIALS),
    ("user", "credential: the account's name", "gateways/http/__init__.py:CREDENTIALS",
     _CREDENTIALS),
    ("password", "credential: never in a log", "gateways/http/__init__.py:CREDENTIALS",
     "tests/integration/test_log_and_metrics.py::test_no_log_shows_a_text_a_whole_number_or_a_secret"),
    ("session_id", "login session of 15 minutes, shared by all workers", "worker/gateway/session.py:GatewaySession",
     "tests/integration/test_session.py::test_32_threads_with_an_expired_session_cause_one_login"),
)
_REST = (
    ("binary", "8-bit data", "contract/fields.py:binary", _EXTREMES),
    ("userPriorityQueue", "the account's queue, 1 to 3: our lane", "worker/fetch/lanes.py:LaneOrder",
     "tests/integration/test_worker_lanes.py::"
     "test_a_login_code_goes_before_all_but_a_thousand_of_twenty_thousand_newsletters"),
    ("escalate", "another route if the cheapest is slow", "contract/fields.py:FIELDS", _ON_THE_WIRE),
    ("maxCredits", "most credits: 0.8, 1, 1.5, 2, 2.5 or 3", "contract/fields.py:credit_limit", _EXTREMES),
    ("type", "kind of message: text, flash, and the old SMS types", "contract/kinds.py:parse",
     "tests/integration/test_words.py::test_every_old_type_is_sent_once_by_type_and_data"),
    ("requiredFeatures", "what a route must support, as a bit mask", "contract/fields.py:features", _EXTREMES),
    ("scheduledDeliveryTime", "time of delivery in GMT", "contract/schedule.py:instant",
     _TIMES),
    ("udh", "user data header", "contract/fields.py:header", _EXTREMES),
    ("validityPeriod", "minutes in which the message may be sent", "contract/schedule.py:expiry",
     "tests/integration/test_validity.py::test_the_gateway_gets_the_remaining_validity"),
    ("bypassDNCCheck", "skips the do-not-contact look-up: needs the bypass right",
     "contract/message.py:Message.bypasses",
     "tests/attack/test_do_not_contact.py::test_no_way_to_skip_the_check_works_without_both_rights"),
)
# fmt: on

ITEMS = (
    *(Item(Document.HTTP, "parameter", names[0], *rest) for names, *rest in _SHARED),
    *(Item(Document.HTTP, "parameter", *row) for row in _HTTP),
    *(Item(Document.REST, "parameter", names[1], *rest) for names, *rest in _SHARED),
    *(Item(Document.REST, "parameter", *row) for row in _REST),
)
