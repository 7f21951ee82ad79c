"""Gate: only logged-in operators and viewers see pages; a form needs its session's CSRF token and our Origin, and one
that changes something an operator."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple
from urllib.parse import parse_qsl

from fastapi import Depends, Request
from fastapi.responses import Response

from threelane.interfaces.api.body import Form
from threelane.interfaces.api.caller import pay
from threelane.interfaces.api.problem import stop
from threelane.interfaces.api.service import HOLDER, Service, Shared
from threelane.interfaces.console import session
from threelane.interfaces.console.page import LoginRequired, page, see_other
from threelane.interfaces.console.session import ConsoleSession
from threelane.runtime import logs

COOKIE = "threelane"
MOST_FIELDS = 30


class Visit(NamedTuple):
    """One request of a logged-in operator or viewer."""

    service: Service
    session: ConsoleSession
    now: int  # ms
    is_refresh: bool  # sent by console.js, not by a person

    def show(self, template: str, **values: object) -> Response:
        """Return a page with the pending notice; a refresh by the script does not consume the notice."""
        known = self.session
        if known.notice and not self.is_refresh:
            session.remember(self.service.redis, known, notice="")
        key = known.key
        common: dict[str, Any] = {"csrf": known.csrf, "key": key, "notice": known.notice, "now": self.now}
        return page(template, **common | values, acts=key.operator)

    def done(self, action: str, notice: str, address: str, **more: Any) -> Response:
        """Log an action and who did it, never a number, and redirect to an address that shows the notice."""
        self.log(action, **more)
        return self.redirect_with(notice, address)

    def redirect_with(self, notice: str, address: str) -> Response:
        """Redirect to an address that shows the notice."""
        session.remember(self.service.redis, self.session, notice=notice)
        return see_other(address)

    def log_and_redirect(self, action: str, address: str) -> Response:
        """Log a request and redirect to the page that answers it."""
        self.log(action)
        return see_other(address)

    def log(self, action: str, **more: Any) -> None:
        """Log an action and who did it."""
        logs.event("console", did=action, key=self.session.key.id, producer=self.session.key.producer, **more)


class SubmittedForm(NamedTuple):
    """The fields of a submitted form, and the visit that submitted it."""

    visit: Visit
    fields: Mapping[str, str]

    def get(self, name: str, most: int = 200) -> str:
        """Return a field, empty when it is missing; ends the request when it exceeds ``most`` characters."""
        value = self.fields.get(name, "")
        if len(value) > most or not value.isprintable():
            raise stop(422, f"{name}: one line of up to {most} characters", remedy="go back and shorten it")
        return value

    def amount(self, name: str, most: int, alternative: str) -> float:
        """Return a number from 0 to ``most``, 0 when it is missing; ``alternative`` names the other valid input."""
        try:
            value = float(self.get(name, 10) or 0)
        except ValueError:
            value = -1
        if not 0 <= value <= most:
            raise stop(422, f"{name}: up to {most:,}, or {alternative}", remedy="go back and correct it")
        return value


def visit(request: Request, service: Shared) -> Visit:
    """Return the visit of a logged-in operator or viewer; redirects everyone else to the login."""
    now = service.producer.now()
    token = request.cookies.get(COOKIE, "")
    found = session.find(service.redis, token, now) if token else None
    if found is None:
        raise LoginRequired
    request.scope["threelane.key"] = found.key.id  # for the log
    request.scope[HOLDER] = found.key.producer
    pay(service, found.key, now)
    return Visit(service, found, now, "x-threelane-look" in request.headers)


async def sent_from_here(request: Request) -> None:
    """End a request that came from another site."""
    origin, host = request.headers.get("origin", ""), request.headers.get("host", "")
    same_origin = origin.lower() in (f"http://{host}".lower(), f"https://{host}".lower())
    if not same_origin or request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        raise _not_from_here()


async def fields(_: Annotated[None, Depends(sent_from_here)], body: Form) -> Mapping[str, str]:
    """Return the fields of a form from our pages, stripped; the last of a repeated field counts."""
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict")
    except ValueError:
        raise stop(400, "the body is not a form", remedy="go back and submit the form from the page") from None
    return {name: value.strip() for name, value in pairs}


async def form(
    by: Annotated[Visit, Depends(visit)], received: Annotated[Mapping[str, str], Depends(fields)]
) -> SubmittedForm:
    """Return a form that carries the CSRF token of this session."""
    if not same(received.get("csrf", ""), by.session.csrf):
        raise _not_from_here()
    return SubmittedForm(by, received)


def same(received: str, expected: str) -> bool:
    """Compare two secrets in constant time."""
    return hmac.compare_digest(received.encode(), expected.encode())


def _not_from_here() -> Exception:
    remedy = "go back, reload the page and submit the form again; if you did not submit it, someone else tried to"
    return stop(403, "the form was not sent from this page", remedy=remedy)


async def change(submitted: Annotated[SubmittedForm, Depends(form)]) -> SubmittedForm:
    """Return a form of an operator; ends the request of a viewer, who only reads."""
    if not submitted.visit.session.key.operator:
        raise stop(403, "this key may only read", remedy="log in with an operator key to change something")
    return submitted


Fields = Annotated[Mapping[str, str], Depends(fields)]
CurrentVisit = Annotated[Visit, Depends(visit)]
ReadingForm = Annotated[SubmittedForm, Depends(form)]
"""A form that changes nothing but what its session shows: a viewer may send it."""
ChangingForm = Annotated[SubmittedForm, Depends(change)]
"""A form that changes something: only an operator may send it."""
