"""A browser's part for tests of the console: keeps cookies, fills forms, and reads the page."""

from __future__ import annotations

import re
from html import unescape
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode

from tests.integration.http_api import Api, Response

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Visitor:
    """Somebody at the page; ``token`` is that of the forms of the page that was read last."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.origin = api.url
        self.cookies: dict[str, str] = {}
        self.token = ""

    def get(self, path: str, **headers: str) -> Response:
        return self.request("GET", path, headers=headers)

    def post(self, path: str, follow: bool = True, headers: dict[str, str] | None = None, **fields: Any) -> Response:
        """Send a form as a browser does, with the token of the last page unless another is given, and follow."""
        form = {"csrf": self.token, **fields}
        sent = FORM | {"Origin": self.origin, "Sec-Fetch-Site": "same-origin"} | (headers or {})
        answer = self.request("POST", path, urlencode(form).encode(), sent)
        return self.get(answer.headers["location"]) if follow and answer.status == 303 else answer

    def log_in(self, key: str) -> Response:
        self.get("/console/login")
        return self.post("/console/login", key=key)

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Response:
        carried = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        answer = self.api.request(method, path, body, headers={**carried, **(headers or {})})
        for name, value in answer.headers.items():
            if name == "set-cookie":
                self._keep(value)
        answer = answer._replace(body=answer.body.decode() if isinstance(answer.body, bytes) else answer.body)
        if found := re.search(r'name="csrf" value="([^"]+)"', str(answer.body)):
            self.token = found[1]
        return answer

    def _keep(self, header: str) -> None:
        for name, one in SimpleCookie(header).items():
            if one.value:
                self.cookies[name] = one.value
            else:
                self.cookies.pop(name, None)


def words(page: Response) -> str:
    """Return what a reader sees of a page, tags left out."""
    bare = re.sub(r"<(script|style)\b.*?</\1>|<[^>]+>", " ", page.body, flags=re.S)
    return re.sub(r"\s+", " ", unescape(bare)).strip()
