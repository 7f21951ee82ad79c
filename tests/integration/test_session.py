"""One session for all workers: when it expires one of them logs in, and every message still goes, once."""

from __future__ import annotations

import asyncio

import pytest
import redis
import redis.asyncio

from tests.servers import RedisServer
from threelane.contract import message
from threelane.contract.message import Draft, Message
from threelane.runtime.settings import load
from threelane.sandbox.running import Running
from threelane.store import keys
from threelane.worker.gateway.choose import gateway
from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind
from threelane.worker.gateway.session import Authenticate
from threelane.worker.process.settings import AccountSettings

NOW = 1_900_000_000_000


def _message(number: int) -> Message:
    draft = message.parse({"to": f"27999500{number:03d}", "text": "Hello"}, NOW)
    assert isinstance(draft, Draft)
    return draft.message


def _settings(api: str, sandbox: Running, server: RedisServer, **more: object) -> AccountSettings:
    return load(
        AccountSettings,
        gateway=api,
        gateway_url=sandbox.url,
        redis_url=server.url,
        clickatell_api_id="sandbox",
        **{"clickatell_user": "sandbox", "clickatell_password": "sandbox", "gateway_sessions": True, **more},
    )


@pytest.mark.parametrize("api", ["http", "xml"])
def test_32_threads_with_an_expired_session_cause_one_login(
    api: str, client: redis.Redis, redis_server: RedisServer, sandbox: Running
) -> None:
    """Four workers with eight calls each find the session expired at once: no stampede, and nothing is refused."""

    async def send() -> list[OutcomeKind]:
        shared = [redis.asyncio.Redis(port=redis_server.port) for _ in range(4)]
        made = [gateway(_settings(api, sandbox, redis_server), one) for one in shared]
        await made[0].send([_message(999)], NOW)  # somebody logs in, and the gateway forgets it
        client.set(keys.session(f"{api}:{_settings(api, sandbox, redis_server).fingerprint}"), "f" * 32)
        for one in made:
            session = one._login._session  # type: ignore[attr-defined]
            session._known, session._authenticate = "f" * 32, _counted(session._authenticate, logins)
        outcomes = await asyncio.gather(*(made[n % 4].send([_message(n)], NOW) for n in range(32)))
        for one in made:
            await one.close()
        for connection in shared:
            await connection.aclose()
        return [outcome.kind for (outcome,) in outcomes]

    logins: list[str] = []
    assert [OutcomeKind.ACCEPTED] * 32 == asyncio.run(send())
    assert 1 == len(logins)
    assert 33 == sandbox.control("GET", "ledger?summary=1")["summary"]["messages"]


@pytest.mark.parametrize("api", ["http", "xml"])
def test_a_refused_login_of_a_session_leaves_nothing_in_doubt(
    api: str, client: redis.Redis, redis_server: RedisServer, sandbox: Running
) -> None:
    """Code 001 stops these credentials; a login that cannot be reached is a message that surely was not sent."""

    async def send(settings: AccountSettings) -> tuple[OutcomeKind, str]:
        shared = redis.asyncio.Redis(port=redis_server.port)
        made = gateway(settings, shared)
        (outcome,) = await made.send([_message(1)], NOW)
        await made.close()
        await shared.aclose()
        return outcome.kind, outcome.code

    wrong = _settings(api, sandbox, redis_server, clickatell_password="wrong")
    assert (OutcomeKind.REFUSED, "001") == asyncio.run(send(wrong))
    away = wrong.model_copy(update={"gateway_url": "http://127.0.0.1:9"})
    assert OutcomeKind.NOT_REACHED is asyncio.run(send(away))[0]


@pytest.mark.parametrize("api", ["http", "xml"])
def test_a_worker_never_uses_the_session_of_other_credentials(
    api: str, client: redis.Redis, redis_server: RedisServer, sandbox: Running
) -> None:
    """Its message would be sent, and paid for, by another account."""

    async def send(settings: AccountSettings) -> OutcomeKind:
        shared = redis.asyncio.Redis(port=redis_server.port)
        made = gateway(settings, shared)
        (outcome,) = await made.send([_message(1)], NOW)
        await made.close()
        await shared.aclose()
        return outcome.kind

    ours, theirs = (_settings(api, sandbox, redis_server, clickatell_user=user) for user in ("sandbox", "other"))
    assert [OutcomeKind.ACCEPTED, OutcomeKind.REFUSED] == [asyncio.run(send(one)) for one in (ours, theirs)]
    assert 1 == len(list(client.scan_iter("tl:session:*")))


def _counted(authenticate: Authenticate, logins: list[str]) -> Authenticate:
    async def counted() -> str | AttemptOutcome:
        logins.append("login")
        return await authenticate()

    return counted
