"""Credentials: recognises the gateway's callbacks by the secret of their address, and by basic authentication if set.

While one of them is replaced, the previous value is accepted as well; a counter shows which one callbacks still use.
"""

from __future__ import annotations

import hmac

from aiohttp import BasicAuth, web
from pydantic import SecretStr

from threelane.worker.process import metrics
from threelane.worker.process.settings import CallbackSettings

CURRENT, PREVIOUS = "current", "previous"
SECRET, PASSWORD = "secret", "password"


class CallbackCredentials:
    """What a callback must present."""

    def __init__(self, settings: CallbackSettings) -> None:
        """Accept the current and the previous values of these settings."""
        self._user = settings.callback_user.encode()
        self._secrets = _accepted(settings.callback_secret, settings.callback_secret_previous)
        self._passwords = _accepted(settings.callback_password, settings.callback_password_previous)
        for kind, accepted in ((SECRET, self._secrets), (PASSWORD, self._passwords if self._user else {})):
            for used in accepted:  # 0 from the start: a counter that first appears as 1 shows no increase
                metrics.CALLBACK_CREDENTIALS.labels(kind, used)

    def match(self, request: web.Request) -> bool:
        """Return whether a callback is the gateway's; compares in constant time, and counts what a genuine one used."""
        used = {SECRET: _used(request.match_info["secret"], self._secrets)}
        if self._user:
            try:
                given = BasicAuth.decode(request.headers.get("Authorization", ""), encoding="utf-8")
            except ValueError:
                return False
            same_user = hmac.compare_digest(given.login.encode(), self._user)
            used[PASSWORD] = _used(given.password, self._passwords) if same_user else ""
        if not all(used.values()):
            return False
        for kind, which in used.items():
            metrics.CALLBACK_CREDENTIALS.labels(kind, which).inc()
        return True


def _accepted(current: SecretStr, previous: SecretStr) -> dict[str, bytes]:
    values = {CURRENT: current.get_secret_value(), PREVIOUS: previous.get_secret_value()}
    return {used: value.encode() for used, value in values.items() if value}


def _used(given: str, accepted: dict[str, bytes]) -> str:
    """Return which of the accepted values this is, or empty; compares with all of them."""
    matching = [used for used, value in accepted.items() if hmac.compare_digest(given.encode(), value)]
    return matching[0] if matching else ""
