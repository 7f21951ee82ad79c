"""Api: what Clickatell's APIs share: connections, logins, and what is said for a command that one of them lacks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import redis.asyncio

from threelane.worker.gateway import form, tables
from threelane.worker.gateway.login import GatewayLogin
from threelane.worker.gateway.outcome import (
    NO_CANCEL,
    NO_COVERAGE,
    NO_LOOK_UP,
    NO_PAYMENT,
    AttemptOutcome,
    Cancellation,
    Coverage,
    Known,
    LookUp,
    Payment,
)
from threelane.worker.gateway.wire import HttpReply, Wire
from threelane.worker.policy.rule import Table
from threelane.worker.process.settings import AccountSettings

_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Api:
    """An API that has none of the commands which another lacks, and no session; a subclass adds what its own has."""

    name: str
    """The name that its folder declares."""
    can_look_up = False

    def __init__(self, settings: AccountSettings) -> None:
        """Open the connections; to be called on the event loop."""
        self._wire = Wire(settings.gateway_timeout_seconds)
        self._base = settings.gateway_address

    @property
    def table(self) -> Table:
        """What its codes mean, as its folder declares."""
        return tables.by_gateway()[self.name]

    async def look_up(self, message_id: str) -> LookUp:  # noqa: ARG002 - the protocol's
        """Say that this API knows no message by our id."""
        return NO_LOOK_UP

    async def cancel(self, gateway_id: str) -> Cancellation:  # noqa: ARG002 - the protocol's
        """Say that this API cannot cancel."""
        return NO_CANCEL

    async def coverage(self, msisdn: str) -> Coverage:  # noqa: ARG002 - the protocol's
        """Say that this API does not tell its coverage."""
        return NO_COVERAGE

    async def pay(self, token: str) -> Payment:  # noqa: ARG002 - the protocol's
        """Say that this API takes no vouchers."""
        return NO_PAYMENT

    async def keep_alive(self) -> None:
        """Do nothing: this API has no sessions."""

    async def close(self) -> None:
        """Close all connections."""
        await self._wire.close()


class JsonApi(Api):
    """An API that takes and gives JSON; what names the account stands in a header of each request."""

    root: str
    """The path that all its resources are below."""

    def __init__(self, settings: AccountSettings, headers: Mapping[str, str]) -> None:
        """Open the connections; ``headers`` go with each request.  To be called on the event loop."""
        super().__init__(settings)
        self._headers = {**headers, "Content-Type": "application/json", "Accept": "application/json"}

    async def _request(self, method: str, resource: str, body: bytes | None = None) -> HttpReply | AttemptOutcome:
        return await self._wire.request(method, f"{self._base}/{self.root}/{resource}", self._headers, body)


class FormApi(Api, ABC):
    """An API that takes forms, with credentials or a shared session in each; it tells status and charge apart."""

    ping: str
    """The command that keeps a session alive."""
    can_look_up = True

    def __init__(self, settings: AccountSettings, client: redis.asyncio.Redis | None = None) -> None:
        """Open the connections; to be called on the event loop.  ``client`` is where workers share a session."""
        super().__init__(settings)
        self._login = GatewayLogin(settings, client, self.name, self._authenticate)

    async def keep_alive(self) -> None:
        """Prevent a shared session from expiring while nothing is sent."""
        if await self._login.is_my_turn_to_ping():
            await self._request(self.ping, {})

    async def _request(self, command: str, *elements: Mapping[str, str]) -> HttpReply | AttemptOutcome:
        """Ask once; and once more when all that was wrong was an expired session, since then nothing was accepted."""
        login = await self._login.now()
        if isinstance(login, AttemptOutcome):
            return login
        reply = await self._post(command, [{**login, **one} for one in elements])
        if isinstance(reply, HttpReply) and self._has_expired(reply):
            renewed = await self._login.renewed(login)
            if isinstance(renewed, AttemptOutcome):
                return renewed
            if renewed is not None:
                return await self._post(command, [{**renewed, **one} for one in elements])
        return reply

    async def _submit(self, path: str, fields: Mapping[str, str]) -> HttpReply | AttemptOutcome:
        return await self._wire.post(f"{self._base}/{path}", form.encode(fields), _FORM)

    async def _priced(self, found: LookUp) -> LookUp:
        """Ask for the charge of a message that was found; one that is not told comes with a receipt."""
        if found.known is not Known.FOUND:
            return found
        return found._replace(charge_millionths=await self._charge(found.gateway_id))

    @abstractmethod
    async def _post(self, command: str, elements: Sequence[Mapping[str, str]]) -> HttpReply | AttemptOutcome:
        """Put a command to the API in one request; each element has its login in it."""

    @abstractmethod
    async def _authenticate(self) -> str | AttemptOutcome:
        """Log in; returns the session's id, or why there is none."""

    @abstractmethod
    async def _charge(self, gateway_id: str) -> int | None:
        """Ask for a charge, in millionths of a credit; None when it is not told."""

    @abstractmethod
    def _has_expired(self, reply: HttpReply) -> bool:
        """Tell whether an answer says that the session had expired, and nothing else."""
