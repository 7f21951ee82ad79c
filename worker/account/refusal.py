"""Refusal: what the gateway's code says of an operator's request, and of the number of a coverage query.

A code that is in no table, an internal error and a code of something else say nothing: a voucher may be redeemed all
the same, and a number may be covered.
"""

from __future__ import annotations

from threelane.store.account_requests import Concern
from threelane.worker.policy.rule import Scope, Table

_OF_VOUCHERS = ("invalid_voucher", "expired_voucher")
_OF_REQUESTS = ("malformed", "invalid_parameter", "invalid_protocol", "method_not_supported", "no_such_resource")
_BY_SCOPE = {Scope.CREDENTIALS: Concern.CREDENTIALS, Scope.ACCOUNT: Concern.ACCOUNT}


def concern(code: str, table: Table) -> Concern:
    """Return what a code refuses, so that the request surely had no effect; NOTHING if it may have had one; pure."""
    rule = table.rules.get(code)
    if rule is None:
        return Concern.NOTHING
    if rule.reason in _OF_VOUCHERS:
        return Concern.VOUCHER
    if rule.reason in _OF_REQUESTS:
        return Concern.REQUEST
    return _BY_SCOPE.get(rule.scope, Concern.NOTHING)
