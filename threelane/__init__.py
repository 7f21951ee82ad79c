"""Producer: the contract and the ways in."""

from threelane.contract.message import Message
from threelane.contract.refusal import Code, Owner, Refused
from threelane.producer.accept import Accepted, Answer
from threelane.producer.client import Producer, Unavailable
from threelane.runtime.settings import InvalidSettings, ProducerSettings
from threelane.store.events import Event, Late, Outcome, Reply
from threelane.store.states import Status
from threelane.store.status import MessageStatus

__all__ = [
    "Accepted",
    "Answer",
    "Code",
    "Event",
    "InvalidSettings",
    "Late",
    "Message",
    "MessageStatus",
    "Outcome",
    "Owner",
    "Producer",
    "ProducerSettings",
    "Refused",
    "Reply",
    "Status",
    "Unavailable",
]
