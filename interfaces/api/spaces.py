"""Spaces: the account that a request of an operator names."""

from __future__ import annotations

from threelane.contract.accounts.account import DEFAULT
from threelane.interfaces.api import criteria
from threelane.interfaces.api.service import Service
from threelane.store import accounts
from threelane.store.keys import Space
from threelane.store.spaces import place_of


def space_named(service: Service, account: str, field: str) -> Space:
    """Return the space of an account, "" for the default one; ends the request if there is none of this name."""
    try:
        return place_of(account or DEFAULT, accounts.names(service.redis))
    except ValueError as wrong:
        raise criteria.wrong_field(field, wrong) from None
