"""Codes: the policy table of the One API; its numbers differ in meaning from those of the legacy APIs.

Source: Clickatell's One API table of errors.  A code of a whole request applies to all its messages.
"""

from __future__ import annotations

from threelane.contract.refusal import Owner
from threelane.worker.policy.rule import MINUTES, RATE_LIMITED, SOON, UNTIL_EXPIRY, Rule, Scope, Verdict, table

RETRY, _, HOLD, STOP, SUPPRESS, _ = Verdict
MESSAGE, RECIPIENT, PREFIX, SENDER, CREDENTIALS, ACCOUNT = Scope
PRODUCER, OPERATOR, RECIPIENT_OWNER, GATEWAY = Owner

# fmt: off
ONE_API = table(
    # the credentials and the address: their workers send nothing until a login is accepted
    Rule("1",   HOLD,     CREDENTIALS, OPERATOR, "authentication_failed", alarm=True),
    Rule("3",   HOLD,     CREDENTIALS, OPERATOR, "integration_inactive", alarm=True),
    Rule("7",   HOLD,     CREDENTIALS, OPERATOR, "ip_lockdown", alarm=True),
    Rule("41",  HOLD,     CREDENTIALS, OPERATOR, "wrong_address", alarm=True),
    Rule("42",  HOLD,     CREDENTIALS, OPERATOR, "wrong_address", alarm=True),
    # the account: nothing can be sent until the owner acts
    Rule("2",   HOLD,     ACCOUNT,   OPERATOR, "account_inactive", alarm=True),
    Rule("20",  HOLD,     ACCOUNT,   OPERATOR, "insufficient_balance", alarm=True),
    Rule("38",  HOLD,     ACCOUNT,   OPERATOR, "channel_inactive", alarm=True),
    Rule("39",  HOLD,     ACCOUNT,   OPERATOR, "feature_unavailable", alarm=True),
    Rule("46",  HOLD,     ACCOUNT,   OPERATOR, "demo_expired", alarm=True),
    # the recipient: never again
    Rule("26",  SUPPRESS, RECIPIENT, RECIPIENT_OWNER, "opted_out"),
    # the message: the same content fails again
    Rule("23",  STOP,     MESSAGE,   PRODUCER, "invalid_parameter"),
    Rule("24",  STOP,     MESSAGE,   PRODUCER, "content_too_big"),
    Rule("25",  STOP,     MESSAGE,   PRODUCER, "invalid_destination", strikes=3),
    Rule("27",  STOP,     MESSAGE,   PRODUCER, "not_on_channel"),
    Rule("28",  STOP,     MESSAGE,   OPERATOR, "not_in_sandbox"),
    Rule("30",  STOP,     MESSAGE,   PRODUCER, "bad_media"),
    Rule("31",  STOP,     MESSAGE,   PRODUCER, "bad_media"),
    Rule("32",  STOP,     MESSAGE,   PRODUCER, "bad_media"),
    Rule("33",  STOP,     MESSAGE,   PRODUCER, "bad_media"),
    Rule("40",  STOP,     MESSAGE,   PRODUCER, "charset_unsupported"),
    Rule("100", STOP,     MESSAGE,   PRODUCER, "too_many_parts"),
    # the sender, or the way there
    Rule("44",  STOP,     SENDER,    OPERATOR, "sender_suspended"),
    Rule("45",  STOP,     SENDER,    OPERATOR, "sender_not_registered"),
    Rule("101", STOP,     MESSAGE,   OPERATOR, "no_two_way"),
    Rule("110", STOP,     MESSAGE,   OPERATOR, "usa_needs_two_way", alarm=True),
    Rule("111", STOP,     PREFIX,    OPERATOR, "usa_needs_stop_words", alarm=True, hold_seconds=MINUTES),
    # our own errors
    Rule("21",  STOP,     MESSAGE,   OPERATOR, "malformed", alarm=True),
    Rule("22",  RETRY,    MESSAGE,   OPERATOR, "too_many_messages", alarm=True),
    # temporary failures of the gateway
    Rule("18",  RETRY,    MESSAGE,   GATEWAY,  "internal_error", most_attempts=3),
    Rule("19",  RETRY,    MESSAGE,   GATEWAY,  "internal_error"),
    Rule("43",  RETRY,    ACCOUNT,   GATEWAY,  "rate_limited", SOON, UNTIL_EXPIRY, spends_attempt=False,
         hold_seconds=2),
    RATE_LIMITED,
    by_hundred={},
    otherwise=Rule("xxx", STOP, MESSAGE, OPERATOR, "unlisted_code", alarm=True),
)
# fmt: on
