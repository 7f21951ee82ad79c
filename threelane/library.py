"""Library: the public names of ``threelane``."""

from threelane.contract.errors import ProducerClosed, Refused, ThreelaneError
from threelane.contract.keywords import MessageFields, MessageMapping
from threelane.contract.message import Message
from threelane.contract.refusal import Code, Owner
from threelane.producer.accept import Accepted
from threelane.producer.cancel import Cancelled
from threelane.producer.client import Producer
from threelane.producer.events import ProducerEvents
from threelane.producer.http.async_client import AsyncHttpProducer
from threelane.producer.http.client import HttpProducer
from threelane.producer.outage import Answer, Unavailable
from threelane.producer.pause import PauseResult
from threelane.producer.reschedule import Moved
from threelane.runtime.settings import InvalidSettings, ProducerSettings
from threelane.store.batches import Batch
from threelane.store.events import Event, Late, Outcome, Reply
from threelane.store.outcome import BatchMessage
from threelane.store.progress import Progress
from threelane.store.scripts import ScriptError
from threelane.store.states import Status
from threelane.store.status import MessageStatus

__all__ = [
    "Accepted",
    "Answer",
    "AsyncHttpProducer",
    "Batch",
    "BatchMessage",
    "Cancelled",
    "Code",
    "Event",
    "HttpProducer",
    "InvalidSettings",
    "Late",
    "Message",
    "MessageFields",
    "MessageMapping",
    "MessageStatus",
    "Moved",
    "Outcome",
    "Owner",
    "PauseResult",
    "Producer",
    "ProducerClosed",
    "ProducerEvents",
    "ProducerSettings",
    "Progress",
    "Refused",
    "Reply",
    "ScriptError",
    "Status",
    "ThreelaneError",
    "Unavailable",
]
