"""Logins: counts of wrong keys at the console's login, by address and by key, in a bounded number of Redis keys.

A right key always logs in: its 256 random bits cannot be guessed, so a lock-out would only help somebody who wants to
keep the operators out.  The counts decide how long a caller with a wrong key is requested to wait.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Literal

import redis

from threelane.contract.schedule import MINUTE
from threelane.store import keys
from threelane.store.tally import Count

FREE = 5  # wrong keys without a delay
LONGEST_SECONDS = 300
TRIES_MS = 5 * MINUTE  # counts end this long after the last wrong key
BUCKETS = 4096  # of addresses, and again of key ids: two that share one only share the delay of wrong keys
RECENT_MS = 60 * MINUTE
EVERY = "every"  # the suffix of the count of all refusals within the hour
Reason = Literal["wrong_key", "no_right"]


def count_wrong(client: redis.Redis, address: str, token: str) -> int:
    """Count a wrong key; returns the seconds that its sender should wait, 0 for the first ones."""
    with client.pipeline(transaction=True) as pipe:
        for name in _names(address, token):
            pipe.incr(name)
            pipe.pexpire(name, TRIES_MS)
        of_address, _, of_key, _ = pipe.execute()
    return delay_seconds(max(int(of_address), int(of_key)))


def delay_seconds(tries: int) -> int:
    """Return the delay after a number of wrong keys: it doubles from a second to five minutes."""
    beyond = tries - FREE
    return min(LONGEST_SECONDS, 1 << min(beyond - 1, 16)) if beyond > 0 else 0


def forgive(client: redis.Redis, address: str, token: str) -> None:
    """Forget the wrong keys of an address and a key that has logged in."""
    client.delete(*_names(address, token))


def count_refused(client: redis.Redis, reason: Reason) -> int:
    """Count a refused login for metrics and `doctor`; returns how many there were within the hour."""
    every = keys.console_tries(EVERY)
    with client.pipeline(transaction=True) as pipe:
        pipe.hincrby(keys.TALLY, Count.LOGIN_REFUSED.field(reason), 1)
        pipe.set(every, 0, nx=True, px=RECENT_MS)
        pipe.incr(every)
        *_, number = pipe.execute()
    return int(number)


def refused_recently(client: redis.Redis) -> int:
    """Return how many logins were refused within the hour."""
    found: Any = client.get(keys.console_tries(EVERY))
    return int(found or 0)


def _names(address: str, token: str) -> tuple[str, str]:
    """Return the counts of an address and of the key id that a token claims, whether it exists or not."""
    claimed = "_".join(token.split("_", 2)[:2])
    return keys.console_tries("address:" + _bucket(address)), keys.console_tries("key:" + _bucket(claimed))


def _bucket(text: str) -> str:
    return f"{int.from_bytes(sha256(text.encode('utf-8', 'replace')).digest()[:4]) % BUCKETS:03x}"
