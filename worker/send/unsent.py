"""Unsent: whether an attempt's outcome proves that the gateway did not take the message.

A stand-by may send only what is unsent.  So a code proves it only if the built-in tables list it as a refusal; what
they call a temporary failure of the gateway, what they do not list, and what is looked up before a retry proves
nothing.  An operator's file changes what happens to a message, and can take a proof away; it cannot add one.
"""

from __future__ import annotations

from threelane.worker.gateway.outcome import NEVER_LEFT, AttemptOutcome, OutcomeKind
from threelane.worker.policy.rule import Rule


def is_unsent(outcome: AttemptOutcome, rule: Rule | None) -> bool:
    """Return whether the gateway certainly did not take this attempt; ``rule`` is that of its code."""
    if outcome.kind in NEVER_LEFT:
        return True
    if outcome.kind is not OutcomeKind.REFUSED or rule is None or rule.code != outcome.code:
        return False
    return rule.proves_refusal
