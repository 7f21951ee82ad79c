"""Account: what operators ask of the gateway: balance, coverage, a voucher; answered by a worker.

Only workers have the account's credentials by default, so a request goes to a worker by Redis; a command line that has
the credentials makes the call itself: direct_account.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import redis
from pydantic import SecretStr

from threelane.contract.features import able
from threelane.contract.gateways import declared
from threelane.store import account_requests, audit, rows
from threelane.store.account_requests import (
    NO_VOUCHER,
    AccountAnswer,
    AccountQuery,
    AccountRequest,
    AccountResult,
    Concern,
)
from threelane.store.keys import HERE, Space
from threelane.worker.process.identity import SILENT_MS

KIND = "voucher"
"""What the audit log calls a voucher that was handed in."""
MOST_VOUCHER = 64  # characters
TAKE_SECONDS = 5.0  # until a worker takes a request, if any is to
LOOK_SECONDS = 0.05
_NOT_TAKEN = "no worker takes the request: all are busy with other requests, or of an earlier version; threelane health"
_SEE_DOCTOR = "see threelane doctor --live"
_REMEDIES = {
    Concern.VOUCHER: "check the voucher",
    Concern.CREDENTIALS: "check the credentials of the account: threelane doctor --live",
    Concern.ACCOUNT: "check the account at Clickatell: threelane doctor --live",
}
Call = Callable[[AccountQuery, str, SecretStr], AccountAnswer]
"""Makes one request: its kind, the number of a coverage query, and the voucher."""


def by_worker(client: redis.Redis, space: Space = HERE) -> Call:
    """Return the call that a worker of an account makes for this process; it waits, so run it on a thread."""

    def call(query: AccountQuery, msisdn: str, voucher: SecretStr) -> AccountAnswer:
        now = _now(client)
        if not rows.workers_of(client, now - SILENT_MS, space):
            of = f" of the account {space.account}" if space.account else ""
            return _not_called(f"no worker{of} runs: start one, since only workers have the account's credentials")
        request = account_requests.put(client, query, now, msisdn, space)
        taken = _wait(client, request, TAKE_SECONDS, AccountResult.TAKEN)
        if taken is None and account_requests.withdraw(client, request, space):
            return _not_called(_NOT_TAKEN)
        if taken is not None and taken.result is not AccountResult.TAKEN:
            return taken
        if query is AccountQuery.VOUCHER and not account_requests.hand_over(client, request, voucher):
            return _not_called("the worker that took the request has ended")
        seconds = taken.seconds if taken else account_requests.LAPSE_MS / 1000
        answer = _wait(client, request, seconds)
        lost = "the worker that took the request does not answer"
        return answer or AccountAnswer(result=AccountResult.UNKNOWN, text=lost)

    return call


def balance(call: Call, api: str) -> AccountAnswer:
    """Return the balance of the account of an API."""
    return lacking(AccountQuery.BALANCE, api) or call(AccountQuery.BALANCE, "", NO_VOUCHER)


def coverage(call: Call, api: str, msisdn: str) -> AccountAnswer:
    """Return whether the account reaches a number, and from which charge a part."""
    return lacking(AccountQuery.COVERAGE, api) or call(AccountQuery.COVERAGE, msisdn, NO_VOUCHER)


def redeem(call: Call, api: str, voucher: SecretStr, client: redis.Redis, who: str, account: str = "") -> AccountAnswer:
    """Redeem a voucher, once, with an entry in the audit log that does not have it."""
    if without := lacking(AccountQuery.VOUCHER, api):
        return without
    ended = "its outcome is unknown"
    try:
        found = call(AccountQuery.VOUCHER, "", voucher)
        ended = f"{found.result} {found.code}".strip().replace("_", " ")
    finally:
        audit.record(
            client,
            KIND,
            f"a voucher for the account {account or f'of the API {api}'}: {ended}",
            who,
        )
    return found


def lacking(query: AccountQuery, api: str) -> AccountAnswer | None:
    """Return the answer for an API that has no such command."""
    return None if able(query, api) else AccountAnswer(result=AccountResult.LACKING, gateway=api)


def problem(query: AccountQuery, found: AccountAnswer) -> tuple[str, str]:
    """Return why there is no answer, and the remedy; both are empty if there is one."""
    api = found.gateway
    match found.result:
        case AccountResult.LACKING:
            having = [name for name in declared() if able(query, name)]
            remedy = f"use an account of the API {' or '.join(having)}" if having else "no API has it"
            return f"the API of this account ({api}) has no {query}", remedy
        case AccountResult.REFUSED:
            return f"the gateway refuses it: {_coded(found)}", _REMEDIES.get(found.concern, _SEE_DOCTOR)
        case AccountResult.NOT_CALLED:
            return f"the gateway was not called: {found.text}", "see threelane doctor; then try again"
        case AccountResult.UNKNOWN:
            what = "whether the voucher was redeemed" if query is AccountQuery.VOUCHER else f"the {query}"
            remedy = "check the balance before you try again" if query is AccountQuery.VOUCHER else "try again"
            return f"{what} is unknown: {_coded(found)}", remedy
    return "", ""


def parse_voucher(raw: str) -> SecretStr:
    """Return a voucher; raises ValueError, without the voucher in its text."""
    text = raw.removeprefix("\ufeff").strip()  # the byte order mark of an editor on Windows
    if not text or len(text) > MOST_VOUCHER or not (text.isascii() and text.isprintable() and " " not in text):
        raise ValueError(f"a voucher is one word of 1 to {MOST_VOUCHER} letters, digits or signs; copy it again")
    return SecretStr(text)


def _coded(found: AccountAnswer) -> str:
    """Return the code and the text of an answer."""
    return f"{found.code} {found.text}".strip()


def _wait(client: redis.Redis, request: AccountRequest, seconds: float, *ends: AccountResult) -> AccountAnswer | None:
    """Return the answer when it is final, or one of ``ends``; None if it is not in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = account_requests.answer_to(client, request)
        if found and (found.result is not AccountResult.TAKEN or found.result in ends):
            return found
        time.sleep(LOOK_SECONDS)
    return None


def _not_called(text: str) -> AccountAnswer:
    return AccountAnswer(result=AccountResult.NOT_CALLED, text=text)


def _now(client: redis.Redis) -> int:
    seconds, microseconds = client.time()
    return int(seconds) * 1000 + int(microseconds) // 1000
