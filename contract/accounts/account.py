"""Account: what every process knows of an account at the gateway; nothing of it is secret."""

from __future__ import annotations

import re
from difflib import get_close_matches

import msgspec

from threelane.contract import charset, prices
from threelane.contract.charset import Charset
from threelane.contract.schedule import GATEWAY_VALIDITY_MINUTES
from threelane.contract.text import Alphabet

DEFAULT = "default"
"""The name of the account of the environment, which needs no file."""
NAME_FORM = "lower-case letters, digits and hyphens between them, at most 24"
CREDITS = "credits"
"""The currency of an account whose balance is in credits."""
MOST_ACCOUNTS = 100

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,22}[a-z0-9])?")


class Account(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An account: its API, and what decides the parts and the estimated price of a message."""

    name: str
    gateway: str
    charset: Charset = "utf-8"
    validity_minutes: int = GATEWAY_VALIDITY_MINUTES
    prices: str = "*=1"
    currency: str = CREDITS

    @property
    def alphabet(self) -> Alphabet:
        """The letters that the account's gateway gets without Unicode."""
        return charset.alphabet(self.gateway, self.charset)

    def price(self, to: str) -> int:
        """Return the estimated price of a part to a number, in millionths of the currency."""
        return prices.parse(self.prices).price(to)


def parse_name(text: str) -> str:
    """Return the name of an account of a file; raises ValueError."""
    if text == DEFAULT:
        raise ValueError(f"{DEFAULT} is the name of the account of the environment; choose another name")
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is not a name; use {NAME_FORM}")
    return text


def stored(name: str) -> str:
    """Return an account as keys and records have it: "" for the account of the environment."""
    return "" if name == DEFAULT else name


def shown(account: str) -> str:
    """Return the name of an account as people and metrics have it; "", as in keys and records, is the default one."""
    return account or DEFAULT


def option(account: str) -> str:
    """Return the option of commands that names an account, after a space; none for the default one."""
    return f" --account {account}" if account else ""


def nearest(word: str, known: list[str]) -> str:
    """Return a hint at the known word that was probably meant, or the list of all."""
    near = get_close_matches(word, known, n=1)
    return f"did you mean {near[0]}?" if near else f"choose one of {', '.join(known)}"
