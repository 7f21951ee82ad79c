"""Each account: the accounts that reports show one by one, and how they name them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import redis

from threelane.contract.accounts.account import DEFAULT, shown, stored
from threelane.store import accounts
from threelane.store.accounts import Drained
from threelane.store.keys import HERE, Space
from threelane.store.sizes import indexes_of
from threelane.store.spaces import spaces
from threelane.store.states import Status

WAITING = (Status.SCHEDULED, Status.QUEUED, Status.PAUSED, Status.SENDING, Status.IN_DOUBT)


class Accounts(NamedTuple):
    """The accounts that a report shows; ``known``: those that workers have in their file, by name.

    ``waiting`` counts the messages of each that the gateway does not have for certain; ``gateways`` has the API of each
    account of the file, by its name in keys.
    """

    places: tuple[Space, ...]
    known: frozenset[str]
    drained: Mapping[str, Drained]
    waiting: Mapping[Space, int]
    version: str  # of the accounts and routes; "" while there is one
    gateways: Mapping[str, str]

    @property
    def is_one(self) -> bool:
        """Whether reports need no names."""
        return self.places == (HERE,)

    def label(self, space: Space, what: str) -> str:
        """Return what a finding is about, with the account if there are several."""
        return what if self.is_one else f"{shown(space.account)}: {what}"


def read(client: redis.Redis) -> Accounts:
    """Return the accounts of the file, and those that are no longer in it and have messages that wait."""
    published = accounts.read(client)
    known = frozenset(published.routing.accounts) or frozenset({DEFAULT})
    every = spaces(client)
    waiting = dict(zip(every, _waiting(client, every), strict=True))
    places = tuple(one for one in every if shown(one.account) in known or waiting[one])
    routing = published.routing
    gateways = {stored(name): one.gateway for name, one in routing.accounts.items() if name != DEFAULT}
    return Accounts(
        places or (HERE,), known, published.drained, waiting, "" if routing.is_one else routing.version, gateways
    )


def _waiting(client: redis.Redis, places: Sequence[Space]) -> list[int]:
    indexes = [indexes_of([one], *WAITING) for one in places]
    with client.pipeline(transaction=False) as pipe:
        for index in (index for each in indexes for index in each):
            pipe.zcard(index)
        found = iter(pipe.execute(raise_on_error=False))
    return [sum(one for one in (next(found) for _ in each) if isinstance(one, int)) for each in indexes]
