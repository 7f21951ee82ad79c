"""Values: the requests and responses of the HTTP API, besides the producer's own types."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Self

import msgspec

from threelane.contract.errors import Refused
from threelane.contract.refusal import Owner
from threelane.producer.accept import Accepted
from threelane.producer.cancel import Cancelled
from threelane.producer.files.countries import CountryCost
from threelane.producer.pause import PauseResult
from threelane.producer.reschedule import Moved
from threelane.store.batches import Batch
from threelane.store.find import FoundMessage
from threelane.store.outcome import BatchMessage
from threelane.store.progress import Progress
from threelane.store.status import MessageStatus
from threelane.store.suppression import Entry

MOST_MESSAGES = 10_000
Text = Annotated[str, msgspec.Meta(max_length=200)]
Deprecated = Annotated[
    str, msgspec.Meta(extra_json_schema={"deprecated": True})
]  # a field that the next release removes


class Many(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A list of messages; each is refused or accepted independently."""

    messages: list[msgspec.Raw]


class RefusedMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Why a message was not accepted; ``mend`` is the deprecated name of ``remedy``."""

    code: str
    field: str
    problem: str
    remedy: str = ""
    mend: Deprecated = ""
    owner: Owner = Owner.PRODUCER
    id: str = ""
    retry_after: float = 0  # seconds until a limit has room

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
            retry_after=refused.retry_after,
        )

    @property
    def error(self) -> Refused:
        """The exception for clients."""
        remedy = self.remedy or self.mend
        return Refused(self.code, self.field, self.problem, remedy, self.owner, self.id, self.retry_after)


class MessageResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """The result for one message of a list; indexes start at 0."""

    index: int
    accepted: bool
    message: Accepted | None = None
    refusal: RefusedMessage | None = None


class MessageResults(msgspec.Struct, frozen=True):
    """The results for a list of messages; ``repeated`` of the accepted ones had been accepted before."""

    accepted: int
    refused: int
    repeated: int
    verdicts: list[MessageResult]


class ListedBatch(Batch, frozen=True, kw_only=True):
    """A batch in a list; ``paused_since`` is None if it is not paused, 0 if it has been for an unknown time (ms)."""

    paused_since: int | None = None


class BatchPage(msgspec.Struct, frozen=True):
    """Some batches, the latest first, and the cursor of the next page; '0' after the last one.

    A page may have fewer than were requested, or none, and still be followed by others.
    """

    batches: list[ListedBatch]
    cursor: str

    @property
    def found(self) -> Iterator[Batch]:
        """The batches alone, as the library has them."""
        for one in self.batches:
            yield Batch(**{name: getattr(one, name) for name in Batch.__struct_fields__})


class BatchProgress(Progress, frozen=True, kw_only=True):
    """How far a batch is, and its messages by state and country.

    ``total`` and ``by_status`` leave out messages whose outcome is forgotten.  ``by_country`` has parts and estimated
    cost; messages whose number is erased, or whose record expired, are left out.
    """

    total: int
    by_status: dict[str, int]
    by_country: dict[str, CountryCost]


class BatchMessages(msgspec.Struct, frozen=True):
    """Some messages of a batch, unordered, and the cursor of the next page; '0' after the last one.

    A message may be on two pages.
    """

    messages: list[BatchMessage]
    cursor: str

    def new(self, seen: set[str]) -> Iterator[BatchMessage]:
        """Yield the messages whose ids are not among those of earlier pages, and note theirs."""
        for one in self.messages:
            if one.id not in seen:
                seen.add(one.id)
                yield one


class CancelResults(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """How many messages of a batch were cancelled, requested from the gateway, too late, or are not retried.

    ``not_retried`` are those with an attempt in progress or in doubt: their outcome events follow.  For a page of the
    batch, ``messages`` has each result, and ``cursor`` is that of the next page; '0' after the last one.
    """

    cancelled: int
    asked: int
    too_late: int
    not_retried: int
    unknown: int = 0
    messages: list[Cancelled] = []
    cursor: str = "0"


class CancelledBatch(msgspec.Struct, frozen=True):
    """How many messages were cancelled, requested from the gateway, too late, or are not retried; the rest had ended.

    ``not_retried`` are those with an attempt in progress or in doubt: their outcome events follow.
    """

    cancelled: int
    asked: int
    too_late: int
    not_retried: int = 0


class Move(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another time for a scheduled message: ISO 8601 with a zone, within 7 days."""

    deliver_at: str


class Suppress(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A number that must not be sent to; ``days`` 0: no end.

    ``scope`` is all, sender:<sender ID>, tag:<tag>, lanes:2,3 or number:<our number>.
    """

    number: str
    scope: Text = "all"
    evidence: Text = ""
    days: Annotated[float, msgspec.Meta(ge=0, le=36_500)] = 0


class Lift(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Entries to remove from the list: those of one source and scope, or of any."""

    number: str
    source: Text = ""
    scope: Text = ""


class Number(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A number to look up."""

    number: str


class SuppressionStatus(msgspec.Struct, frozen=True):
    """A number, whether an entry is in force now, and all entries."""

    number: str
    suppressed: bool
    entries: list[Entry]


class Lifted(msgspec.Struct, frozen=True):
    """How many entries were removed."""

    lifted: int


class Page(msgspec.Struct, frozen=True):
    """Suppressed numbers, and the cursor of the next page; '0' after the last one."""

    numbers: list[SuppressionStatus]
    cursor: str


class BudgetReport(msgspec.Struct, frozen=True):
    """A budget and its reserved and spent amount, in millionths of a credit; ``over``: refuse or hold."""

    scope: str
    period: str
    limit_millionths: int
    spent_millionths: int
    over: str


class Rights(msgspec.Struct, frozen=True):
    """The rights of an API key; no senders or cost centres: any; ``rate`` 0: no limit; ``expires`` 0: never (ms).

    ``numbers`` is how numbers without + or 00 are read; empty: as the producer's or the installation's setting says.
    """

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
    viewer: bool = False
    evidence: bool = False
    expires: int = 0
    numbers: str = ""


class Health(msgspec.Struct, frozen=True):
    """The process is up."""

    ok: bool


class FieldProblem(msgspec.Struct, frozen=True):
    """One problem: the path of the field in the request, and the error."""

    field: str
    problem: str


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a request failed.

    ``code`` is the gateway's error code if there is one, otherwise the HTTP status; ``field`` is the name of the field
    as the caller spelt it, ``detail`` the error and ``remedy`` the fix (``mend`` is its deprecated name); ``owner`` is
    who can apply it, ``id`` the message, ``state`` the state of a message for which a request is too late.  With 503,
    ``unsure`` are ids that may have been accepted: a retry with the same client message id never sends twice;
    ``accepted`` and ``refused`` are the answers from before the outage.
    """

    status: int
    title: str
    detail: str
    code: str
    type: str = "about:blank"
    field: str = ""
    remedy: str = ""
    mend: Deprecated = ""
    owner: Owner = Owner.PRODUCER
    id: str = ""
    errors: tuple[FieldProblem, ...] = ()
    state: str = ""
    unsure: tuple[str, ...] = ()
    accepted: tuple[Accepted, ...] = ()
    refused: tuple[RefusedMessage, ...] = ()


ALL: list[Any] = [
    Accepted,
    BatchMessages,
    BatchPage,
    BatchProgress,
    BudgetReport,
    CancelResults,
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
    PauseResult,
    Problem,
    RefusedMessage,
    Rights,
    SuppressionStatus,
    Suppress,
    MessageResults,
]
"""The schemas of the OpenAPI description."""
