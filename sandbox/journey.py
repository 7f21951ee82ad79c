"""The journey of a message: its statuses over time, and a receipt for each."""

from collections.abc import Callable
from functools import partial
from typing import Protocol

from threelane.sandbox.account import Account
from threelane.sandbox.codes import AT_NETWORK, CANCELLED, REACHES_NETWORK, RECEIVED, SCHEDULED, UNCHARGED
from threelane.sandbox.ledger import Ledger, LedgerMessage
from threelane.sandbox.settings import SandboxSettings
from threelane.sandbox.timetable import Timetable


class Receipts(Protocol):
    """Receives every status change."""

    def push(self, message: LedgerMessage, status: str, at: float) -> None:
        """Pushes a status of a message."""


class Journey:
    """Moves messages: 011 until due, 008, then 003 and a final status, or only a final status."""

    __slots__ = ("_account", "_clock", "_ledger", "_receipts", "_settings", "_timetable")

    def __init__(
        self,
        account: Account,
        ledger: Ledger,
        receipts: Receipts,
        timetable: Timetable,
        clock: Callable[[], float],
        settings: Callable[[], SandboxSettings],
    ) -> None:
        self._account = account
        self._ledger = ledger
        self._receipts = receipts
        self._timetable = timetable
        self._clock = clock
        self._settings = settings

    def begin(self, message: LedgerMessage) -> None:
        """Enters an accepted message and starts it, now or when it is due."""
        due_at = message.order.due_at
        if due_at is not None and due_at > message.taken_at:
            self._ledger.enter(message, SCHEDULED)
            released_at = message.taken_at + (due_at - message.taken_at) * self._settings().schedule_scale
            self._timetable.at(released_at, partial(self._release, message, released_at))
        else:
            self._ledger.enter(message, RECEIVED)
            self._start(message, message.taken_at)

    def cancel(self, message: LedgerMessage) -> None:
        """Cancels a scheduled message and refunds its charge; does nothing to any other."""
        if message.status == SCHEDULED:
            self._move(message, CANCELLED)

    def _release(self, message: LedgerMessage, released_at: float) -> None:
        if message.status == SCHEDULED:
            self._move(message, RECEIVED)
            self._start(message, released_at)

    def _start(self, message: LedgerMessage, since: float) -> None:
        settings, ends_in = self._settings(), message.effects.ends_in
        network_at = since + settings.gateway_after_seconds
        end_at = max(network_at, since + settings.handset_after_seconds) + message.effects.ends_later_seconds
        if ends_in in REACHES_NETWORK:
            self._timetable.at(network_at, partial(self._reach_network, message, end_at))
        elif ends_in != RECEIVED:
            self._timetable.at(end_at, partial(self._move, message, ends_in))

    def _reach_network(self, message: LedgerMessage, end_at: float) -> None:
        self._move(message, AT_NETWORK)
        self._timetable.at(end_at, partial(self._move, message, message.effects.ends_in))

    def _move(self, message: LedgerMessage, status: str) -> None:
        if status in UNCHARGED:
            self._account.give_back(message.charge)
            message.charge -= message.charge
        now = self._clock()
        self._ledger.move(message, status, now)
        self._receipts.push(message, status, now)
