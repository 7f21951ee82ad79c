"""Errors: the exceptions that a caller may catch.

::

    ThreelaneError
    ├── Refused            a message is invalid or not allowed: code, field, problem, remedy and owner
    ├── Unavailable        Redis or the HTTP API cannot accept it now: owner, retry_after and unsure ids
    ├── ProducerClosed     the producer was used after ``close``, or after its ``with`` block
    └── InvalidSettings    an environment variable or an argument of a producer is invalid

Each can be pickled and copied, so a task queue or a process pool can pass it on.
"""

from __future__ import annotations

from typing import Self

import msgspec

from threelane.contract.refusal import Owner, Refusal


class ThreelaneError(Exception):
    """The base class of Threelane's public exceptions."""


class Refused(ThreelaneError):
    """A message was not accepted; nothing was stored and nothing is charged.

    ``code`` is the gateway's error code, ``field`` the name of the field as the caller spelt it, ``problem`` the error,
    ``remedy`` the fix and ``owner`` who can apply it.  ``accepted_id`` is the id of the accepted message that causes
    the refusal: the one that holds the client message id (409), that has the same text (429), or that cannot be moved.
    ``retry_after`` is the number of seconds until a limit (429) has room, 0 for other refusals.  A refused message has
    no id.
    """

    def __init__(
        self,
        code: str,
        field: str,
        problem: str,
        remedy: str,
        owner: Owner = Owner.PRODUCER,
        accepted_id: str = "",
        retry_after: float = 0,
    ) -> None:
        """Keep all values in ``args``, from which pickle and copy rebuild the exception."""
        super().__init__(code, field, problem, remedy, owner, accepted_id, retry_after)
        self.code = code
        self.field = field
        self.problem = problem
        self.remedy = remedy
        self.owner = owner
        self.accepted_id = accepted_id
        self.retry_after = retry_after

    @classmethod
    def from_refusal(cls, refusal: Refusal) -> Self:
        """Return the exception for a parser's refusal."""
        return cls(*msgspec.structs.astuple(refusal))

    @property
    def refusal(self) -> Refusal:
        """The same as a plain value, for JSON."""
        return Refusal(self.code, self.field, self.problem, self.remedy, self.owner, self.accepted_id, self.retry_after)

    @property
    def accepted(self) -> bool:
        """False, so that the answers to a list can be counted."""
        return False

    def __eq__(self, other: object) -> bool:
        """Compare by value, since answers are values."""
        return isinstance(other, Refused) and self.args == other.args

    def __hash__(self) -> int:
        """Return the hash of the values."""
        return hash(self.args)

    def __str__(self) -> str:
        """Return one line for people: code, field, problem, remedy."""
        return str(self.refusal)


class ProducerClosed(ThreelaneError):
    """The producer was used after ``close``, or after its ``with`` block."""

    def __init__(self, sentence: str = "this producer is closed: create a new one") -> None:
        """Take the text of the error."""
        super().__init__(sentence)
