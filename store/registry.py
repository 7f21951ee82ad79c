"""Registry: the rights and the webhook of each producer."""

from __future__ import annotations

import hmac
import ipaddress
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import SplitResult, urlsplit

import msgspec
import redis
from redis.exceptions import NoPermissionError

from threelane.contract.fields import LABEL
from threelane.contract.reading import E164, Reading, parse_reading, stored
from threelane.store import audit, keys, overlap, rows
from threelane.store.overlap import EarlierSecret

KIND = "producer"
"""What the audit log calls these changes."""
MOST_LETTERS = 2048
MOST_RATE = 100_000.0
RIGHTS = ("bypass", "countries", "numbers")
"""What accept needs of a registration; whoever may send may read it."""
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*", re.IGNORECASE)  # as the last part of a host it means an IPv4 address
_VISIBLE = re.compile(r"[!-\[\]-~]+")  # visible ASCII without the backslash


class Registration(msgspec.Struct, frozen=True):
    """One producer's rights and webhook.

    ``bypass`` is the right to send to recipients who opted out: legal notices, and messages that skip the gateway's
    do-not-contact check.  ``countries`` are those that it may send to, none for any.
    ``secret`` signs the events that are posted to ``webhook``, and for a time so do the
    ``earlier`` secrets; they are empty without a webhook.
    """

    bypass: bool = False
    webhook: str = ""
    secret: str = ""
    rate: float = 0.0  # messages and other requests a second of all its keys together; 0: no limit beyond the keys'
    earlier: tuple[EarlierSecret, ...] = ()
    numbers: str = ""  # how numbers without + or 00 are read; empty: as the installation's setting says
    countries: tuple[str, ...] = ()

    def secrets(self, now: int) -> tuple[str, ...]:
        """Return the secrets that sign an event at a time (ms), the newest first."""
        return (self.secret, *(one.value for one in overlap.valid(self.earlier, now)))

    def __repr__(self) -> str:
        """Show everything except the secret."""
        return f"Registration(bypass={self.bypass}, webhook={shown(self.webhook)!r})"


read_row = msgspec.json.Decoder(Registration).decode


def put(
    client: redis.Redis,
    name: str,
    *,
    bypass: bool | None = None,
    webhook: str | None = None,
    new_secret: bool = False,
    overlap_ms: int = 0,
    now: int = 0,
    rate: float | None = None,
    countries: tuple[str, ...] | None = None,
    allow_loopback: bool = False,
    numbers: str | None = None,
) -> tuple[Registration, str]:
    """Register a producer, or change the given values; None keeps a value, an empty webhook or reading removes it.

    Returns the registration, and the secret if a new one was created (with the first webhook, or on request), else ''.
    With ``overlap_ms`` (from ``now``, ms), the secret before a new one also signs for that time.
    Raises ValueError for an invalid name, address or reading.
    """
    check_name(name)
    if numbers:
        parse_reading(numbers)
    if rate is not None and not 0 <= rate <= MOST_RATE:
        raise ValueError(f"rate {rate:g}: give up to {MOST_RATE:g} a second, or 0 for no limit")
    if webhook:
        check_webhook(webhook, allow_loopback=allow_loopback)

    def change(pipe: Any) -> tuple[Registration | None, Registration, str]:
        stored = pipe.hget(keys.PRODUCERS, name)
        known = _decode(name, stored) if stored else None
        before = known or Registration()
        after, made = _changed(before, bypass, webhook, new_secret)
        after = msgspec.structs.replace(after, earlier=_earlier(before, after, now, overlap_ms))
        after = msgspec.structs.replace(
            after,
            rate=before.rate if rate is None else rate,
            countries=before.countries if countries is None else countries,
            numbers=before.numbers if numbers is None else numbers,
        )
        pipe.multi()
        pipe.hset(keys.PRODUCERS, name, msgspec.json.encode(after))
        pipe.hset(keys.RIGHTS, name, _encode_rights(after))
        return known, after, made

    transact: Any = client.transaction  # typed without its result
    done: tuple[Registration | None, Registration, str] = transact(change, keys.PRODUCERS, value_from_callable=True)
    before, after, secret = done
    audit.record_change(client, KIND, name, _described(after) + ", new secret" * bool(secret), _described(before))
    return after, secret


def remove(client: redis.Redis, name: str) -> bool:
    """Remove a producer's rights and webhook; returns whether it was registered."""
    with client.pipeline(transaction=True) as pipe:
        pipe.hget(keys.PRODUCERS, name)
        pipe.hdel(keys.PRODUCERS, name)
        pipe.hdel(keys.RIGHTS, name)
        before, removed, _ = pipe.execute()
    if removed:
        audit.record_change(client, KIND, name, "", _described(_decode(name, before)) or "unreadable")
    return bool(removed)


def _described(one: Registration | None) -> str:
    """Return the rights and the webhook in a few words, without a secret."""
    if one is None:
        return ""
    given = (
        ("countries", ",".join(one.countries)),
        ("bypass", "yes" if one.bypass else ""),
        ("rate", f"{one.rate:g}" if one.rate else ""),
        ("numbers", one.numbers),
        ("webhook", shown(one.webhook)),
    )
    return ", ".join(f"{what} {value}" for what, value in given if value) or "no rights, no webhook"


def restore_rights(client: redis.Redis, name: bytes | None = None) -> None:
    """Replace a damaged row of rights, or for None the whole key, by what the registrations say.

    No message is accepted meanwhile that a list of countries refuses.
    """

    def change(pipe: Any) -> None:
        entries = {one: row for one, row in pipe.hgetall(keys.PRODUCERS).items() if name in (None, one)}
        restored = {one: _encode_rights(registration) for one, registration in decode(entries).items()}
        pipe.multi()
        if name is None:
            pipe.delete(keys.RIGHTS)
        else:
            pipe.hdel(keys.RIGHTS, name)
        if restored:
            pipe.hset(keys.RIGHTS, mapping=restored)

    client.transaction(change, keys.PRODUCERS)


def rights(client: redis.Redis, name: str) -> Registration | None:
    """Return a producer's rights, without its webhook; None if they are unreadable: nothing is accepted.

    An earlier version stored them with the secret of the webhook alone, which this Redis user may not be able to read.
    """
    found = rows.unless_damaged(keys.RIGHTS, lambda: client.hget(keys.RIGHTS, name), b"")
    if found is not None:
        return _decode(name, found, keys.RIGHTS)
    try:
        former = read(client, name) or Registration()
    except NoPermissionError:
        return Registration()
    return Registration(former.bypass)


def readings(client: redis.Redis, names: Sequence[str]) -> list[Reading | None]:
    """Return how the numbers of producers are read, None: as the installation's setting says.

    An unreadable row, or a reading of a later version, requires a + rather than a guess.
    """
    found: Any = rows.unless_damaged(keys.RIGHTS, lambda: client.hmget(keys.RIGHTS, names), [b""] * len(names))
    return [None if row is None else _reading(name, row) for name, row in zip(names, found, strict=True)]


def read(client: redis.Redis, name: str) -> Registration | None:
    """Return a producer's registration, or None."""
    found = rows.entry(client, keys.PRODUCERS, name)
    return _decode(name, found) if found else None


def read_all(client: redis.Redis) -> dict[str, Registration]:
    """Return all registrations by name, sorted."""
    return decode(rows.table(client, keys.PRODUCERS))


def decode(entries: Mapping[bytes, bytes]) -> dict[str, Registration]:
    """Return the registrations in the hash ``tl:producers``."""
    found = {rows.text(name): _decode(name, entry) for name, entry in sorted(entries.items())}
    return {name: one for name, one in found.items() if one}


def shown(webhook: str) -> str:
    """Return an address for people and logs, without its query, which may hold a secret."""
    return webhook.split("?")[0] + "?..." if "?" in webhook else webhook


def check_name(name: str) -> None:
    """Raise ValueError for an invalid producer name."""
    if not LABEL.fullmatch(name):
        raise ValueError(f"{name!r} is not a producer name: up to 64 letters, digits, spaces and . _ : / -")


def check_webhook(webhook: str, *, allow_loopback: bool = False) -> None:
    """Raise ValueError if events cannot, or must not, be posted to an address.

    The host name is resolved and checked at each connection, since it may resolve differently later.
    """
    if len(webhook) > MOST_LETTERS or not _VISIBLE.fullmatch(webhook):
        raise ValueError(f"a webhook's address has up to {MOST_LETTERS} visible ASCII characters and no backslash")
    try:
        parts = urlsplit(webhook)
        named = bool(parts.hostname) and parts.port != 0
    except ValueError:
        named = False
    if not named:
        raise ValueError("a webhook's address needs a host, as in https://example.com/threelane")
    if parts.username is not None or parts.password is not None:
        raise ValueError("remove user and password from the webhook's address: verify the signature instead")
    if "#" in webhook:
        raise ValueError("remove the fragment (#...) from the webhook's address: it is never sent")
    if _is_short_address(parts.hostname or ""):
        raise ValueError("write an IPv4 address in a webhook's address as four decimal numbers, as in 203.0.113.7")
    if parts.scheme != "https" and not (parts.scheme == "http" and allow_loopback and _is_loopback(parts)):
        raise ValueError(
            "a webhook's address starts with https://; http:// is only allowed for this machine, "
            "with THREELANE_WEBHOOK_PRIVATE_ADDRESSES=true"
        )


def _changed(
    before: Registration, bypass: bool | None, webhook: str | None, new_secret: bool
) -> tuple[Registration, str]:
    address = before.webhook if webhook is None else webhook
    if new_secret and not address:
        raise ValueError("a secret needs a webhook to sign for: also give its address")
    made = secrets.token_urlsafe(32) if address and (new_secret or not before.secret) else ""
    secret = (made or before.secret) if address else ""
    return Registration(before.bypass if bypass is None else bypass, address, secret), made


def _earlier(before: Registration, after: Registration, now: int, overlap_ms: int) -> tuple[EarlierSecret, ...]:
    """Return the earlier secrets that sign as well, none without a webhook."""
    if not after.secret or not before.secret:
        return ()
    if hmac.compare_digest(after.secret, before.secret):
        return before.earlier
    return overlap.after_rotation(before.secret, before.earlier, now, overlap_ms)


def _reading(name: str, row: bytes) -> Reading | None:
    known = _decode(name, row, keys.RIGHTS)
    return stored(known.numbers) if known else E164


def _encode_rights(of: Registration) -> bytes:
    return msgspec.json.encode({name: getattr(of, name) for name in RIGHTS})


def _decode(name: bytes | str, entry: bytes, key: str = keys.PRODUCERS) -> Registration | None:
    """Return a registration; None for an unreadable one, which counts as absent: it gives no right."""
    return rows.decode(key, name, entry, read_row)


def _is_short_address(host: str) -> bool:
    """Return whether a host is an IPv4 address of another form, such as 127.1, 0x7f.1 or 2130706433."""
    if not _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
        return False
    try:
        return not ipaddress.ip_address(host)
    except ValueError:
        return True


def _is_loopback(parts: SplitResult) -> bool:
    host = parts.hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
