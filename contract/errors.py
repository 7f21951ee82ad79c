"""Errors: what a caller may have to catch.

::

    ThreelaneError
    ├── Refused            a message is wrong, or may not be sent: code, field, problem, remedy and owner say why
    ├── Unavailable        Redis or the HTTP API cannot take it now: send again later
    ├── ProducerClosed     the producer was used after ``close``, or after its ``with`` block
    └── InvalidSettings    the environment or a keyword of ``Producer`` does not make sense

Each can be pickled and copied, so that a task queue or a process pool can hand it on.
"""

from __future__ import annotations

from typing import Self

import msgspec

from threelane.contract.refusal import Owner, Refusal


class ThreelaneError(Exception):
    """What Threelane raises for a caller to catch."""


class Refused(ThreelaneError):
    """A message was not accepted; nothing was stored and nothing is charged.

    ``code`` is the gateway's code, ``field`` the field's name as the caller wrote it, ``problem`` what is wrong with
    it, ``remedy`` what would be right and ``owner`` who can do that.  ``accepted_id`` is the id of the accepted message
    that stands in the way: the one that holds the client message id (409), or that cannot be moved.  A refused message
    itself has no id.
    """

    def __init__(
        self, code: str, field: str, problem: str, remedy: str, owner: Owner = Owner.PRODUCER, accepted_id: str = ""
    ) -> None:
        """Keep all of it in ``args``, from which pickle and copy make it again."""
        super().__init__(code, field, problem, remedy, owner, accepted_id)
        self.code = code
        self.field = field
        self.problem = problem
        self.remedy = remedy
        self.owner = owner
        self.accepted_id = accepted_id

    @classmethod
    def from_refusal(cls, refusal: Refusal) -> Self:
        """Return a parser's refusal as what callers get."""
        return cls(*msgspec.structs.astuple(refusal))

    @property
    def refusal(self) -> Refusal:
        """The plain value of it, for JSON."""
        return Refusal(self.code, self.field, self.problem, self.remedy, self.owner, self.accepted_id)

    @property
    def accepted(self) -> bool:
        """False: answers of a list can be counted by it."""
        return False

    def __eq__(self, other: object) -> bool:
        """Equal is what says the same of the same field: answers are values, too."""
        return isinstance(other, Refused) and self.args == other.args

    def __hash__(self) -> int:
        """Return the hash of what it says."""
        return hash(self.args)

    def __str__(self) -> str:
        """Return one line for people: code, field, problem, remedy."""
        return str(self.refusal)


class ProducerClosed(ThreelaneError):
    """The producer was used after ``close``, or after its ``with`` block."""

    def __init__(self, sentence: str = "this producer is closed: make a new one") -> None:
        """Say so."""
        super().__init__(sentence)
