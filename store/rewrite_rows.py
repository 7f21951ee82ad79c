"""Rewrite rows: changes the outcome or the tag of a batch's rows, and no other part of them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import redis

from threelane.contract import message_id
from threelane.store import batches, keys
from threelane.store.batches import ERASED, SLICE, TAG_OCTETS, octets, subscriber_tag
from threelane.store.keys import BatchKey
from threelane.store.scripts import Item, number, script

KEEPS = octets(b"")
_ERASED = octets(ERASED)


class RowChange(Item, frozen=True):
    """A change of a row, as octets; an empty part stays as it is."""

    id: msgspec.Raw
    tag: msgspec.Raw
    outcome: msgspec.Raw


@script(__file__, number)
def rewrite_rows(*, rows: BatchKey, changes: Sequence[RowChange]) -> None:
    """Rewrite rows of a batch that it still has; returns how many."""


def erase_tags(client: redis.Redis, spelled: Sequence[str]) -> int:
    """Set the tags of a person, whose number has these spellings, to zeros in all batches; returns how many.

    The rows stay: the person's messages remain known, so that none is sent again.
    """
    return sum(_erase_tags(client, one.digest, spelled) for one in batches.listed(client) if one.ends)


def _erase_tags(client: redis.Redis, batch: str, spelled: Sequence[str]) -> int:
    tags = {subscriber_tag(batch, one) for one in spelled}
    found = [one for one, value in batches.rows_of(client, batch) if value[:TAG_OCTETS] in tags]
    changes = [RowChange(octets(message_id.octets(one)), _ERASED, KEEPS) for one in found]
    key, erased = keys.batch_rows(batch), 0
    for start in range(0, len(changes), SLICE):
        erased += rewrite_rows(client, rows=key, changes=changes[start : start + SLICE])
    return erased
