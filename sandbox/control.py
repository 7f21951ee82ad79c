"""The control API under `/sandbox/`: JSON to inspect the sandbox and to inject faults."""

from collections.abc import Awaitable, Callable, Iterable
from decimal import Decimal
from typing import Final

import msgspec
from aiohttp import web
from pydantic import ValidationError

from threelane.sandbox.account import money
from threelane.sandbox.control_bodies import (
    BadRequest,
    CredentialChange,
    CreditChange,
    DoNotContact,
    OptOut,
    Refusal,
    Reset,
    decode,
    read,
)
from threelane.sandbox.faults import ScriptedFault
from threelane.sandbox.gateway import SandboxGateway
from threelane.sandbox.ledger import LedgerMessage
from threelane.sandbox.reply import HandsetReply
from threelane.sandbox.settings import LIVE, changed

_LINES_AT_ONCE: Final = 500
_encode = msgspec.json.Encoder().encode


class Control:
    """The control handlers of one sandbox."""

    def __init__(self, gateway: SandboxGateway) -> None:
        self._gateway = gateway

    def add_to(self, app: web.Application) -> None:
        """Adds the routes."""
        handlers = {
            ("GET", "health"): self._health,
            ("GET", "account"): self._account,
            ("POST", "credit"): self._credit,
            ("POST", "credentials"): self._credentials,
            ("GET", "faults"): self._list_faults,
            ("POST", "faults"): self._arm_faults,
            ("DELETE", "faults"): self._clear_faults,
            ("GET", "settings"): self._settings,
            ("POST", "settings"): self._change_settings,
            ("POST", "optout"): self._opt_out,
            ("POST", "donotcontact"): self._do_not_contact,
            ("POST", "reset"): self._reset,
            ("GET", "ledger"): self._ledger,
            ("GET", "ledger.jsonl"): self._ledger_lines,
            ("GET", "attempts"): self._attempts,
            ("GET", "requests"): self._requests,
            ("POST", "refuse"): self._refuse,
            ("GET", "replies"): self._replies,
            ("POST", "replies"): self._reply,
        }
        for (method, name), handler in handlers.items():
            app.router.add_route(method, f"/sandbox/{name}", _checked(handler))

    async def _health(self, _request: web.Request) -> web.StreamResponse:
        gateway = self._gateway
        return _json(
            {
                "status": "ok",
                "seed": gateway.seed,
                "up_seconds": round(gateway.clock() - gateway.started_at, 3),
                "callbacks": gateway.callbacks.as_json(),
            }
        )

    async def _account(self, _request: web.Request) -> web.StreamResponse:
        return _json(self._gateway.account.as_json())

    async def _credit(self, request: web.Request) -> web.StreamResponse:
        change, account = await read(request, CreditChange), self._gateway.account
        credits = change.add if change.add is not None else (change.set or Decimal(0)) - account.balance
        if account.balance + credits < 0:
            raise BadRequest("add", "the credit cannot go below 0")
        account.add(credits)
        return _json(account.as_json())

    async def _credentials(self, request: web.Request) -> web.StreamResponse:
        change, gateway = await read(request, CredentialChange), self._gateway
        gateway.account.change(
            api_id=change.api_id,
            user=change.user,
            password=change.password,
            rest_token=change.rest_token,
            api_key=change.api_key,
        )
        if not change.keep_sessions:
            gateway.sessions.end_all()
        return _json(gateway.account.as_json())

    async def _list_faults(self, _request: web.Request) -> web.StreamResponse:
        return _json({"faults": self._gateway.faults.as_json()})

    async def _arm_faults(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        several = body.lstrip().startswith(b"[")
        self._gateway.faults.arm(decode(body, list[ScriptedFault]) if several else [decode(body, ScriptedFault)])
        return _json({"faults": self._gateway.faults.as_json()})

    async def _clear_faults(self, _request: web.Request) -> web.StreamResponse:
        self._gateway.faults.clear()
        return _json({"faults": []})

    async def _settings(self, _request: web.Request) -> web.StreamResponse:
        return _json({name: getattr(self._gateway.settings, name) for name in LIVE})

    async def _change_settings(self, request: web.Request) -> web.StreamResponse:
        changes = await read(request, dict[str, object])
        for name in changes:
            if name not in LIVE:
                raise BadRequest(name, f"cannot change while running; these can: {', '.join(LIVE)}")
        try:
            self._gateway.settings = changed(self._gateway.settings, changes)
        except ValidationError as error:
            first = error.errors()[0]
            raise BadRequest(".".join(map(str, first["loc"])) or None, first["msg"]) from error
        return await self._settings(request)

    async def _opt_out(self, request: web.Request) -> web.StreamResponse:
        change, barred = await read(request, OptOut), self._gateway.account.barred
        if change.remove:
            barred.pop(change.to, None)
        else:
            barred[change.to] = change.code
        return _json({"barred": barred})

    async def _do_not_contact(self, request: web.Request) -> web.StreamResponse:
        change, listed = await read(request, DoNotContact), self._gateway.account.do_not_contact
        if change.remove:
            listed.discard(change.to)
        else:
            listed.add(change.to)
        return _json({"do_not_contact": sorted(listed)})

    async def _reset(self, request: web.Request) -> web.StreamResponse:
        reset = await read(request, Reset) if await request.read() else Reset()
        credit = self._gateway.settings.credit if reset.credit is None else reset.credit
        self._gateway.reset(credit)
        return _json(self._summary())

    async def _ledger(self, request: web.Request) -> web.StreamResponse:
        self._gateway.timetable.run_due()
        if request.query.get("summary") == "1":
            return _json({"summary": self._summary()})
        messages = [message.as_json() for message in self._selected(request)]
        return _json({"summary": self._summary(), "messages": messages})

    async def _ledger_lines(self, request: web.Request) -> web.StreamResponse:
        """Streams a snapshot of the ledger, 500 lines at a time."""
        self._gateway.timetable.run_due()
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        messages = list(self._selected(request))
        for start in range(0, len(messages), _LINES_AT_ONCE):
            lines = (_encode(message.as_json()) for message in messages[start : start + _LINES_AT_ONCE])
            await response.write(b"\n".join(lines) + b"\n")
        await response.write_eof()
        return response

    async def _attempts(self, request: web.Request) -> web.StreamResponse:
        found = self._gateway.attempts.select(request.query.get("client_id"), request.query.get("to"))
        return _json({"attempts": [attempt.as_json() for attempt in found]})

    async def _requests(self, request: web.Request) -> web.StreamResponse:
        try:
            since = float(request.query.get("since", 0))
        except ValueError:
            raise BadRequest("since", "not a number of Unix seconds") from None
        found = self._gateway.requests.select(request.query.get("command"), since)
        return _json({"requests": [each.as_json() for each in found]})

    async def _refuse(self, request: web.Request) -> web.StreamResponse:
        refusal, listener = await read(request, Refusal), self._gateway.listener
        if listener is None:
            raise BadRequest(None, "this sandbox does not listen on its own")
        await listener.refuse(refusal.seconds, request.transport)
        response = _json({"seconds": refusal.seconds})
        response.force_close()  # else this connection would be the only one that still works
        return response

    async def _replies(self, request: web.Request) -> web.StreamResponse:
        return _json({"replies": self._gateway.replies.as_json(request.query.get("from"))})

    async def _reply(self, request: web.Request) -> web.StreamResponse:
        accepted = self._gateway.replies.take(await read(request, HandsetReply))
        ids = [part.id for part in accepted.parts if not part.is_dropped]
        return _json({"moMsgIds": ids, "callbacks": sum(part.callbacks for part in accepted.parts)})

    def _selected(self, request: web.Request) -> Iterable[LedgerMessage]:
        return self._gateway.ledger.select(request.query.get("client_id"), request.query.get("to"))

    def _summary(self) -> dict[str, object]:
        gateway, account = self._gateway, self._gateway.account
        return {
            **gateway.ledger.summary(),
            "refused": dict(sorted(gateway.attempts.refused.items())),
            "started_with": money(account.started_with),
            "topped_up": money(account.topped_up),
            "charged": money(account.charged),
            "balance": money(account.balance),
        }


_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _checked(handler: _Handler) -> _Handler:
    """Returns the handler with BadRequest turned into a 400 that names the field and the reason."""

    async def checked(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except BadRequest as error:
            return _json({"error": {"field": error.field, "reason": error.reason}}, status=400)

    return checked


def _json(content: object, status: int = 200) -> web.Response:
    return web.Response(body=_encode(content), status=status, content_type="application/json")
