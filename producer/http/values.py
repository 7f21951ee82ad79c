"""Values: what the API takes and gives besides the producer's own types."""

from __future__ import annotations

from typing import Annotated, Any, Self

import msgspec

from threelane.contract.errors import Refused
from threelane.contract.refusal import Owner
from threelane.producer.accept import Accepted
from threelane.producer.cancel import Cancelled
from threelane.producer.reschedule import Moved
from threelane.store.find import FoundMessage
from threelane.store.status import MessageStatus
from threelane.store.suppression import Entry

MOST_MESSAGES = 10_000
Text = Annotated[str, msgspec.Meta(max_length=200)]
Former = Annotated[str, msgspec.Meta(extra_json_schema={"deprecated": True})]  # a field that the next release drops


class Many(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A list of messages; each is read, and refused or accepted, by itself."""

    messages: list[Any]


class RefusedMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Why a message was not accepted, as ``Problem`` says it; ``mend`` is a former name of ``remedy``, and will go."""

    code: str
    field: str
    problem: str
    remedy: str = ""
    mend: Former = ""
    owner: Owner = Owner.PRODUCER
    id: str = ""

    @classmethod
    def from_error(cls, refused: Refused) -> Self:
        """Return the JSON of a refusal."""
        return cls(
            code=refused.code,
            field=refused.field,
            problem=refused.problem,
            remedy=refused.remedy,
            mend=refused.remedy,
            owner=refused.owner,
            id=refused.accepted_id,
        )

    @property
    def error(self) -> Refused:
        """What a client makes of it."""
        return Refused(self.code, self.field, self.problem, self.remedy or self.mend, self.owner, self.id)


class MessageResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came of one message of a list, which begins with 0."""

    index: int
    accepted: bool
    message: Accepted | None = None
    refusal: RefusedMessage | None = None


class MessageResults(msgspec.Struct, frozen=True):
    """What came of a list of messages; ``repeated`` of the accepted ones had been accepted before."""

    accepted: int
    refused: int
    repeated: int
    verdicts: list[MessageResult]


class BatchCounts(msgspec.Struct, frozen=True):
    """How many messages of a batch are in which state, as far as they are remembered."""

    total: int
    by_status: dict[str, int]


class CancelledBatch(msgspec.Struct, frozen=True):
    """How many of a batch were cancelled, asked for at the gateway, or too late; those that ended are not counted."""

    cancelled: int
    asked: int
    too_late: int


class Move(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another time for a message that waits: ISO 8601 with its zone, within 7 days."""

    deliver_at: str


class Suppress(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A number that must not be sent to; ``scope`` is all, sender:<sender ID> or tag:<tag>; 0 ``days``: for ever."""

    number: str
    scope: Text = "all"
    evidence: Text = ""
    days: Annotated[float, msgspec.Meta(ge=0, le=36_500)] = 0


class Lift(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Entries to take off the list: those of one source and scope, or of any."""

    number: str
    source: Text = ""
    scope: Text = ""


class Number(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A number to look for."""

    number: str


class SuppressionStatus(msgspec.Struct, frozen=True):
    """A number, whether something stands against it that is in force now, and all that stands there."""

    number: str
    suppressed: bool
    entries: list[Entry]


class Lifted(msgspec.Struct, frozen=True):
    """How many entries were taken off."""

    lifted: int


class Page(msgspec.Struct, frozen=True):
    """Suppressed numbers, and where the next page begins; '0' after the last one."""

    numbers: list[SuppressionStatus]
    cursor: str


class BudgetReport(msgspec.Struct, frozen=True):
    """A budget and what is reserved and spent of it, in millionths of a credit; ``over``: refuse, or hold."""

    scope: str
    period: str
    limit_millionths: int
    spent_millionths: int
    over: str


class Rights(msgspec.Struct, frozen=True):
    """What a key may do; no senders or cost centres: any; ``rate`` 0: no limit."""

    id: str
    producer: str
    lanes: tuple[int, ...]
    senders: tuple[str, ...]
    cost_centres: tuple[str, ...]
    bypass: bool
    suppression: bool
    operator: bool
    rate: float
    texts: bool = False


class Health(msgspec.Struct, frozen=True):
    """That the process answers."""

    ok: bool


class FieldProblem(msgspec.Struct, frozen=True):
    """One thing that is wrong: the path of its field in the request, and why."""

    field: str
    problem: str


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a request was not done.

    ``code`` is the gateway's code where it has one, otherwise the HTTP status; ``field`` is the field as the caller
    spelt it, ``detail`` what is wrong and ``remedy`` what would be right (``mend`` is its former name, and will go);
    ``owner`` is who can do it, ``id`` the message that it is about, ``state`` how a message stands that it is too late
    for.  With 503 ``unsure`` are ids that may have been accepted, or not: the same client message id never sends twice;
    ``accepted`` and ``refused`` are what was answered before.
    """

    status: int
    title: str
    detail: str
    code: str
    type: str = "about:blank"
    field: str = ""
    remedy: str = ""
    mend: Former = ""
    owner: Owner = Owner.PRODUCER
    id: str = ""
    errors: tuple[FieldProblem, ...] = ()
    state: str = ""
    unsure: tuple[str, ...] = ()
    accepted: tuple[Accepted, ...] = ()
    refused: tuple[RefusedMessage, ...] = ()


ALL: list[Any] = [
    Accepted,
    BatchCounts,
    BudgetReport,
    Cancelled,
    CancelledBatch,
    FoundMessage,
    Health,
    Lift,
    Lifted,
    Many,
    MessageStatus,
    Move,
    Moved,
    Number,
    Page,
    Problem,
    RefusedMessage,
    Rights,
    SuppressionStatus,
    Suppress,
    MessageResults,
]
"""What the description of the API knows by name."""
