"""Login: a request identifies the account by its own credentials or by a session that all workers share."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping

import redis.asyncio
from redis.exceptions import RedisError

from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind
from threelane.worker.gateway.session import Authenticate, GatewaySession
from threelane.worker.process.settings import AccountSettings

EXPIRED = ("003", "005")  # session expired, session id missing: nothing was accepted


class GatewayLogin:
    """The parameters that identify the account in a request of the HTTP and XML APIs."""

    def __init__(
        self, settings: AccountSettings, client: redis.asyncio.Redis | None, api: str, authenticate: Authenticate
    ) -> None:
        """Use a session if the settings enable it and there is a Redis to share it through."""
        self.credentials = {
            "api_id": settings.clickatell_api_id,
            "user": settings.clickatell_user,
            "password": settings.clickatell_password.get_secret_value(),
        }
        shared = client if settings.gateway_sessions else None
        name = f"{api}:{settings.fingerprint}"
        self._session = GatewaySession(shared, name, authenticate, settings.space) if shared is not None else None

    async def now(self) -> Mapping[str, str] | AttemptOutcome:
        """Return the parameters, or why there are none; in that case nothing was sent."""
        return await _credentials_or_failure(self._session.current()) if self._session else self.credentials

    async def renewed(self, expired: Mapping[str, str]) -> Mapping[str, str] | AttemptOutcome | None:
        """Return new parameters after these have expired; None if they are not a session's."""
        return await _credentials_or_failure(self._session.renew(expired["session_id"])) if self._session else None

    async def is_my_turn_to_ping(self) -> bool:
        """Return whether this process should keep a shared session alive now."""
        return await self._session.is_my_turn_to_ping() if self._session else False


async def _credentials_or_failure(pending: Awaitable[str | AttemptOutcome]) -> Mapping[str, str] | AttemptOutcome:
    """Return the parameters; a lost login reply or an unavailable Redis counts as not reached: no message was sent."""
    try:
        session = await pending
    except (RedisError, OSError) as failed:
        return AttemptOutcome(OutcomeKind.NOT_REACHED, text=f"no session: {type(failed).__name__}")
    if isinstance(session, str):
        return {"session_id": session}
    return session if session.kind is OutcomeKind.REFUSED else session._replace(kind=OutcomeKind.NOT_REACHED)
