"""Ours: the codes of Threelane's own errors, and what each of its codes means."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tenacity import wait_fixed

from threelane.contract.refusal import Owner
from threelane.worker.policy.rule import Rule, Scope, Verdict, table

INTERNAL_ERROR = Rule(
    "internal_error",
    Verdict.RETRY,
    Scope.MESSAGE,
    Owner.OPERATOR,
    "internal_error",
    wait_fixed(2),
    most_attempts=2,
    alarm=True,
)
"""Threelane's own code raised an exception before the request left; ``most_attempts`` counts such attempts."""
UNPROCESSED = Rule("unprocessed", Verdict.UNSURE, Scope.MESSAGE, Owner.OPERATOR, "internal_error", alarm=True)
"""The same after the request left, or when that is not known."""
DAMAGED_RECORD = Rule("damaged_record", Verdict.STOP, Scope.MESSAGE, Owner.OPERATOR, "damaged_record")
"""The record of the message cannot be read; a script set it aside: store/parts/move.lua."""
OURS = table(INTERNAL_ERROR, UNPROCESSED, DAMAGED_RECORD, by_hundred={}, otherwise=UNPROCESSED)

MEANINGS: Mapping[str, str] = MappingProxyType(
    {
        "in_doubt": "its caller chose to drop it when in doubt, and no look-up found it",
        "in_doubt_again": "it was sent again from doubt, and its response was lost again; it is never sent a third "
        "time",
        "disowned": "the gateway accepted it and no longer knows it, and no receipt came; its content is gone",
        "worker_lost": "two attempts died with their worker; no look-up found it",
        "no_look_up": "the API offers no look-up, and no receipt came before its validity ended",
        "forgotten": "the gateway no longer knows it",
        "earlier_attempt": "it was sent again after the gateway had refused it for the account; the response was lost, "
        "and look-ups show only the attempt before",
        "no_receipt": "the gateway accepted it and never reported its outcome",
        "lapsed": "the worker died or lost its connection during the attempt; the gateway is queried",
        INTERNAL_ERROR.code: "Threelane's own code, or that of an added gateway, failed at this message; the text "
        "names the exception and its place: report it, and redrive the message after the fix",
        DAMAGED_RECORD.code: "the record of the message in Redis cannot be read; the text names the fields, and "
        "threelane dead damage ID what they held; find out what wrote to Redis, and send the message again",
        UNPROCESSED.code: "Threelane's own code, or that of an added gateway, failed after the request left; the "
        "gateway is queried",
    }
)
"""Threelane's own codes, which no gateway returns."""
