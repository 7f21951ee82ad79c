"""Rule: one line of a policy table, and its vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from tenacity import wait_exponential, wait_fixed
from tenacity.wait import wait_base

from threelane.contract.refusal import Owner


class Verdict(StrEnum):
    """What to do about a response that is not an acceptance."""

    RETRY = "retry"  # nothing was sent; retry later
    REAUTH = "reauth"  # nothing was sent; log in again, then retry
    HOLD = "hold"  # nothing is wrong with the message; nothing can be sent for now
    STOP = "stop"  # this message will not be sent
    SUPPRESS = "suppress"  # nor will any other to this recipient
    UNSURE = "unsure"  # it may have been sent; look it up


class Scope(StrEnum):
    """How far a verdict reaches."""

    MESSAGE = "message"
    RECIPIENT = "recipient"
    PREFIX = "prefix"
    SENDER = "sender"
    CREDENTIALS = "credentials"  # of the worker that sent it: others may have better ones
    ACCOUNT = "account"

    @property
    def is_of_requests(self) -> bool:
        """Whether it concerns all messages of a request alike."""
        return self in (Scope.CREDENTIALS, Scope.ACCOUNT)


SOON = wait_exponential(multiplier=2, max=300)  # 2, 4, 8 ... seconds, at most 5 minutes
LATER = wait_exponential(multiplier=60, max=3600)  # 1, 2, 4 ... minutes, at most an hour
AT_ONCE = wait_fixed(0.5)  # seconds: the breaker sets the pace when a gateway cannot be reached
_REFUSALS = frozenset({Verdict.HOLD, Verdict.REAUTH, Verdict.STOP, Verdict.SUPPRESS})
MINUTES = 300.0  # seconds: what a network refuses now it may take soon
UNTIL_EXPIRY = 1_000_000  # attempts: the message's validity ends it first


class Rule(NamedTuple):
    """One code: what to do, for which scope, who owns it, and how to retry."""

    code: str
    verdict: Verdict
    scope: Scope
    owner: Owner
    reason: str  # a metric label, so: short, stable, from these tables only
    wait: wait_base = SOON
    most_attempts: int = 8
    alarm: bool = False  # the code, the account or this product needs attention
    spends_attempt: bool = True  # False: it was not the message's fault
    hold_seconds: float = 0.0  # how long the scope is on hold; 0: no hold for a retry, else until resumed
    strikes: int = 0  # after this many the recipient is suppressed for a while
    look_up_first: bool = False  # look it up before its retry: the gateway may have accepted it all the same
    is_assumed: bool = False  # only an operator's file makes it a refusal, which proves nothing

    @property
    def proves_refusal(self) -> bool:
        """Whether the gateway certainly did not take a message for which it returned this code."""
        if self.look_up_first or self.is_assumed:
            return False
        return self.verdict in _REFUSALS or (self.verdict is Verdict.RETRY and self.scope is Scope.ACCOUNT)


RATE_LIMITED = Rule(
    "429",
    Verdict.RETRY,
    Scope.ACCOUNT,
    Owner.GATEWAY,
    "rate_limited",
    SOON,
    UNTIL_EXPIRY,
    spends_attempt=False,
    hold_seconds=2,
)
"""HTTP 429 of any API: the account was too fast, and the message was not taken."""


class Table(NamedTuple):
    """The rules of one API family, with defaults for unlisted codes."""

    rules: Mapping[str, Rule]
    by_hundred: Mapping[str, Rule]
    otherwise: Rule

    def rule_for(self, code: str) -> Rule:
        """Return the code's rule, or the default of its hundred, which raises an alarm."""
        return self.rules.get(code) or self.by_hundred.get(code[:1] if len(code) == 3 else "", self.otherwise)

    def is_of_number(self, code: str) -> bool:
        """Return whether a listed code rejects the number, rather than the request, the account or temporarily."""
        rule = self.rules.get(code)
        return rule is not None and (rule.scope in (Scope.RECIPIENT, Scope.PREFIX) or rule.strikes > 0)

    def extended(self, *rules: Rule) -> Table:
        """Return the table with further rules."""
        return table(*self.rules.values(), *rules, by_hundred=self.by_hundred, otherwise=self.otherwise)


def table(*rules: Rule, by_hundred: Mapping[str, Rule], otherwise: Rule) -> Table:
    """Return a table; raises ValueError if a code has two rules."""
    by_code = {rule.code: rule for rule in rules}
    if len(by_code) != len(rules):
        raise ValueError("a code has two rules")
    return Table(MappingProxyType(by_code), MappingProxyType(dict(by_hundred)), otherwise)
