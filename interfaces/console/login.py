"""Doors: log in, log out, and the files beside the pages."""

from __future__ import annotations

import ipaddress
import secrets
from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response

from threelane.interfaces.api.house import Shared
from threelane.interfaces.api.problem import stop
from threelane.interfaces.console import session
from threelane.interfaces.console.gate import COOKIE, Fields, Sent, same
from threelane.interfaces.console.page import HOME, LOGIN, STATIC, PageRoute, page, to
from threelane.runtime import logs
from threelane.store import access

router = APIRouter(prefix="/console", include_in_schema=False, route_class=PageRoute)
BEFORE = "threelane-login"  # the cookie that says that the login form was ours
TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
FOREVER = "public, max-age=31536000, immutable"  # an address has the version of all files in it


@router.get("/login")
async def console_login(request: Request) -> Response:
    """Show the login."""
    return _login(request, 200, "")


@router.post("/login")
def console_log_in(request: Request, house: Shared, said: Fields) -> Response:
    """Begin a login for a key with the right ``operator``."""
    before = request.cookies.get(BEFORE, "")
    if not before or not same(said.get("csrf", ""), before):
        return _login(request, 403, "This form was too old. Try again; the page needs cookies.")
    address = _network(request.client.host if request.client else "")
    wait = session.try_from(house.redis, address)
    if wait:
        logs.event("console", level=30, did="login_limited")
        told = _login(request, 429, f"Too many tries. Wait for {-(-wait // 1000)} seconds.")
        told.headers["Retry-After"] = str(-(-wait // 1000))
        return told
    now = house.producer.now()
    key = access.known(house.redis, said.get("key", ""), now)
    if key is None or not key.operator:
        logs.event("console", level=30, did="login_refused", **({"key": key.id} if key else {}))
        why = "This key has not the right of an operator." if key else "This key is not known, expired or revoked."
        return _login(request, 403, why)
    session.forgive(house.redis, address)
    logs.event("console", did="login", key=key.id, producer=key.producer)
    told = to(HOME)
    _set(request, told, COOKIE, session.open_for(house.redis, key, now), session.LONGEST_MS)
    return told


@router.post("/logout")
def console_log_out(sent: Sent) -> Response:
    """End the login."""
    session.end(sent.visit.house.redis, sent.visit.session)
    sent.visit.log("logout")
    told = to(LOGIN)
    told.delete_cookie(COOKIE, path=HOME)
    return told


@router.get("/static/{version}/{name}")
async def console_file(name: Annotated[str, Path(max_length=40)]) -> Response:
    """Return a file that pages name: the style, the script or the picture."""
    if name not in STATIC:
        raise stop(404, "there is no such file")
    kind = TYPES[name.rpartition(".")[2]]
    return Response(STATIC[name], media_type=kind, headers={"Cache-Control": FOREVER})


def _login(request: Request, status: int, wrong: str) -> Response:
    token = secrets.token_urlsafe(32)
    told = page("login.html", status, csrf=token, wrong=wrong)
    _set(request, told, BEFORE, token, session.IDLE_MS, LOGIN)
    return told


def _set(request: Request, told: Response, name: str, value: str, lives_ms: int, path: str = HOME) -> None:
    """Set a cookie that no script reads, no other site sends and, over TLS, nothing but TLS carries."""
    over_tls = request.url.scheme == "https" or request.headers.get("origin", "").startswith("https://")
    told.set_cookie(name, value, max_age=lives_ms // 1000, path=path, secure=over_tls, httponly=True, samesite="strict")


def _network(address: str) -> str:
    """Return whose tries are counted together: an address, of IPv6 its network."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    return str(found if found.version == 4 else ipaddress.ip_network((address, 64), strict=False))
