"""What an HTTP status alone means, for each API, against a real server that keeps its requests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, NamedTuple, TypeVar

import msgspec
import pytest
from aiohttp import web

from tests.servers import free_port
from threelane.contract import text as texts
from threelane.contract.features import able
from threelane.contract.gateways import SHIPPED
from threelane.contract.message import Message
from threelane.store.states import Status
from threelane.worker.gateway.choose import gateway
from threelane.worker.gateway.outcome import (
    NO_CANCEL_BY_OUR_ID,
    AttemptOutcome,
    Cancellation,
    Coverage,
    Known,
    OutcomeKind,
    Payment,
)
from threelane.worker.gateway.protocol import Gateway
from threelane.worker.process.settings import AccountSettings
from threelane.worker.send.judge import Decision, Patience, Tried, judge

NOW = 1_800_000_000_000
MINUTE = 60_000
OUR_ID = "4b1d0c2e8f7a4e5e9a3b6c7d8e9f0a1b"
ITS_ID = "7e1c40b2a9d84f3f8a5b6c7d8e9f0011"
TO = "2799900001"
T = TypeVar("T")


class RequestRead(NamedTuple):
    """One request as the server read it."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


def sms(**fields: Any) -> Message:
    """Return a message as accept would make it, also one that accept would refuse."""
    size = texts.measure(fields.get("text", "Hello"), unicode=fields.pop("unicode", False))
    content = {"id": OUR_ID, "to": TO, "expires_at": NOW + 1440 * MINUTE, "text": "Hello"}
    return Message(**{**content, "encoding": size.encoding, "units": size.units, "parts": size.parts, **fields})


def account(api: str, url: str) -> AccountSettings:
    return AccountSettings(
        gateway=api,
        gateway_url=url,
        gateway_timeout_seconds=5,
        clickatell_api_id="9001",
        clickatell_user="ops",
        clickatell_password="pw",
        clickatell_token="t0ken",
        clickatell_api_key="k3y",
    )


def answered(
    api: str, status: int, body: bytes, call: Callable[[Gateway], Awaitable[T]], kind: str = "application/json"
) -> tuple[T, list[RequestRead]]:
    """Let a gateway of this API call a server that answers everything so; returns what it made of it."""
    requests: list[RequestRead] = []

    async def answer(request: web.Request) -> web.Response:
        read = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        requests.append(RequestRead(request.method, request.path, dict(request.query), headers, read))
        return web.Response(status=status, body=body, headers={"Content-Type": kind})

    async def main() -> T:
        app = web.Application()
        app.router.add_route("*", "/{anything:.*}", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        made = gateway(account(api, f"http://{host}:{port}/"))
        try:
            return await call(made)
        finally:
            await made.close()
            await runner.cleanup()

    return asyncio.run(main()), requests


def sent(api: str, status: int, body: bytes = b"", kind: str = "text/html") -> AttemptOutcome:
    """Return what becomes of one message that is answered so."""
    (outcome,), requests = answered(api, status, body, lambda made: made.send([sms()], NOW), kind)
    assert 1 == len(requests)
    return outcome


def judged(api: str, outcome: AttemptOutcome) -> Decision:
    async def table() -> Any:
        made = gateway(account(api, "http://127.0.0.1:9"))
        await made.close()
        return made.table

    tried = Tried(sms(), 3, NOW, NOW)
    return judge(tried, outcome, asyncio.run(table()), Patience(), NOW, Random(1))


PAGE = b"<html><head><title>Bad Gateway</title></head></html>"
APIS = SHIPPED
WITHOUT_LOOK_UP = tuple(api for api in APIS if not able("look up by our id", api))
ELSEWHERE, UNSURE = OutcomeKind.WRONG_ADDRESS, OutcomeKind.UNREADABLE

# fmt: off
STATUSES: list[tuple[int, OutcomeKind]] = [  # without a body of the API
    *((status, ELSEWHERE) for status in (300, 301, 302, 303, 304, 307, 308, 401, 403, 404, 405)),
    (429, OutcomeKind.REFUSED),
    *((status, UNSURE) for status in (200, 201, 202, 204, 207, 400, 402, 406, 408, 409, 410, 413, 418, 500, 502, 503,
                                      504, 520)),
]
# fmt: on


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(("status", "kind"), STATUSES)
def test_a_status_without_a_body_of_the_api_never_means_yes_and_holds_no_account(
    api: str, status: int, kind: OutcomeKind
) -> None:
    """Who may not come in was not served; a server error, a proxy's page and an odd 2xx leave it open."""
    outcome = sent(api, status, b"" if status in (204, 304) else PAGE)
    assert (kind, "429" if status == 429 else "") == (outcome.kind, outcome.code)
    decision = judged(api, outcome)
    assert (Status.IN_DOUBT == decision.to) == (kind is UNSURE)
    assert decision.to in (Status.IN_DOUBT, Status.QUEUED)
    assert decision.hold is None or decision.hold.until


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{}", b"[]", b"null", b'{"message": "Unauthorized"}', b'{"error": null}', b'{"error": "Not Found"}'),
        *(b'{"error": {"code": 401}}', b'{"error": {"code": "x"}}', b"ERR: Unauthorized", b"<clickAPI/>"),
    ],
)
def test_a_body_without_one_of_the_api_s_codes_is_a_page_of_another_server(api: str, body: bytes) -> None:
    """A proxy in front of the API may send it; the account's own state is not known from it."""
    found = [sent(api, status, body).kind for status in (301, 401, 403, 404, 405, 503)]
    assert [ELSEWHERE] * 5 + [UNSURE] == found


# fmt: off
CONTRADICTIONS: list[tuple[str, bytes]] = [
    ("http", b"ID: " + ITS_ID.encode()),
    ("rest", b'{"data":{"message":[{"accepted":true,"to":"2799900001","apiMessageId":"%b"}]}}' % ITS_ID.encode()),
    ("xml", b"<clickAPI><sendMsgResp><apiMsgId>%b</apiMsgId><sequence_no>1</sequence_no></sendMsgResp></clickAPI>"
     % ITS_ID.encode()),
    *((api, b'{"messages":[{"accepted":true,"to":"2799900001","apiMessageId":"%b"}]}' % ITS_ID.encode())
      for api in ("one", "platform")),
]
# fmt: on


@pytest.mark.parametrize(("api", "body"), CONTRADICTIONS)
def test_an_acceptance_only_counts_in_a_success_and_elsewhere_it_leaves_the_message_in_doubt(
    api: str, body: bytes
) -> None:
    """It is neither sent for sure, nor surely not sent."""
    assert OutcomeKind.ACCEPTED == sent(api, 200, body).kind
    for status in (301, 400, 401, 404, 429, 500, 503):
        assert UNSURE == sent(api, status, body).kind, status


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("status", [301, 401, 403, 404, 405, 429, 500, 503])
def test_a_page_of_another_server_proves_nothing_about_a_message_or_the_balance(api: str, status: int) -> None:
    """A 404 of a wrong address is not a message that the gateway does not know."""

    async def call(made: Gateway) -> list[Any]:
        many = await made.look_up_many([OUR_ID, "5c2e1d3f908b4f6fab4c7d8e9f0a1b2c"])
        return [*many, await made.look_up(OUR_ID), await made.status(ITS_ID), await made.balance()]

    *look_ups, balance = answered(api, status, PAGE, call, "text/html")[0]
    assert {Known.CANNOT if api in WITHOUT_LOOK_UP else Known.FAILED} == {one.known for one in look_ups[:3]}
    assert (Known.CANNOT if api == "platform" else Known.FAILED) is look_ups[3].known
    assert isinstance(balance, str)
    assert str(status) in balance


# fmt: off
WITH_BODY: list[tuple[str, int, Any, str | None]] = [  # an error object: its code decides
    ("rest", 401, {"code": "007", "description": "IP lockdown"},          "007"),
    ("rest", 401, {"code": 7, "description": "IP lockdown"},              "007"),
    ("rest", 402, {"code": "301", "description": "No credit left"},       "301"),
    ("rest", 404, {"code": "161", "description": "No such resource"},     "161"),
    ("rest", 405, {"code": "160", "description": "Method not supported"}, "160"),
    ("rest", 410, {"code": "122", "description": "Opted out"},            "122"),
    ("rest", 410, {"code": "114", "description": "Cannot route"},         "114"),
    ("rest", 429, {"code": "130", "description": "limit until 1"},        "130"),
    ("rest", 503, {"code": "901", "description": "Internal error"},       "901"),
    ("rest", 500, {"code": 900},                                          "900"),
    ("rest", 200, {"code": "105", "description": "Invalid"},              "105"),
    ("rest", 400, {"code": "129", "description": "new"},                  "129"),
    ("rest", 503, {"code": "503", "description": "a proxy's"},            None),
    ("rest", 502, {"code": "999"},                                        None),
    ("rest", 500, "upstream timed out",                                   None),
    ("rest", 402, "no credit",                                            "301"),
    ("rest", 410, "no route",                                             "114"),
    ("rest", 400, "Bad request",                                          "none"),
    ("one",  401, {"code": 7, "description": "IP"},                       "7"),
    ("one",  400, {"code": 43, "description": "Rate limit exceeded"},     "43"),
    ("one",  429, {"code": "43"},                                         "43"),
    ("one",  400, {"code": "0043"},                                       "43"),
    ("one",  402, {"code": 20},                                           "20"),
    ("one",  404, {"code": 41},                                           "41"),
    ("one",  400, {"code": 21},                                           "21"),
    ("one",  503, {"code": 19, "description": "please retry"},            "19"),
    ("one",  500, {"code": 18, "description": "internal"},                None),
    ("one",  400, {"code": 18, "description": "internal"},                None),
    ("one",  500, {"code": 500, "description": "a proxy's"},              None),
    ("one",  402, {"code": 402},                                          "20"),
    ("platform", 401, {"code": 108, "description": "Invalid key"},        "108"),
    ("platform", 402, "no credit",                                        "301"),
    ("platform", 400, {"code": 901, "description": "please retry"},       None),
    ("platform", 503, {"code": 900},                                      None),
    ("platform", 400, {"code": 999},                                      None),
]
# fmt: on


@pytest.mark.parametrize(("api", "status", "error", "code"), WITH_BODY)
def test_with_an_error_body_its_code_decides(api: str, status: int, error: Any, code: str | None) -> None:
    """In a server error only a code that the table lists is one: the rest may be a proxy's own numbers."""
    outcome = sent(api, status, msgspec.json.encode({"error": error}), "application/json")
    expected = (OutcomeKind.REFUSED, code) if code else (OutcomeKind.UNREADABLE, "")
    assert expected == (outcome.kind, outcome.code)


@pytest.mark.parametrize("api", APIS)
def test_a_rate_limit_slows_the_account_and_costs_the_message_nothing(api: str) -> None:
    """Its attempts are kept for faults of its own; everybody waits a moment, and it keeps its place in its lane."""
    decision = judged(api, sent(api, 429))
    assert (Status.QUEUED, False) == (decision.to, decision.spends_attempt)
    assert decision.hold is not None
    assert ("account", "rate_limited", NOW + 2000) == (decision.hold.scope, decision.hold.cause, decision.hold.until)


@pytest.mark.parametrize("api", APIS)
def test_a_gateway_that_is_not_there_is_a_value_for_every_command(api: str) -> None:
    """No command raises; what never left did not take effect, and a request that cannot be made is reported."""

    async def main() -> list[Any]:
        made = gateway(account(api, f"http://127.0.0.1:{free_port()}"))
        try:
            return [
                *await made.send([sms()], NOW),
                await made.look_up(OUR_ID),
                await made.status(ITS_ID),
                await made.cancel(ITS_ID),
                await made.coverage(TO),
                await made.pay("1111"),
                await made.balance(),
            ]
        finally:
            await made.close()

    outcome, look_up, status, cancellation, coverage, payment, balance = asyncio.run(main())
    assert OutcomeKind.NOT_REACHED == outcome.kind
    assert (Known.CANNOT if api in WITHOUT_LOOK_UP else Known.FAILED) is look_up.known
    assert (Known.CANNOT if api == "platform" else Known.FAILED) is status.known
    assert isinstance(cancellation, Cancellation)
    assert isinstance(coverage, Coverage)
    assert isinstance(payment, Payment)
    assert (False, None, False) == (cancellation.stopped, coverage.routable, payment.paid)
    assert "not_reached (ClientConnectorError)" == balance


# fmt: off
ADDRESSES = [  # API, command, argument -> what goes out
    ("http", "send",     None,       "POST",   "/http/sendmsg",                  {}),
    ("http", "look_up",  OUR_ID,     "POST",   "/http/querymsg",                 {}),
    ("http", "cancel",   ITS_ID,     "POST",   "/http/delmsg",                   {}),
    ("http", "cancel_by_our_id", OUR_ID, "POST", "/http/delmsg",                 {}),
    ("xml",  "cancel_by_our_id", OUR_ID, "POST", "/xml/xml",                     {}),
    ("http", "coverage", TO,         "POST",   "/utils/routeCoverage",           {}),
    ("http", "pay",      "1111",     "POST",   "/http/token_pay",                {}),
    ("rest", "send",     None,       "POST",   "/rest/message",                  {}),
    ("rest", "look_up",  OUR_ID,     "GET",    "/rest/message",                  {"clientMessageId": OUR_ID}),
    ("rest", "status",   ITS_ID,     "GET",    f"/rest/message/{ITS_ID}",        {}),
    ("rest", "status",   "../a?b=1", "GET",    "/rest/message/../a?b=1",         {}),  # quoted: one part of the path
    ("rest", "cancel",   ITS_ID,     "DELETE", f"/rest/message/{ITS_ID}",        {}),
    ("rest", "coverage", TO,         "GET",    f"/rest/coverage/{TO}",           {}),
    ("rest", "balance",  None,       "GET",    "/rest/account/balance",          {}),
    ("xml",  "send",     None,       "POST",   "/xml/xml",                       {}),
    ("xml",  "look_up",  OUR_ID,     "POST",   "/xml/xml",                       {}),
    ("one",  "send",     None,       "POST",   "/v1/message",                    {}),
    ("one",  "status",   ITS_ID,     "GET",    f"/v1/message/{ITS_ID}",          {}),
    ("one",  "balance",  None,       "GET",    "/v1/balance",                    {}),
    ("platform", "send", None,       "POST",   "/messages",                      {}),
    ("platform", "balance", None,    "GET",    "/public-client/balance",         {}),
]
# fmt: on


@pytest.mark.parametrize(("api", "command", "argument", "method", "path", "query"), ADDRESSES)
def test_a_command_has_its_method_and_its_address(
    api: str, command: str, argument: str | None, method: str, path: str, query: dict[str, str]
) -> None:
    """And no part of a request can become another address."""

    async def call(made: Gateway) -> Any:
        if command == "send":
            return await made.send([sms()], NOW)
        return await getattr(made, command)(*([argument] if argument else []))

    _, requests = answered(api, 500, b"", call)
    assert [(method, path, query)] == [(one.method, one.path, one.query) for one in requests]


# fmt: off
HEADERS = {
    "rest": {"authorization": "Bearer t0ken", "x-version": "1", "content-type": "application/json",
             "accept": "application/json"},
    "one":  {"authorization": "k3y", "content-type": "application/json", "accept": "application/json"},
    "platform": {"authorization": "k3y", "content-type": "application/json", "accept": "application/json"},
    "xml":  {"content-type": "application/x-www-form-urlencoded"},
}
# fmt: on


@pytest.mark.parametrize("api", HEADERS)
def test_each_api_has_its_headers_and_no_secret_stands_in_an_address(api: str) -> None:
    """Access logs contain addresses; the Portal's APIs take their key without a prefix."""
    _, (request,) = answered(api, 500, b"", lambda made: made.send([sms()], NOW))
    assert HEADERS[api] == {name: request.headers.get(name) for name in HEADERS[api]}
    assert not any(secret in f"{request.path}{request.query}" for secret in ("t0ken", "k3y", "pw"))


# fmt: off
DEFAULTS = [("http", "https://api.clickatell.com"), ("rest", "https://api.clickatell.com"),
            ("xml", "https://api.clickatell.com"), ("one", "https://platform.clickatell.com"),
            ("platform", "https://platform.clickatell.com")]
NEEDS = {
    "http": ["THREELANE_CLICKATELL_API_ID", "THREELANE_CLICKATELL_USER", "THREELANE_CLICKATELL_PASSWORD"],
    "rest": ["THREELANE_CLICKATELL_TOKEN"],
    "xml":  ["THREELANE_CLICKATELL_API_ID", "THREELANE_CLICKATELL_USER", "THREELANE_CLICKATELL_PASSWORD"],
    "one":  ["THREELANE_CLICKATELL_API_KEY"],
    "platform": ["THREELANE_CLICKATELL_API_KEY"],
}
# fmt: on


@pytest.mark.parametrize(("api", "address"), DEFAULTS)
def test_each_api_has_its_own_address_unless_one_is_set(api: str, address: str) -> None:
    """The Portal's APIs live elsewhere."""
    assert address == AccountSettings(gateway=api).gateway_address
    assert "https://elsewhere.example" == account(api, "https://elsewhere.example/").gateway_address


@pytest.mark.parametrize("api", NEEDS)
def test_a_missing_credential_is_named(api: str) -> None:
    """Tests and demos start without; a check of the settings names the variables."""
    from threelane.worker.gateway.choose import missing_credentials

    assert NEEDS[api] == missing_credentials(AccountSettings(gateway=api))
    assert [] == missing_credentials(account(api, ""))


def test_settings_show_neither_token_nor_key() -> None:
    """They are printed into logs."""
    shown = repr(account("rest", "")) + str(account("one", ""))
    assert not any(secret in shown for secret in ("t0ken", "k3y"))


@pytest.mark.parametrize("api", APIS)
def test_only_the_portal_s_apis_cannot_be_queried_by_our_id(api: str) -> None:
    """A message in doubt waits there for its receipt."""

    async def main() -> tuple[str, bool]:
        made = gateway(account(api, "http://127.0.0.1:9"))
        await made.close()
        return made.name, made.can_look_up

    assert (api, api not in ("one", "platform")) == asyncio.run(main())


@pytest.mark.parametrize("api", SHIPPED)
def test_a_cancel_by_our_id_is_what_the_api_declares(api: str) -> None:
    """Producers read the declaration, workers the gateway; without the command nothing goes out."""

    async def main() -> tuple[bool, Cancellation]:
        made = gateway(account(api, "http://127.0.0.1:9"))
        answer = await made.cancel_by_our_id(OUR_ID)
        await made.close()
        return made.can_cancel_by_our_id, answer

    can, answer = asyncio.run(main())
    assert able("cancel by our id", api) == can == (answer != NO_CANCEL_BY_OUR_ID)
