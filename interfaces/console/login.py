"""Login: log in, log out, and the static files of the pages."""

from __future__ import annotations

import ipaddress
import secrets
from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response

from threelane.interfaces.api.problem import stop
from threelane.interfaces.api.service import Service, Shared
from threelane.interfaces.console import session
from threelane.interfaces.console.gate import COOKIE, Fields, ReadingForm, same
from threelane.interfaces.console.page import HOME, LOGIN, STATIC, PageRoute, page, see_other
from threelane.runtime import logs
from threelane.store import access, logins

router = APIRouter(prefix="/console", include_in_schema=False, route_class=PageRoute)
LOGGED = 20  # refused logins in an hour that are logged one by one
LOGIN_COOKIE = "threelane-login"  # proves that we served the login form
TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
FOREVER = "public, max-age=31536000, immutable"  # the path contains a version of all files


@router.get("/login")
async def console_login(request: Request) -> Response:
    """Show the login form."""
    return _login(request, 200, "")


@router.post("/login")
def console_log_in(request: Request, service: Shared, submitted: Fields) -> Response:
    """Start a session for a key with the right ``operator`` or ``viewer``."""
    expected = request.cookies.get(LOGIN_COOKIE, "")
    if not expected or not same(submitted.get("csrf", ""), expected):
        return _login(request, 403, "The form has expired. Try again; the page needs cookies.")
    address, token = _network(request.client.host if request.client else ""), submitted.get("key", "")
    now = service.producer.now()
    key = access.authenticate(service.redis, token, now)  # in any case: a delay never keeps a right key out
    if key is None:
        return _wrong_key(request, service, address, token)
    if not key.may_view:
        _log_refused(service, "no_right", key=key.id)
        return _login(request, 403, "This key is not an operator key, nor a viewer's.")
    logins.forgive(service.redis, address, token)
    logs.event("console", did="login", key=key.id, producer=key.producer)
    response = see_other(HOME)
    _set(request, response, COOKIE, session.open_for(service.redis, key, now), session.LONGEST_MS)
    return response


@router.post("/logout")
def console_log_out(form: ReadingForm) -> Response:
    """End the session."""
    session.end(form.visit.service.redis, form.visit.session)
    form.visit.log("logout")
    response = see_other(LOGIN)
    response.delete_cookie(COOKIE, path=HOME)
    return response


@router.get("/static/{version}/{name}")
async def console_file(name: Annotated[str, Path(max_length=40)]) -> Response:
    """Return a static file of the pages: the style sheet, the script or the icon."""
    if name not in STATIC:
        raise stop(404, "no such file")
    media_type = TYPES[name.rpartition(".")[2]]
    return Response(STATIC[name], media_type=media_type, headers={"Cache-Control": FOREVER})


def _wrong_key(request: Request, service: Service, address: str, token: str) -> Response:
    """Refuse a wrong key, from the sixth on with the seconds to wait; no thread waits."""
    wait = logins.count_wrong(service.redis, address, token)
    _log_refused(service, "wrong_key")
    why = "This key is unknown, expired or revoked."
    if not wait:
        return _login(request, 403, why)
    response = _login(request, 429, f"{why} Wait {wait} seconds before you try another.")
    response.headers["Retry-After"] = str(wait)
    return response


def _log_refused(service: Service, reason: logins.Reason, **more: str) -> None:
    """Count a refused login, and log it: of many in an hour, each that doubles their number."""
    number = logins.count_refused(service.redis, reason)
    if number <= LOGGED or number.bit_count() == 1:
        logs.event("console", level=30, did="login_refused", reason=reason, within_an_hour=number, **more)


def _login(request: Request, status: int, problem: str) -> Response:
    token = secrets.token_urlsafe(32)
    response = page("login.html", status, csrf=token, problem=problem)
    _set(request, response, LOGIN_COOKIE, token, session.IDLE_MS, LOGIN)
    return response


def _set(request: Request, response: Response, name: str, value: str, lives_ms: int, path: str = HOME) -> None:
    """Set a cookie: HttpOnly, SameSite=Strict and, over TLS, Secure."""
    over_tls = request.url.scheme == "https" or request.headers.get("origin", "").startswith("https://")
    response.set_cookie(
        name, value, max_age=lives_ms // 1000, path=path, secure=over_tls, httponly=True, samesite="strict"
    )


def _network(address: str) -> str:
    """Return the unit of rate limiting: an IPv4 address, or the /64 network of an IPv6 address."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    return str(found if found.version == 4 else ipaddress.ip_network((address, 64), strict=False))
