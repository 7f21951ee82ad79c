"""Setup: accounts, credentials, words to stop, and what an application shows of its connection."""

from __future__ import annotations

from threelane.operations.clickatell.item import Document, Item

_PORTAL_MAP = "gateways/http/__init__.py:CREDENTIALS"
_ANY_API_ID = "tests/sandbox/test_sandbox_auth.py::test_an_api_id_is_a_string_of_any_form"
_STOP = "worker/reply/words.py:LISTS"
_STOPS = "tests/integration/test_stop.py::test_each_word_to_stop_suppresses_at_once"
_MISSING = "tests/unit/test_vectors_wire.py::test_a_missing_credential_is_named"
_AS_SET = "tests/unit/test_wire.py::test_the_credentials_of_an_account_travel_as_they_are_set"

# fmt: off
_PORTAL = (
    ("API key", "credential of the Platform's APIs", "gateways/platform/__init__.py:GATEWAY",
     "tests/unit/test_vectors_wire.py::test_each_api_has_its_headers_and_no_secret_stands_in_an_address"),
    ("API key as API id", "an older API with a Portal account", _PORTAL_MAP, _AS_SET),
    ("account user name as user", "likewise", _PORTAL_MAP, _AS_SET),
    ("account password as password", "likewise", _PORTAL_MAP, _AS_SET),
    ("API id of fewer than 7 characters", "an older account; never read as a number", _PORTAL_MAP, _ANY_API_ID),
)
_TWO_WAY = (
    ("Central API over HTTP/S", "the account for which the older APIs are", "gateways/http/__init__.py:GATEWAY",
     "tests/unit/test_vectors.py::test_an_exchange_recorded_by_other_clients_is_the_same_for_us"),
    ("callback target address", "where the gateway sends statuses and replies",
     "interfaces/callbacks/endpoint.py:readers",
     "tests/integration/test_callbacks.py::test_a_callback_moves_its_message"),
    ("number for two-way messages", "a reply belongs to the producer of its number", "worker/reply/audience.py:find",
     "tests/integration/test_reply_routes.py::test_two_producers_with_a_number_each_read_their_own_replies"),
    *((word, "stops further messages to its sender", _STOP, _STOPS)
      for word in ("STOP", "END", "CANCEL", "UNSUBSCRIBE", "QUIT", "STOP STOP", "STOP ALL")),
)
_HANDLER = (
    ("One API, API key", "one kind of connection", "gateways/one/gateway.py:OneGateway", _MISSING),
    ("XML API, user, password, API id", "the other kind", "gateways/xml/gateway.py:XmlGateway", _MISSING),
    ("API URI", "address of the API: THREELANE_GATEWAY_URL",
     "worker/process/settings.py:AccountSettings.gateway_address",
     "tests/unit/test_vectors_wire.py::test_each_api_has_its_own_address_unless_one_is_set"),
    ("From", "sender of a message", "contract/senders.py:parse",
     "tests/unit/test_one_gateway.py::test_a_feature_becomes_the_field_that_the_api_has_for_it"),
    ("channel", "`sms` or another of the integration", "contract/fields.py:one_of",
     "tests/unit/test_one_gateway.py::test_a_feature_becomes_the_field_that_the_api_has_for_it"),
    ("number with the country's calling code", "else refused, or read as national by a setting",
     "contract/reading.py:Reading",
     "tests/unit/test_numbers.py::"
     "test_national_mobiles_reach_their_owners_with_the_country_and_none_without_a_plus"),
    ("delivery notifications", "a switch of the integration: receipts come if it is on",
     "gateways/one/callbacks.py:read_request",
     "tests/unit/test_inbound_one.py::test_statuses_and_replies_are_read_from_one_request"),
    ("message parts", "a switch of the integration: we count parts before", "contract/text.py:measure",
     "tests/unit/test_text.py::test_the_check_table_is_counted_exactly"),
    ("retry rate", "`retry_every`: seconds between attempts", "contract/fields.py:retry_seconds",
     "tests/integration/test_worker_codes.py::test_a_retry_rate_and_an_end_can_be_set_for_a_message"),
    ("stop retrying after", "`stop_retrying_after`: seconds after the first attempt", "contract/fields.py:seconds",
     "tests/integration/test_worker_codes.py::test_a_retry_rate_and_an_end_can_be_set_for_the_deployment"),
    ("status with the balance", "a started worker logs state and balance; `threelane check --live`",
     "operations/check.py:check",
     "tests/integration/test_log_and_metrics.py::test_the_first_line_of_a_worker_has_api_account_balance_and_lanes"),
    ("outcome of each attempt", "in the log, by message id", "worker/send/attempt.py:Attempts",
     "tests/integration/test_log_and_metrics.py::"
     "test_the_outcome_of_each_attempt_is_logged_with_its_number_and_code"),
    ("error summary", "the reason why the account cannot be reached", "worker/gateway/reach.py:reach",
     "tests/integration/test_check.py::test_each_failure_is_reported_with_its_cause_and_the_next_step"),
)
# fmt: on

ITEMS = (
    *(Item(Document.PORTAL, "feature", *row) for row in _PORTAL),
    *(Item(Document.TWO_WAY, "feature", *row) for row in _TWO_WAY),
    *(Item(Document.HANDLER, "feature", *row) for row in _HANDLER),
)
