"""Replies: accepts a person's text, opts them out or in by keyword, and pushes it part by part."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from threelane.sandbox import reply_shapes
from threelane.sandbox.account import Account
from threelane.sandbox.callbacks import Callbacks
from threelane.sandbox.keywords import KeywordAction, keyword_action
from threelane.sandbox.ledger import Ledger
from threelane.sandbox.push import Push, address
from threelane.sandbox.reply import HandsetPart, HandsetReply
from threelane.sandbox.settings import SandboxSettings

_KEPT: Final = 10_000
_JOINS: Final = "050003"  # a 5-octet header that joins parts by a 1-octet reference


@dataclass(frozen=True, slots=True)
class TakenReply:
    """An accepted reply."""

    reply: HandsetReply
    at: float
    parts: list[HandsetPart]

    def as_json(self) -> dict[str, object]:
        """Returns the reply as the control API shows it."""
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
    """The latest 10,000 replies."""

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
        """Removes every reply."""
        self._kept.clear()

    def take(self, reply: HandsetReply) -> TakenReply:
        """Records a reply, applies its keyword, and pushes it if a URL is set."""
        taken = TakenReply(reply, self._clock(), self._parts(reply))
        self._kept.append(taken)
        if reply.opts_out:
            self._apply_keyword(reply)
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

    def _apply_keyword(self, reply: HandsetReply) -> None:
        action = keyword_action(reply.text)
        if action is KeywordAction.STOP:
            self._account.opt_out(reply.sender)
        elif action is KeywordAction.START:
            self._account.opt_in(reply.sender)

    def _push(self, taken: TakenReply) -> None:
        """Pushes all parts over one connection, so that they arrive in the order chosen here."""
        reply, related = taken.reply, self._ledger.by_id(taken.reply.related)
        client_id = (related.order.client_id or None) if related else None
        batch: list[Push] = []
        for part in taken.parts:
            if part.is_dropped:
                continue
            content = reply_shapes.write(reply, part, taken.at, self._account.api_id, client_id)
            push = Push(reply.api, reply.carried_as, content, is_reply=True, tally=part.tally)
            part.callbacks = reply.repeat
            batch.extend([push] * reply.repeat)
        self._callbacks.enqueue(self._shuffled(batch) if reply.shuffle else batch)

    def _shuffled(self, batch: list[Push]) -> list[Push]:
        """Returns a different order, also when the random order is the same."""
        shuffled = self._chance.sample(batch, len(batch))
        return shuffled if shuffled != batch else shuffled[::-1]
