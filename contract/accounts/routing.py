"""Routing: the accounts and routes of an installation, and the choice of an account for a message."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from threelane.contract import features
from threelane.contract.accounts.account import DEFAULT, Account
from threelane.contract.accounts.route import Route, Subject
from threelane.contract.message import Message
from threelane.contract.refusal import Refusal
from threelane.contract.text import Encoding


class Routing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All accounts by name, and the routes in the order in which they are tried.

    ``default`` is the account of a message that no route matches.
    """

    accounts: dict[str, Account] = {}
    routes: tuple[Route, ...] = ()
    default: str = DEFAULT

    @property
    def rules(self) -> tuple[str, ...]:
        """The names of the routes."""
        return tuple(route.name for route in self.routes)

    @property
    def is_one(self) -> bool:
        """Whether there is nothing to choose: no account but the default one, which is not published."""
        return self.accounts.keys() <= {DEFAULT} and not self.routes

    @property
    def version(self) -> str:
        """A digest of the content: equal routings have equal versions in every process."""
        return blake2b(encode(self), digest_size=8).hexdigest()


class Chosen(NamedTuple):
    """The account of a message, its stand-by and the route that chose them; "" for none."""

    account: str
    stand_by: str = ""
    rule: str = ""


decode = msgspec.json.Decoder(Routing).decode
NOBODY: frozenset[str] = frozenset()


def encode(routing: Routing) -> bytes:
    """Return the JSON that ``decode`` reads; the same for equal routings."""
    return msgspec.json.encode(routing, order="deterministic")


def choose(
    routing: Routing, subject: Subject, message_id: str, now: int, drained: Collection[str] = NOBODY
) -> Chosen | None:
    """Return the account of a message by the first route that matches; ``now`` is in milliseconds.

    The hash of the message id decides between weights, so a repeated call gets the same account.  ``drained`` accounts
    take nothing new: a route whose accounts are all drained chooses its stand-by, and is skipped without one.  None: no
    route matches, and the account of such messages is drained.
    """
    for route in routing.routes:
        if route.mismatch(subject, now):
            continue
        if account := _pick(route.accounts, message_id, drained):
            stand_by = route.stand_by if route.stand_by not in drained else ""
            return Chosen(account, stand_by, route.name)
        if route.stand_by and route.stand_by not in drained:
            return Chosen(route.stand_by, "", route.name)
    return Chosen(routing.default) if routing.default not in drained else None


def fit(routing: Routing, chosen: Chosen, message: Message) -> Chosen | Refusal:
    """Return a refusal if the message needs a feature that the account's API lacks.

    A stand-by whose API lacks one, or which would need Unicode for the text, is left out: it never takes this message.
    """
    account, stand_by = routing.accounts.get(chosen.account), routing.accounts.get(chosen.stand_by)
    if account and (refusal := features.refuse(message, account.gateway, f"the account {account.name}")):
        return refusal
    return chosen._replace(stand_by="") if stand_by and not _carries(stand_by, message) else chosen


def _carries(account: Account, message: Message) -> bool:
    if message.encoding is Encoding.GSM_7 and not account.alphabet.issuperset(message.text):
        return False
    return features.refuse(message, account.gateway) is None


def _pick(weights: dict[str, int], message_id: str, drained: Collection[str]) -> str:
    """Return the account of a message id, by weight; "" if all are drained."""
    picked = _by_weight(weights.items(), message_id)
    if picked not in drained:
        return picked
    rest = [(name, weight) for name, weight in weights.items() if name not in drained]
    return _by_weight(rest, message_id) if rest else ""


def _by_weight(weights: Iterable[tuple[str, int]], message_id: str) -> str:
    pairs = sorted(weights)  # not in the order of the file, which nobody expects to matter
    if len(pairs) == 1:
        return pairs[0][0]
    digest = blake2b(message_id.encode(), digest_size=8).digest()
    ticket = int.from_bytes(digest, "big") % sum([weight for _, weight in pairs])
    while ticket >= pairs[0][1]:
        ticket -= pairs.pop(0)[1]
    return pairs[0][0]
