"""Routes: the account of each message, by the accounts and routes as this process read them last."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import redis

from threelane.contract import features, prices
from threelane.contract.accounts import routing as routings
from threelane.contract.accounts.account import CREDITS, DEFAULT, Account, stored
from threelane.contract.accounts.routing import Chosen
from threelane.contract.message import Draft, Message
from threelane.contract.prices import Prices
from threelane.contract.refusal import Code, Owner, Refusal
from threelane.runtime.settings import Settings
from threelane.store import accounts, keys, rows
from threelane.store.accounts import Published
from threelane.store.keys import Space

NOT_CHOSEN = Chosen(DEFAULT)
"""The account of every message of an installation that has one; its records name none."""

NOTHING = Published()


class Routes:
    """Accounts and routes as they were published together, with the prices of each account; never changed."""

    def __init__(
        self, own: Account, published: Published = NOTHING, learned: Mapping[str, Mapping[bytes, bytes]] = {}
    ) -> None:
        """Take the account of this process's settings, which applies until others are published."""
        self._own, self._published = own, published
        self.accounts = published.routing.accounts or {own.name: own}
        self.version = published.version
        self.is_single = not published.routing.accounts
        self.has_one_choice = self.is_single and not published.drained and not published.is_damaged
        self._prices = {
            name: prices.parse(one.prices).with_learned(learned.get(name, {})) for name, one in self.accounts.items()
        }
        self.alphabets = tuple(dict.fromkeys(one.alphabet for one in self.accounts.values()))
        """The letters that some account's gateway gets without Unicode."""

    def choose(self, sms: Message, now: int) -> Chosen | None:
        """Return the account of a message when it is to be sent; None: no account may take it."""
        if self.has_one_choice:
            return NOT_CHOSEN
        published = self._published
        if published.is_damaged:
            return None
        return routings.choose(published.routing, sms, sms.id, max(sms.due_at, now), published.drained)

    def fit(self, sms: Message, chosen: Chosen | None, *, names_account: bool) -> Chosen | Refusal:
        """Return the account of a message, or the refusal of one that no account, or not this one, can take.

        A stand-by that cannot carry the message is left out.  ``names_account``: the caller may know its name.
        """
        if chosen is None:
            return _damaged() if self._published.is_damaged else _drained([*self._published.drained], names_account)
        if self.is_single:
            return features.refuse(sms, self.accounts[chosen.account].gateway) or chosen
        found = routings.fit(self._published.routing, chosen, sms)
        if isinstance(found, Refusal) and not names_account:
            return features.refuse(sms, self.accounts[chosen.account].gateway) or found
        return found

    def api(self, space: Space) -> str:
        """Return the API of a space's account; that of this process's settings if its account is not in use."""
        known = self.accounts.get(space.account or DEFAULT, self._own)
        return known.gateway

    def currency(self, account: str) -> str:
        """Return the currency of an account; credits for one that is no longer in use."""
        known = self.accounts.get(account)
        return known.currency if known else CREDITS

    def prices(self, account: str = DEFAULT) -> Prices:
        """Return the prices of an account; the default ones for an account that is no longer in use."""
        return self._prices.get(account) or self._prices.get(DEFAULT) or next(iter(self._prices.values()))


def read(client: redis.Redis, own: Account) -> Routes:
    """Return the accounts and routes that are published now, with learned prices; raises RedisError."""
    published = accounts.read(client)
    names = [*(published.routing.accounts or [DEFAULT])]
    of_each = [keys.names(keys.space_of(stored(name))).PRICES for name in names]
    with client.pipeline(transaction=False) as pipe:
        for key in of_each:
            pipe.hgetall(key)
        found = pipe.execute(raise_on_error=False)
    learned = {name: rows.known(key, row, {}) for name, key, row in zip(names, of_each, found, strict=True)}
    return Routes(own, published, learned)


def own_account(settings: Settings) -> Account:
    """Return the account of a process's settings."""
    return Account(
        name=DEFAULT,
        gateway=settings.gateway,
        charset=settings.gateway_charset,
        validity_minutes=settings.gateway_validity_minutes,
        prices=settings.prices,
    )


def with_id_of(first: Draft, draft: Draft) -> Draft:
    """Return a message that was parsed again under the id that chose its account."""
    if draft.message.id == first.message.id:
        return draft
    return msgspec.structs.replace(draft, message=msgspec.structs.replace(draft.message, id=first.message.id))


def _drained(names: list[str], names_account: bool) -> Refusal:
    which = f": {', '.join(names)} {'is' if len(names) == 1 else 'are'} drained" if names_account else ""
    use = f": threelane account use {names[0]}" if names_account and names else ""
    return Refusal(
        code=Code.NO_ROUTE,
        field="account",
        problem=f"no account takes this message now{which}",
        remedy=f"send it later; an operator can let the account take messages again{use}, or give its route a stand-by",
        owner=Owner.OPERATOR,
    )


def _damaged() -> Refusal:
    return Refusal(
        code=Code.NO_ROUTE,
        field="account",
        problem="the published accounts or routes are damaged, so the account of this message is unknown",
        remedy="ask an operator to restart a worker, which publishes them, and to drain or use an account: "
        "threelane doctor",
        owner=Owner.OPERATOR,
    )
