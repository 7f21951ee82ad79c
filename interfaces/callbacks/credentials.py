"""Credentials: recognises the gateway's callbacks by the secret of their address, and by basic authentication if set.

Each account has its secret, which decides whose messages a callback can change.  An address with another secret does
not exist.  At the right address, a request without the right user and password is challenged: many HTTP clients send
credentials only after a challenge (RFC 7617).

While one of them is replaced, the previous value is accepted as well; a counter shows which one callbacks still use.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

from aiohttp import BasicAuth, web
from pydantic import SecretStr

from threelane.worker.process import metrics
from threelane.worker.process.settings import CallbackSettings

CURRENT, PREVIOUS = "current", "previous"
SECRET, PASSWORD = "secret", "password"
CHALLENGE = {"WWW-Authenticate": 'Basic realm="callbacks", charset="UTF-8"'}


class Presented(Enum):
    """What a request presented."""

    GENUINE = "the secret, and the user and password if they are set"
    UNAUTHENTICATED = "the secret alone"
    WRONG_PASSWORD = "the secret, and another user or password"
    NOTHING = "no account's secret"


class Caller(NamedTuple):
    """What a request presented, and the account whose secret it has; "" for none."""

    presented: Presented
    account: str = ""


class CallbackCredentials:
    """What a callback of each account must present."""

    def __init__(self, accounts: Mapping[str, CallbackSettings]) -> None:
        """Accept the current and the previous values of these settings."""
        self._accounts = [_AccountCredentials(name, settings) for name, settings in accounts.items()]

    def match(self, request: web.Request) -> Caller:
        """Return what a callback presented; compares in constant time, and counts what a genuine one used."""
        given = request.match_info["secret"]
        matching = [(one, used) for one in self._accounts if (used := one.used_secret(given))]
        if not matching:
            return Caller(Presented.NOTHING)
        account, used = matching[0]
        return Caller(account.match(request, used), account.name)


class _AccountCredentials:
    """What a callback of one account must present."""

    def __init__(self, name: str, settings: CallbackSettings) -> None:
        self.name = name
        self._user = settings.callback_user.encode()
        self._secrets = _accepted(settings.callback_secret, settings.callback_secret_previous)
        self._passwords = _accepted(settings.callback_password, settings.callback_password_previous)
        for kind, accepted in ((SECRET, self._secrets), (PASSWORD, self._passwords if self._user else {})):
            for used in accepted:  # 0 from the start: a counter that first appears as 1 shows no increase
                metrics.CALLBACK_CREDENTIALS.labels(name, kind, used)

    def used_secret(self, given: str) -> str:
        """Return which of its secrets this is, or empty."""
        return _used(given, self._secrets)

    def match(self, request: web.Request, used_secret: str) -> Presented:
        used = {SECRET: used_secret}
        if self._user:
            header = request.headers.get("Authorization", "")
            used[PASSWORD] = self._used_password(header)
            if not used[PASSWORD]:
                return Presented.WRONG_PASSWORD if header else Presented.UNAUTHENTICATED
        for kind, which in used.items() if request.method != "HEAD" else ():
            metrics.CALLBACK_CREDENTIALS.labels(self.name, kind, which).inc()
        return Presented.GENUINE

    def _used_password(self, header: str) -> str:
        scheme, _, token = header.partition(" ")
        try:
            given = BasicAuth.decode(f"{scheme} {token.lstrip(' ')}", encoding="utf-8")
        except ValueError:
            return ""
        same_user = hmac.compare_digest(given.login.encode(), self._user)
        return _used(given.password, self._passwords) if same_user else ""


def _accepted(current: SecretStr, previous: SecretStr) -> dict[str, bytes]:
    values = {CURRENT: current.get_secret_value(), PREVIOUS: previous.get_secret_value()}
    return {used: value.encode() for used, value in values.items() if value}


def _used(given: str, accepted: dict[str, bytes]) -> str:
    """Return which of the accepted values this is, or empty; compares with all of them."""
    matching = [used for used, value in accepted.items() if hmac.compare_digest(given.encode(), value)]
    return matching[0] if matching else ""
