"""Producer: the contract and the ways in."""

from producer.accept import Accepted, Answer
from producer.client import Producer, Unavailable
from producer.events import Event, Late, Outcome, Reply
from producer.message import Message
from producer.refusal import Code, Owner, Refused
from producer.settings import InvalidSettings, ProducerSettings
from producer.states import Status
from producer.status import MessageStatus

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
