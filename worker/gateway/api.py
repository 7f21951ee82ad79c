"""Api: connections, logins and default results of missing commands, shared by Clickatell's APIs."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import redis.asyncio

from threelane.worker.gateway import tables
from threelane.worker.gateway.login import GatewayLogin
from threelane.worker.gateway.outcome import (
    NO_BALANCE,
    NO_CANCEL,
    NO_CANCEL_BY_OUR_ID,
    NO_COVERAGE,
    NO_LOOK_UP,
    NO_PAYMENT,
    NO_STATUS_QUERY,
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
    """An API without optional commands or sessions; a subclass adds those that its API has."""

    name: str
    """The name that the gateway's folder declares."""
    can_look_up = False
    can_cancel_by_our_id = False
    look_ups_per_request = 1

    def __init__(self, settings: AccountSettings) -> None:
        """Open the connections; call it on the event loop."""
        self._wire = Wire(settings.gateway_timeout_seconds)
        self._base = settings.gateway_address
        self._most_minutes = settings.gateway_validity_minutes

    @property
    def table(self) -> Table:
        """The policy table that the gateway's folder declares."""
        return tables.by_gateway()[self.name]

    async def look_up(self, message_id: str) -> LookUp:  # noqa: ARG002 - the protocol's
        """Return NO_LOOK_UP: this API has no look-up by our id."""
        return NO_LOOK_UP

    async def look_up_many(self, message_ids: Sequence[str]) -> list[LookUp]:
        """Look up messages by our ids, each in its own request, concurrently; returns one result each, in order."""
        return await asyncio.gather(*(self.look_up(one) for one in message_ids))

    async def status(self, gateway_id: str) -> LookUp:  # noqa: ARG002 - the protocol's
        """Return NO_STATUS_QUERY: this API has no look-up by its own id."""
        return NO_STATUS_QUERY

    async def cancel(self, gateway_id: str) -> Cancellation:  # noqa: ARG002 - the protocol's
        """Return NO_CANCEL: this API has no cancel command."""
        return NO_CANCEL

    async def cancel_by_our_id(self, message_id: str) -> Cancellation:  # noqa: ARG002 - the protocol's
        """Return NO_CANCEL_BY_OUR_ID: this API has no such command."""
        return NO_CANCEL_BY_OUR_ID

    async def coverage(self, msisdn: str) -> Coverage:  # noqa: ARG002 - the protocol's
        """Return NO_COVERAGE: this API has no coverage query."""
        return NO_COVERAGE

    async def pay(self, token: str) -> Payment:  # noqa: ARG002 - the protocol's
        """Return NO_PAYMENT: this API accepts no vouchers."""
        return NO_PAYMENT

    async def balance(self) -> float | str:
        """Return NO_BALANCE: this API has no balance query."""
        return NO_BALANCE

    async def keep_alive(self) -> None:
        """Do nothing: this API has no sessions."""

    async def close(self) -> None:
        """Close all connections."""
        await self._wire.close()


class JsonApi(Api):
    """A JSON API that identifies the account in a header of each request."""

    root = ""
    """The parent path of all its resources, if they have one."""

    def __init__(self, settings: AccountSettings, headers: Mapping[str, str]) -> None:
        """Open the connections; ``headers`` go with each request.  Call it on the event loop."""
        super().__init__(settings)
        self._headers = {**headers, "Content-Type": "application/json", "Accept": "application/json"}
        self._parent = f"{self._base}/{self.root}/" if self.root else f"{self._base}/"

    async def _request(self, method: str, resource: str, body: bytes | None = None) -> HttpReply | AttemptOutcome:
        return await self._wire.request(method, self._parent + resource, self._headers, body)


class FormApi(Api, ABC):
    """A form API with credentials or a shared session in each request; status and charge are separate queries."""

    ping: str
    """The command that keeps a session alive."""
    can_look_up = True

    def __init__(self, settings: AccountSettings, client: redis.asyncio.Redis | None = None) -> None:
        """Open the connections; call it on the event loop.  Workers share a session through ``client``."""
        super().__init__(settings)
        self._login = GatewayLogin(settings, client, self.name, self._authenticate)

    async def keep_alive(self) -> None:
        """Prevent a shared session from expiring while nothing is sent."""
        if await self._login.is_my_turn_to_ping():
            await self._request(self.ping, {})

    async def _request(self, command: str, *elements: Mapping[str, str]) -> HttpReply | AttemptOutcome:
        """Send a request, and repeat it once if the only error was an expired session: then nothing was accepted."""
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

    async def _submit(self, path: str, encoded: bytes) -> HttpReply | AttemptOutcome:
        return await self._wire.post(f"{self._base}/{path}", encoded, _FORM)

    async def _priced(self, found: LookUp) -> LookUp:
        """Add the charge to a look-up that found the message; a missing charge comes with the receipt."""
        if found.known is not Known.FOUND:
            return found
        return found._replace(charge_millionths=await self._charge(found.gateway_id))

    @abstractmethod
    async def _post(self, command: str, elements: Sequence[Mapping[str, str]]) -> HttpReply | AttemptOutcome:
        """Send a command in one request; each element contains its login."""

    @abstractmethod
    async def _authenticate(self) -> str | AttemptOutcome:
        """Log in; returns the session id, or why the login failed."""

    @abstractmethod
    async def _charge(self, gateway_id: str) -> int | None:
        """Query a charge, in millionths of a credit; None if the API does not report it."""

    @abstractmethod
    def _has_expired(self, reply: HttpReply) -> bool:
        """Return whether an expired session is the only error in a reply."""
