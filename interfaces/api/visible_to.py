"""Visible to: what a key may read of numbers and evidence that are not its producer's own.

A producer reads the numbers of its own messages, which it gave.  Numbers of others, which operator keys see, are masked
without the right ``texts``; the reasons of suppressions are left out without the right ``evidence``.  The names of
accounts are for keys that see all producers' messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from threelane.contract import phone
from threelane.operations.explain import Story
from threelane.store import suppression
from threelane.store.api_key import ApiKey
from threelane.store.find import FoundMessage
from threelane.store.outcome import BatchMessage
from threelane.store.status import MessageStatus
from threelane.store.suppression import Entry

F = TypeVar("F", FoundMessage, BatchMessage)
_ID = "id"  # of a message or an event: digits in it are no number


def reads_numbers_of(key: ApiKey, producer: str) -> bool:
    """Return whether a key may read the numbers of a producer's messages in full."""
    return key.may_read_numbers or producer == key.producer


def message(key: ApiKey, one: MessageStatus) -> Any:
    """Return a status as this key may read it."""
    one = _of_account(key, one)
    return one if reads_numbers_of(key, one.producer) else _masked(one, one.to)


def messages(key: ApiKey, found: Sequence[FoundMessage]) -> list[Any]:
    """Return messages as this key may read them."""
    found = without_accounts(key, found)
    return [one if reads_numbers_of(key, one.producer) else _masked(one, one.to) for one in found]


def without_accounts(key: ApiKey, found: Sequence[F]) -> Sequence[F]:
    """Return messages without their accounts, unless the key may read them."""
    return found if key.may_view else [msgspec.structs.replace(one, account=msgspec.UNSET) for one in found]


def story(key: ApiKey, one: Story) -> Any:
    """Return a story as this key may read it: the number is masked in all its texts, too."""
    one = msgspec.structs.replace(one, message=_of_account(key, one.message))
    return one if reads_numbers_of(key, one.producer) else _masked(one, one.message.to)


def entries(key: ApiKey, found: Sequence[Entry]) -> list[Entry]:
    """Return the entries of a suppressed number as this key may read them."""
    return list(found) if key.may_read_evidence else [suppression.without_evidence(one) for one in found]


def listed_number(key: ApiKey, number: str) -> str:
    """Return a number of the suppression list as this key may read it."""
    return number if key.may_read_numbers else phone.mask(number)


def _of_account(key: ApiKey, one: MessageStatus) -> MessageStatus:
    """Return a status without its account, unless the key may read it: accounts are the operator's, not a tenant's."""
    return one if key.may_view else msgspec.structs.replace(one, account="")


def _masked(value: Any, number: str) -> Any:
    """Return a value as JSON has it, with the number masked in every text except ids."""
    return _replaced(msgspec.to_builtins(value), number, phone.mask(number)) if number else value


def _replaced(value: Any, number: str, mask: str) -> Any:
    if isinstance(value, str):
        return value.replace(number, mask)
    if isinstance(value, dict):
        return {name: one if name == _ID else _replaced(one, number, mask) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_replaced(one, number, mask) for one in value]
    return value
