"""Producer: the contract and the ways in."""

from producer.accept import Accepted, Answer
from producer.client import Producer, Unavailable
from producer.message import Message
from producer.refusal import Code, Owner, Refused
from producer.settings import InvalidSettings, ProducerSettings
from producer.states import Status
from producer.status import MessageStatus

__all__ = [
    "Accepted",
    "Answer",
    "Code",
    "InvalidSettings",
    "Message",
    "MessageStatus",
    "Owner",
    "Producer",
    "ProducerSettings",
    "Refused",
    "Status",
    "Unavailable",
]
