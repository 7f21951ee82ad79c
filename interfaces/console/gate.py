"""Gate: who may see a page, and that a form was sent from it: by the login, by the form's token and by its Origin."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple
from urllib.parse import parse_qsl

from fastapi import Depends, Request
from fastapi.responses import Response

from threelane.interfaces.api.body import Single
from threelane.interfaces.api.caller import pay
from threelane.interfaces.api.house import House, Shared
from threelane.interfaces.api.problem import stop
from threelane.interfaces.console import session
from threelane.interfaces.console.page import Login, page, to
from threelane.interfaces.console.session import Session
from threelane.runtime import logs

COOKIE = "threelane"
MOST_FIELDS = 30


class Visit(NamedTuple):
    """One request of somebody who is logged in."""

    house: House
    session: Session
    now: int  # ms
    is_look: bool

    def show(self, template: str, **values: object) -> Response:
        """Return a page, with what was said since the last one; a look of the script is no page."""
        known = self.session
        if known.said and not self.is_look:
            session.remember(self.house.redis, known, said="")
        told: dict[str, Any] = {"csrf": known.csrf, "key": known.key, "said": known.said, "now": self.now, **values}
        return page(template, **told)

    def did(self, what: str, said: str, back: str, **more: Any) -> Response:
        """Note what was done, by whom, in the log, never a number; and lead back, where it is said in words."""
        self.log(what, **more)
        return self.say(said, back)

    def say(self, said: str, back: str) -> Response:
        """Lead to an address, where this is said."""
        session.remember(self.house.redis, self.session, said=said)
        return to(back)

    def log_and_go(self, what: str, address: str) -> Response:
        """Note what was asked for, and lead to where it is answered."""
        self.log(what)
        return to(address)

    def log(self, what: str, **more: Any) -> None:
        """Write down what was done, and by whom."""
        logs.event("console", did=what, key=self.session.key.id, producer=self.session.key.producer, **more)


class Form(NamedTuple):
    """What was sent, and by whom."""

    visit: Visit
    fields: Mapping[str, str]

    def get(self, name: str, most: int = 200) -> str:
        """Return a field, empty when it was left out; ends the request when it is longer than the page lets it be."""
        value = self.fields.get(name, "")
        if len(value) > most or not value.isprintable():
            raise stop(422, f"{name}: one line of up to {most} characters", remedy="go back, and make it shorter")
        return value

    def amount(self, name: str, most: int, otherwise: str) -> float:
        """Return a field that is a number from 0 to ``most``, 0 when it was left out; ``otherwise`` is a hint."""
        try:
            value = float(self.get(name, 10) or 0)
        except ValueError:
            value = -1
        if not 0 <= value <= most:
            raise stop(422, f"{name}: up to {most:,}, or {otherwise}", remedy="go back, and correct it")
        return value


def visit(request: Request, house: Shared) -> Visit:
    """Return the visit of somebody who is logged in; others are led to the login."""
    now = house.producer.now()
    token = request.cookies.get(COOKIE, "")
    found = session.find(house.redis, token, now) if token else None
    if found is None:
        raise Login
    request.scope["threelane.key"] = found.key.id  # for the log
    pay(house, found.key, now)
    return Visit(house, found, now, "x-threelane-look" in request.headers)


async def sent_from_here(request: Request) -> None:
    """End a request that another site's page has sent."""
    origin, host = request.headers.get("origin", ""), request.headers.get("host", "")
    at_home = origin.lower() in (f"http://{host}".lower(), f"https://{host}".lower())
    if not at_home or request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        raise _foreign()


async def fields(body: Single, _: Annotated[None, Depends(sent_from_here)]) -> Mapping[str, str]:
    """Return the fields of a form, each once and without spaces around it."""
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict")
    except ValueError:
        raise stop(400, "this is no form", remedy="go back, and send it from the page") from None
    return {name: value.strip() for name, value in pairs}


async def form(said: Annotated[Mapping[str, str], Depends(fields)], here: Annotated[Visit, Depends(visit)]) -> Form:
    """Return a form that this login's page has sent."""
    if not same(said.get("csrf", ""), here.session.csrf):
        raise _foreign()
    return Form(here, said)


def same(said: str, meant: str) -> bool:
    """Compare in a time that tells nothing."""
    return hmac.compare_digest(said.encode(), meant.encode())


def _foreign() -> Exception:
    remedy = "go back, load the page anew, and send it again; if you did not send it, somebody else tried to"
    return stop(403, "this form was not sent from this page", remedy=remedy)


Fields = Annotated[Mapping[str, str], Depends(fields)]
Here = Annotated[Visit, Depends(visit)]
Sent = Annotated[Form, Depends(form)]
