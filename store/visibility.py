"""Visibility: how soon look-ups find what the gateway accepted, as all workers of an account have learned it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple


class Sight(StrEnum):
    """A field of the account's hash; times in milliseconds of Unix time."""

    DELAY = "delay"  # the largest recent time from an acceptance until a look-up found the message, ms
    LEARNED = "learned"  # when a look-up last found a sample
    WITNESS = "witness"  # when the request of the latest message that a look-up found had begun
    SAMPLE = "sample"  # the id of the accepted message that is being looked up until it is found
    BEGAN = "began"  # when its request began
    ANSWERED = "answered"  # when the gateway had accepted it
    UNSEEN = "unseen"  # when a look-up last did not find it
    NEXT = "next"  # when to look it up next
    CHOSEN = "chosen"  # when the last sample was chosen
    HURRIED = "hurried"  # the closing of the breaker after which all doubts were made due


LEARNED = (Sight.DELAY, Sight.LEARNED, Sight.WITNESS)
"""The fields that expire when the breaker opens."""
OF_SAMPLE = (Sight.SAMPLE, Sight.BEGAN, Sight.ANSWERED, Sight.UNSEEN, Sight.NEXT)
"""The fields of the sample."""
READ = (*LEARNED, *OF_SAMPLE, Sight.CHOSEN)
"""The fields of a `Visibility`, in its order."""


class Visibility(NamedTuple):
    """What is known now; 0 and "" for what is not; times in milliseconds of Unix time."""

    delay_ms: int = 0
    learned_at: int = 0
    witness_began: int = 0
    sample: str = ""
    sample_began: int = 0
    sample_answered: int = 0
    sample_unseen: int = 0
    sample_next: int = 0
    chosen_at: int = 0

    @classmethod
    def read(cls, reply: Sequence[bytes | None]) -> Visibility:
        """Return what the fields ``READ`` hold."""
        delay, learned, witness, sample, began, answered, unseen, next_at, chosen = reply
        return cls(
            int(delay or 0),
            int(learned or 0),
            int(witness or 0),
            (sample or b"").decode(),
            int(began or 0),
            int(answered or 0),
            int(unseen or 0),
            int(next_at or 0),
            int(chosen or 0),
        )
