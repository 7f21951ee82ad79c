"""ApiKey: an API key as Redis stores it: its limits, its rights, and the digests of its secrets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from threelane.store import keys, overlap
from threelane.store.overlap import EarlierSecret


class Limit(NamedTuple):
    """A limit that every new key has, or explicitly lacks: the field, its value without a limit, and the option."""

    field: str
    unlimited: Any
    words: str
    option: str


LIMITS = (
    Limit("lanes", keys.LANES, "all lanes", "--lane"),
    Limit("senders", (), "any sender", "--sender"),
    Limit("rate", 0.0, "no rate limit", "--rate"),
    Limit("expires", 0, "no expiry", "--days"),
)


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """An API key and its rights; times are milliseconds of Unix time, ``expires`` 0 for never.

    ``senders``, ``cost_centres`` and ``countries`` are the allowed ones, empty for any.  ``bypass`` is the right to
    send legal notices and to skip the gateway's do-not-contact check (the producer needs it as well),
    ``suppression`` to read and change the list of suppressed numbers, ``operator`` to use all operator endpoints,
    for every producer, ``viewer`` to use those that only read, ``texts`` to also read texts and full numbers,
    ``evidence`` to read why a number is suppressed; None if an earlier version created the key.  ``rate`` is
    messages and other requests per second, 0 for no limit; ``numbers`` how numbers without + or 00 are read, empty as
    the producer's setting says.  ``earlier`` are the secrets before ``digest`` that may still be valid.
    """

    id: str
    producer: str
    digest: str
    lanes: tuple[int, ...] = keys.LANES
    senders: tuple[str, ...] = ()
    cost_centres: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()
    bypass: bool = False
    suppression: bool = False
    operator: bool = False
    viewer: bool = False
    texts: bool = False
    evidence: bool | None = None
    rate: float = 0.0
    made: int = 0
    expires: int = 0
    note: str = ""
    numbers: str = ""
    rotated: int = 0
    earlier: tuple[EarlierSecret, ...] = ()

    def __repr__(self) -> str:
        """Show id and producer, without the digest."""
        return f"ApiKey({self.id!r}, producer={self.producer!r})"

    @property
    def may_suppress(self) -> bool:
        """Whether it may read and change the list of suppressed numbers."""
        return self.suppression or self.operator

    @property
    def may_view(self) -> bool:
        """Whether it may see the console and read what operators read, for every producer."""
        return self.viewer or self.operator

    @property
    def may_read_evidence(self) -> bool:
        """Whether it may read the reasons of suppressions; keys of earlier versions could if they had the list."""
        return self.may_suppress if self.evidence is None else self.evidence

    @property
    def may_read_numbers(self) -> bool:
        """Whether it may read full numbers that are not its producer's; operators of earlier versions could."""
        return self.texts or (self.evidence is None and self.may_suppress)

    @property
    def unlimited(self) -> tuple[str, ...]:
        """What it lacks a limit of, in words, such as ``any sender``."""
        return tuple(one.words for one in LIMITS if getattr(self, one.field) == one.unlimited)

    @property
    def is_wide(self) -> bool:
        """Whether it lacks a limit of senders, rate or time; all lanes alone is a choice that many keys need."""
        return bool({*self.unlimited} - {LIMITS[0].words})

    def digests(self, now: int) -> Iterator[str]:
        """Yield the digests of all valid secrets, the newest first."""
        yield self.digest
        yield from (one.value for one in overlap.valid(self.earlier, now))


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(ApiKey).decode
