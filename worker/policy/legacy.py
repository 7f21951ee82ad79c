"""Legacy: the codes of the HTTP, XML and Central REST APIs.

Source: Clickatell's HTTP API guide and list of error codes; codes 004, 100, 110-112, 115, 160-167, 302, 606, 607
and 900 from its 2006 specification and from clients that handle them.
"""

from __future__ import annotations

from threelane.contract.refusal import Owner
from threelane.worker.policy.rule import (
    AT_ONCE,
    LATER,
    MINUTES,
    RATE_LIMITED,
    UNTIL_EXPIRY,
    Rule,
    Scope,
    Verdict,
    table,
)

RETRY, REAUTH, HOLD, STOP, SUPPRESS, UNSURE = Verdict
MESSAGE, RECIPIENT, PREFIX, SENDER, CREDENTIALS, ACCOUNT = Scope
PRODUCER, OPERATOR, RECIPIENT_OWNER, GATEWAY = Owner

# fmt: off
LEGACY = table(
    # the credentials: their workers send nothing until a login is accepted
    Rule("001", HOLD,     CREDENTIALS, OPERATOR, "authentication_failed", alarm=True),
    Rule("002", HOLD,     CREDENTIALS, OPERATOR, "unknown_user", alarm=True),
    Rule("007", HOLD,     CREDENTIALS, OPERATOR, "ip_lockdown", alarm=True),
    Rule("108", HOLD,     CREDENTIALS, OPERATOR, "invalid_api_id", alarm=True),
    # the account: nothing can be sent until the owner acts
    Rule("003", REAUTH,   ACCOUNT,   OPERATOR, "session_expired", most_attempts=2),
    Rule("004", HOLD,     ACCOUNT,   GATEWAY,  "account_frozen", alarm=True),
    Rule("005", REAUTH,   ACCOUNT,   OPERATOR, "session_missing", most_attempts=2),
    Rule("130", HOLD,     ACCOUNT,   OPERATOR, "mt_limit"),
    Rule("301", STOP,     ACCOUNT,   OPERATOR, "no_credit", alarm=True),
    # the recipient: never again
    Rule("121", SUPPRESS, RECIPIENT, GATEWAY,  "blocked"),
    Rule("122", SUPPRESS, RECIPIENT, RECIPIENT_OWNER, "opted_out"),
    Rule("128", SUPPRESS, RECIPIENT, RECIPIENT_OWNER, "delisted"),
    # the message: the same bytes fail again
    Rule("101", STOP,     MESSAGE,   PRODUCER, "invalid_parameter"),
    Rule("102", STOP,     MESSAGE,   PRODUCER, "invalid_udh"),
    Rule("105", STOP,     MESSAGE,   PRODUCER, "invalid_destination", strikes=3),
    Rule("106", STOP,     SENDER,    OPERATOR, "invalid_source"),
    Rule("107", STOP,     MESSAGE,   PRODUCER, "empty"),
    Rule("110", STOP,     MESSAGE,   PRODUCER, "email_error"),
    Rule("112", STOP,     MESSAGE,   PRODUCER, "invalid_type"),
    Rule("113", STOP,     MESSAGE,   PRODUCER, "too_many_parts"),
    Rule("114", STOP,     PREFIX,    GATEWAY,  "cannot_route", hold_seconds=MINUTES),
    Rule("115", STOP,     MESSAGE,   PRODUCER, "expired"),
    Rule("116", STOP,     MESSAGE,   PRODUCER, "invalid_unicode"),
    Rule("120", STOP,     MESSAGE,   PRODUCER, "invalid_time_or_client_id"),
    Rule("123", STOP,     SENDER,    OPERATOR, "sender_not_registered"),
    Rule("302", STOP,     MESSAGE,   PRODUCER, "dearer_than_allowed"),
    # our own errors: a dead letter, and an alarm
    Rule("100", STOP,     MESSAGE,   OPERATOR, "malformed", alarm=True),
    Rule("111", STOP,     MESSAGE,   OPERATOR, "invalid_protocol", alarm=True),
    Rule("160", STOP,     MESSAGE,   OPERATOR, "method_not_supported", alarm=True),
    Rule("161", STOP,     MESSAGE,   OPERATOR, "no_such_resource", alarm=True),
    Rule("165", STOP,     ACCOUNT,   OPERATOR, "wrong_version_header", alarm=True),
    Rule("166", STOP,     ACCOUNT,   OPERATOR, "wrong_accept_header", alarm=True),
    Rule("167", STOP,     ACCOUNT,   OPERATOR, "wrong_content_type", alarm=True),
    # codes of look-ups, never of a send: if one comes, only a look-up settles it
    Rule("103", UNSURE,   MESSAGE,   GATEWAY,  "unknown_gateway_id", alarm=True),
    Rule("104", UNSURE,   MESSAGE,   GATEWAY,  "unknown_client_id", alarm=True),
    Rule("109", UNSURE,   MESSAGE,   GATEWAY,  "missing_message_id", alarm=True),
    Rule("606", STOP,     MESSAGE,   OPERATOR, "invalid_voucher", alarm=True),
    Rule("607", STOP,     MESSAGE,   OPERATOR, "expired_voucher", alarm=True),
    # temporary failures of the gateway; an internal error may come after it accepted the message
    Rule("201", RETRY,    MESSAGE,   GATEWAY,  "batch_lost"),
    Rule("202", RETRY,    MESSAGE,   GATEWAY,  "batch_template_lost"),
    Rule("900", RETRY,    MESSAGE,   GATEWAY,  "internal_error", look_up_first=True),
    Rule("901", RETRY,    MESSAGE,   GATEWAY,  "internal_error", look_up_first=True),
    # HTTP 429, of any API
    RATE_LIMITED,
    by_hundred={
        "0": Rule("0xx", HOLD,  ACCOUNT, OPERATOR, "unlisted_account_code", alarm=True),
        "1": Rule("1xx", STOP,  MESSAGE, PRODUCER, "unlisted_message_code", alarm=True),
        "2": Rule("2xx", RETRY, MESSAGE, GATEWAY,  "unlisted_batch_code", most_attempts=2, alarm=True),
        "3": Rule("3xx", HOLD,  ACCOUNT, OPERATOR, "unlisted_credit_code", alarm=True),
        "9": Rule("9xx", RETRY, MESSAGE, GATEWAY,  "unlisted_internal_code", alarm=True,
                  look_up_first=True),
    },
    otherwise=Rule("xxx", STOP, MESSAGE, OPERATOR, "unlisted_code", alarm=True),
)

TRANSPORT = table(
    Rule("not_reached", RETRY,  MESSAGE, OPERATOR, "not_reached", AT_ONCE, UNTIL_EXPIRY, spends_attempt=False),
    Rule("wrong_address", RETRY, ACCOUNT, OPERATOR, "not_clickatell", most_attempts=UNTIL_EXPIRY, spends_attempt=False,
         alarm=True),
    Rule("lost",        UNSURE, MESSAGE, GATEWAY,  "answer_lost"),
    Rule("unreadable",  UNSURE, MESSAGE, GATEWAY,  "answer_unreadable"),
    by_hundred={},
    otherwise=Rule("lost", UNSURE, MESSAGE, GATEWAY, "answer_lost", wait=LATER),
)
# fmt: on
