"""Places: the index in KEYS of each key that a script names.

The order is: keys found in the source, single keys of the signature, budget keys of each period, lists of keys of the
same length, and the keys of the list with a length of its own.  Of the last ones, an argument has the number.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from threelane.store.budgets import MOST_PERIODS
from threelane.store.keys import KINDS, LANES, Key
from threelane.store.signature import Signature


class UnknownName(Exception):
    """A script uses an unknown name: an error in its source."""


@dataclass
class Places:
    """The expression for each key; for one of several keys it ends with ``+``, and the number follows."""

    fixed: list[tuple[Key, str]] = field(default_factory=list)  # keys that no caller gives, with their suffixes
    has_periods: bool = False
    by_name: dict[str, str] = field(default_factory=dict)
    lengths: dict[str, str] = field(default_factory=dict)  # of lists

    @classmethod
    def assign(cls, named: Iterable[str], signature: Signature) -> Places:
        """Return the places of the keys in a source; raises UnknownName for a key that no parameter gives."""
        places = cls()
        for name in dict.fromkeys(named):
            if name not in (*signature.keys, *signature.lists, signature.last):
                places._fix(name)
        count = len(places.fixed)
        for name in signature.keys:
            count += 1
            places.by_name[name] = f"KEYS[{count}]"
        if places.has_periods:
            places.by_name["spent"] = f"KEYS[{count} + "
            count += MOST_PERIODS
        last, lists = f" - {signature.last_count}" if signature.last else "", len(signature.lists)
        for at, name in enumerate(signature.lists):
            offset = f" + {at} * (#KEYS - {count}{last}) / {lists}" if at else ""
            places.by_name[name] = f"KEYS[{count}{offset} + "
            places.lengths[name] = f"((#KEYS - {count}{last}) / {lists})"
        if signature.last:
            places.by_name[signature.last] = f"KEYS[#KEYS{last} + "
            places.lengths[signature.last] = signature.last_count
        return places

    def _fix(self, name: str) -> None:
        key = Key.__members__.get(name.upper())
        if key is Key.SPENT:
            self.has_periods = True
        elif key is not None and KINDS[key].suffix == "lane":
            self.by_name[name] = f"KEYS[{len(self.fixed)} + "
            self.fixed += [(key, str(lane)) for lane in LANES]
        elif key is None or KINDS[key].suffix:
            raise UnknownName(f"KEY.{name}: unknown key, or a key with a suffix that no parameter gives")
        else:
            self.fixed.append((key, ""))
            self.by_name[name] = f"KEYS[{len(self.fixed)}]"
