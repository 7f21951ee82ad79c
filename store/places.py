"""Places: where each key that a script names stands in its KEYS.

First the keys that are found in its source, then the single keys of its signature, then what is spent in each of the
periods, then its lists of keys, which are of one length.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from threelane.store.budgets import MOST_PERIODS
from threelane.store.keys import KINDS, LANES, Key
from threelane.store.signature import Signature


class UnknownName(Exception):
    """A script names what is not there: a mistake in its source."""


@dataclass
class Places:
    """What stands where; the place of one of several keys ends with ``+``, and its number comes behind."""

    fixed: list[tuple[Key, str]] = field(default_factory=list)  # keys that no caller names, and what each is of
    has_periods: bool = False
    of: dict[str, str] = field(default_factory=dict)
    lengths: dict[str, str] = field(default_factory=dict)  # of lists

    @classmethod
    def assign(cls, named: Iterable[str], signature: Signature) -> Places:
        """Return the places of the keys that a source names; raises UnknownName for what only a caller can name."""
        places = cls()
        for name in dict.fromkeys(named):
            if name not in (*signature.keys, *signature.lists):
                places._fix(name)
        count = len(places.fixed)
        for name in signature.keys:
            count += 1
            places.of[name] = f"KEYS[{count}]"
        if places.has_periods:
            places.of["spent"] = f"KEYS[{count} + "
            count += MOST_PERIODS
        lists = len(signature.lists)
        for at, name in enumerate(signature.lists):
            behind = f" + {at} * (#KEYS - {count}) / {lists}" if at else ""
            places.of[name] = f"KEYS[{count}{behind} + "
            places.lengths[name] = f"((#KEYS - {count}) / {lists})"
        return places

    def _fix(self, name: str) -> None:
        key = Key.__members__.get(name.upper())
        if key is Key.SPENT:
            self.has_periods = True
        elif key is Key.QUEUED:
            self.of[name] = f"KEYS[{len(self.fixed)} + "
            self.fixed += [(key, str(lane)) for lane in LANES]
        elif key is None or KINDS[key].suffix:
            raise UnknownName(f"KEY.{name}: there is no such key, or more than one, and no parameter says which")
        else:
            self.fixed.append((key, ""))
            self.of[name] = f"KEYS[{len(self.fixed)}]"
