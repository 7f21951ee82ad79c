"""Account requests: what operators ask of the gateway, passed to a worker, since only workers have the credentials.

A request is a row of ``names(space).ACCOUNT_REQUESTS``.  The worker that removes the row has taken the request, and
writes its answer to ``keys.account_answer``: first that it is taken, then what the gateway answered.

A voucher is in neither.  The worker that took the request listens on ``keys.voucher_channel``, and the voucher is
published there once.  Redis passes it on and stores nothing: it is in no key, no append-only file and no backup.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from enum import StrEnum
from typing import Any

import msgspec
import redis
import redis.asyncio
from pydantic import SecretStr

from threelane.store import keys, rows
from threelane.store.keys import HERE, Space

LAPSE_MS = 10_000  # a request that no worker has taken by then is not taken any more
VOUCHER_SECONDS = 5.0  # how long a worker that took a voucher's request listens for the voucher
NO_VOUCHER = SecretStr("")
_MOST_READ = 100  # requests at once
_KEEP_MS = 30_000  # of the requests, after the latest
_ANSWER_KEPT_MS = 60_000


class AccountQuery(StrEnum):
    """The kinds of requests; each is the name of an ability of an API."""

    BALANCE = "balance"
    COVERAGE = "coverage"
    VOUCHER = "voucher"


class AccountResult(StrEnum):
    """How a request ended."""

    TAKEN = "taken"  # it has not: a worker makes the call
    ANSWERED = "answered"  # the gateway answered; a voucher is redeemed
    REFUSED = "refused"  # the gateway answered with a code that refuses it; nothing is redeemed
    UNKNOWN = "unknown"  # no usable answer, or a code that decides nothing: a voucher may have been redeemed
    NOT_CALLED = "not_called"  # the gateway surely did not get the request
    LACKING = "lacking"  # the API has no such command


class Concern(StrEnum):
    """What a code of the gateway refuses."""

    NOTHING = ""  # the code does not decide it: an internal error, or one that is in no table
    VOUCHER = "voucher"
    CREDENTIALS = "credentials"
    ACCOUNT = "account"
    REQUEST = "request"


class AccountAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a request led to; ``text`` is the reason of all but an answer.

    ``balance`` and ``charge`` are in credits (the One API: in the account's currency); ``account`` is the account for
    people, never a secret.  ``concern``: what ``code`` refuses.  ``seconds``: how long the worker that took the
    request may need.
    """

    result: AccountResult
    gateway: str = ""
    account: str = ""
    balance: float | None = None
    routable: bool | None = None
    charge: float | None = None
    redeemed: bool | None = None
    code: str = ""
    concern: Concern = Concern.NOTHING
    text: str = ""
    seconds: float = 0.0


class AccountRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A request as it is stored: its id, what it asks, of which number, and since when, ms."""

    id: str
    query: AccountQuery
    at: int
    msisdn: str = ""


_request = msgspec.json.Decoder(AccountRequest).decode
_answer = msgspec.json.Decoder(AccountAnswer).decode


def put(client: redis.Redis, query: AccountQuery, now: int, msisdn: str = "", space: Space = HERE) -> AccountRequest:
    """Store a request for whichever worker of the account takes it."""
    key = keys.names(space).ACCOUNT_REQUESTS
    request = AccountRequest(id=secrets.token_hex(16), query=query, at=now, msisdn=msisdn)
    with client.pipeline(transaction=True) as pipe:
        pipe.zadd(key, {msgspec.json.encode(request): now + LAPSE_MS})
        pipe.pexpire(key, _KEEP_MS)
        pipe.execute()
    return request


def withdraw(client: redis.Redis, request: AccountRequest, space: Space = HERE) -> bool:
    """Remove a request; False: a worker has taken it."""
    return bool(client.zrem(keys.names(space).ACCOUNT_REQUESTS, msgspec.json.encode(request)))


def answer_to(client: redis.Redis, request: AccountRequest) -> AccountAnswer | None:
    """Return the answer so far; None: no worker has taken the request."""
    key = keys.account_answer(request.id)
    raw: Any = rows.unless_damaged(key, lambda: client.get(key), None)
    return rows.decode(keys.Key.ACCOUNT_ANSWER, "", raw, _answer) if raw else None


def hand_over(client: redis.Redis, request: AccountRequest, voucher: SecretStr) -> bool:
    """Give a voucher to the worker that listens for it; False: none does, so it surely is not redeemed."""
    return bool(client.publish(keys.voucher_channel(request.id), voucher.get_secret_value()))


async def first(
    client: redis.asyncio.Redis, now: int, queries: Collection[AccountQuery], space: Space = HERE
) -> tuple[bytes, AccountRequest] | None:
    """Return the oldest request of some kinds and its row; removes what has lapsed or cannot be read."""
    key = keys.names(space).ACCOUNT_REQUESTS
    found: Any = await rows.unless_damaged_async(key, client.zrange(key, 0, _MOST_READ - 1, withscores=True))
    for row, lapses_at in found or ():
        request = rows.decode(key, "", row, _request)
        if request is not None and lapses_at > now:
            if request.query in queries:
                return row, request
            continue
        await client.zrem(key, row)
    return None


async def take(client: redis.asyncio.Redis, row: bytes, space: Space = HERE) -> bool:
    """Take a request by its row; False: another worker has it, or it was withdrawn."""
    return bool(await client.zrem(keys.names(space).ACCOUNT_REQUESTS, row))


async def answer(client: redis.asyncio.Redis, request: AccountRequest, found: AccountAnswer, account: str) -> None:
    """Write the answer to a request, or that it is taken, and by a worker of which account."""
    named = msgspec.structs.replace(found, account=account)
    await client.set(keys.account_answer(request.id), msgspec.json.encode(named), px=_ANSWER_KEPT_MS)


@asynccontextmanager
async def listening(client: redis.asyncio.Redis, request: AccountRequest) -> AsyncIterator[Any]:
    """Yield a subscription to the channel of a request, once Redis has confirmed it; raises TimeoutError."""
    async with client.pubsub() as channel:
        await channel.subscribe(keys.voucher_channel(request.id))
        await _next(channel, "subscribe", VOUCHER_SECONDS)
        yield channel


async def heard(channel: Any) -> SecretStr | None:
    """Return the voucher that is published on a channel; None if none is in time."""
    with suppress(TimeoutError):
        return SecretStr((await _next(channel, "message", VOUCHER_SECONDS)).decode())
    return None


async def _next(channel: Any, kind: str, seconds: float) -> bytes:
    async with asyncio.timeout(seconds):
        while True:
            message = await channel.get_message(timeout=seconds)
            if message and message["type"] == kind:
                data: Any = message["data"]
                return data if isinstance(data, bytes) else b""
