"""Rule: one line of a policy table, and the words it is written in."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from tenacity import wait_exponential
from tenacity.wait import wait_base

from threelane.contract.refusal import Owner


class Verdict(StrEnum):
    """What is to be done about an answer that is no acceptance."""

    RETRY = "retry"  # nothing was sent; try again later
    REAUTH = "reauth"  # nothing was sent; log in anew, then try again
    HOLD = "hold"  # nothing is wrong with the message; nothing can be sent for now
    STOP = "stop"  # this message will not be sent
    SUPPRESS = "suppress"  # nor will any other to this recipient
    UNSURE = "unsure"  # it may have been sent; ask


class Scope(StrEnum):
    """How far a verdict reaches."""

    MESSAGE = "message"
    RECIPIENT = "recipient"
    PREFIX = "prefix"
    SENDER = "sender"
    ACCOUNT = "account"


SOON = wait_exponential(multiplier=2, max=300)  # 2, 4, 8 ... seconds, at most 5 minutes
LATER = wait_exponential(multiplier=60, max=3600)  # 1, 2, 4 ... minutes, at most an hour
THROTTLED = wait_exponential(multiplier=10, max=300)  # 10, 20 ... seconds: the account was too fast, not the message
HOUR = 3600.0  # seconds: what a network refuses today it may take later
UNTIL_EXPIRY = 1_000_000  # attempts: the message's validity ends it first


class Rule(NamedTuple):
    """One code: what to do, for whom, who can mend it, and how patient to be."""

    code: str
    verdict: Verdict
    scope: Scope
    owner: Owner
    reason: str  # a metric label, so: short, stable, from these tables only
    wait: wait_base = SOON
    most_attempts: int = 8
    alarm: bool = False  # somebody should look at the code, at the account, or at us
    spends_attempt: bool = True  # False: it was not the message's fault
    hold_seconds: float = 0.0  # how long everything in the scope waits; 0: a retry holds nothing, others until resumed
    strikes: int = 0  # after so many the recipient is suppressed for a while


class Table(NamedTuple):
    """The rules of one API family, and what to do about a code that is in none of them."""

    rules: Mapping[str, Rule]
    by_hundred: Mapping[str, Rule]
    otherwise: Rule

    def rule_for(self, code: str) -> Rule:
        """Return the code's rule, or that of its hundred, which raises an alarm."""
        return self.rules.get(code) or self.by_hundred.get(code[:1] if len(code) == 3 else "", self.otherwise)

    def stops(self, code: str) -> bool:
        """Tell whether a code speaks against this message or number, and not of the account or of a bad moment."""
        rule = self.rule_for(code)
        return rule.verdict in (Verdict.STOP, Verdict.SUPPRESS) and rule.scope is not Scope.ACCOUNT

    def extended(self, *rules: Rule) -> Table:
        """Return the table with more rules."""
        return table(*self.rules.values(), *rules, by_hundred=self.by_hundred, otherwise=self.otherwise)


def table(*rules: Rule, by_hundred: Mapping[str, Rule], otherwise: Rule) -> Table:
    """Return a table; a code that stands in it twice is a mistake."""
    by_code = {rule.code: rule for rule in rules}
    if len(by_code) != len(rules):
        raise ValueError("a code has two rules")
    return Table(MappingProxyType(by_code), MappingProxyType(dict(by_hundred)), otherwise)
