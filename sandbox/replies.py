"""Replies: takes what a person texts, opts them out or in by keyword, and pushes it part by part."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from threelane.sandbox import keywords, reply_shapes
from threelane.sandbox.account import Account
from threelane.sandbox.callbacks import Callbacks
from threelane.sandbox.keywords import Wish
from threelane.sandbox.ledger import Ledger
from threelane.sandbox.push import Push, address
from threelane.sandbox.reply import HandsetPart, HandsetReply
from threelane.sandbox.settings import SandboxSettings

_KEPT: Final = 10_000
_JOINS: Final = "050003"  # a header of five octets that joins parts by a reference of one octet


@dataclass(frozen=True, slots=True)
class TakenReply:
    """A reply that was taken."""

    reply: HandsetReply
    at: float
    parts: list[HandsetPart]

    def as_json(self) -> dict[str, object]:
        """Returns the reply as the control address shows it."""
        reply = self.reply
        return {
            "at": self.at,
            "api": reply.api,
            "form": reply.carried_as,
            "from": reply.sender,
            "to": reply.to,
            "text": reply.text,
            "charset": reply.carried_in,
            "network": reply.network or None,
            "related": reply.related or None,
            "parts": [part.as_json() for part in self.parts],
        }


class Replies:
    """The latest ten thousand replies."""

    __slots__ = ("_account", "_callbacks", "_chance", "_clock", "_kept", "_ledger", "_settings")

    def __init__(
        self,
        account: Account,
        ledger: Ledger,
        callbacks: Callbacks,
        clock: Callable[[], float],
        settings: Callable[[], SandboxSettings],
        seed: int,
    ) -> None:
        self._account = account
        self._ledger = ledger
        self._callbacks = callbacks
        self._clock = clock
        self._settings = settings
        self._chance = Random(f"{seed} replies")
        self._kept: deque[TakenReply] = deque(maxlen=_KEPT)

    def clear(self) -> None:
        """Forgets every reply."""
        self._kept.clear()

    def take(self, reply: HandsetReply) -> TakenReply:
        """Keeps a reply, does what its keyword asks, and pushes it if there is a URL."""
        taken = TakenReply(reply, self._clock(), self._parts(reply))
        self._kept.append(taken)
        if reply.opts_out:
            self._obey(reply)
        if address(reply.api, True, self._settings()):
            self._push(taken)
        return taken

    def as_json(self, sender: str | None = None) -> list[dict[str, object]]:
        """Returns the replies of one person or of all, oldest first."""
        return [taken.as_json() for taken in self._kept if sender is None or taken.reply.sender == sender]

    def _parts(self, reply: HandsetReply) -> list[HandsetPart]:
        pieces = reply.cut()
        reference = self._chance.getrandbits(8) if reply.reference is None else reply.reference
        joins = f"{_JOINS}{reference:02x}{len(pieces):02x}" if len(pieces) > 1 else ""
        return [
            HandsetPart(
                id=f"{self._chance.getrandbits(128):032x}",
                text=piece,
                udh=f"{joins}{number:02x}" if joins else "",
                is_dropped=number == reply.drop_part,
            )
            for number, piece in enumerate(pieces, 1)
        ]

    def _obey(self, reply: HandsetReply) -> None:
        wish = keywords.wish(reply.text)
        if wish is Wish.STOP:
            self._account.opt_out(reply.sender)
        elif wish is Wish.START:
            self._account.opt_in(reply.sender)

    def _push(self, taken: TakenReply) -> None:
        """Pushes all parts by one connection, so that they arrive in the order chosen here."""
        reply, related = taken.reply, self._ledger.by_id(taken.reply.related)
        client_id = (related.order.client_id or None) if related else None
        train: list[Push] = []
        for part in taken.parts:
            if part.is_dropped:
                continue
            content = reply_shapes.write(reply, part, taken.at, self._account.api_id, client_id)
            push = Push(reply.api, reply.carried_as, content, is_reply=True, tally=part.tally)
            part.callbacks = reply.repeat
            train.extend([push] * reply.repeat)
        self._callbacks.enqueue(self._shuffled(train) if reply.shuffle else train)

    def _shuffled(self, train: list[Push]) -> list[Push]:
        """Returns another order; by chance alone it could be the same."""
        shuffled = self._chance.sample(train, len(train))
        return shuffled if shuffled != train else shuffled[::-1]
