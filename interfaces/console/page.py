"""Page: templates rendered with strict security headers, and every error as a page."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.routing import APIRoute
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from redis.exceptions import RedisError

from threelane.contract import phone
from threelane.contract.message_id import brief
from threelane.contract.prices import CREDIT
from threelane.interfaces.api.problem import Stop, away
from threelane.producer.outage import Unavailable, unavailable

HOME, LOGIN = "/console", "/console/login"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "same-origin",  # with no-referrer browsers send forms without their Origin
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
FOLDER = Path(__file__).parent
STATIC = {file.name: file.read_bytes() for file in (FOLDER / "static").iterdir()}
VERSION = sha256(b"".join(STATIC[name] for name in sorted(STATIC))).hexdigest()[:12]
_UNITS = (("day", 86400), ("h", 3600), ("min", 60))


class LoginRequired(Exception):
    """There is no session, or it has ended."""


class PageRoute(APIRoute):
    """A route that answers errors with a page instead of JSON, and redirects to the login when there is no session."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler, wrapped."""
        handle = super().get_route_handler()

        async def safely(request: Request) -> Response:
            try:
                return await handle(request)
            except LoginRequired:
                return see_other(LOGIN)
            except Stop as ended:
                return _refusal(ended)
            except Unavailable as failed:
                return _refusal(away(failed))
            except RedisError as failed:
                return _refusal(away(unavailable(failed)))
            except RequestValidationError:
                return _problem(422, "A parameter in the address is invalid.", "start again from the first page")

        return safely


def page(template: str, http_status: int = 200, **values: Any) -> Response:
    """Return a rendered template; all ``values`` are escaped."""
    html = _templates.get_template(template).render(values)
    return HTMLResponse(html, http_status, headers=HEADERS)


def see_other(address: str) -> Response:
    """Return a redirect to an address, by GET."""
    return RedirectResponse(address, 303, headers=HEADERS)


def _refusal(ended: Stop) -> Response:
    response = _problem(ended.problem.status, ended.problem.detail, ended.problem.remedy)
    response.headers.update(ended.headers)
    return response


def _problem(status: int, problem: str, remedy: str) -> Response:
    return page("problem.html", status, status=status, problem=problem, remedy=remedy)


def clock(at: int) -> str:
    """Format a time (ms) for people, in UTC."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at / 1000))


def span(seconds: float) -> str:
    """Format a duration in its two largest units, such as ``2 h 5 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s" if 0.05 <= seconds < 10 else f"{seconds:.0f} s"
    rest, units = int(seconds), []
    for name, size in _UNITS:
        if rest >= size:
            count, rest = divmod(rest, size)
            units.append(f"{count} {name}s" if name == "day" and count > 1 else f"{count} {name}")
    return " ".join(units[:2])


def credits(millionths: int) -> str:
    """Format an amount for people."""
    return f"{millionths / CREDIT:,.2f}"


def words(name: object) -> str:
    """Return an identifier as words."""
    return str(name).replace("_", " ")


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: Mapping[str, Callable[..., str]] = {
        "clock": clock, "span": span, "credits": credits, "words": words, "mask": phone.mask,
        "brief": brief,
    }  # fmt: skip
    environment.filters.update(filters)
    environment.globals["version"] = VERSION
    for name in environment.list_templates(["html"]):  # now: a process with too many open files must answer, too
        environment.get_template(name)
    return environment


_templates = _environment()
