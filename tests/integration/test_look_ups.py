"""Many look-ups at once: in one document where the API allows it, and each result belongs to its own message."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import pytest

from tests.unit.test_vectors_wire import NOW, sms
from tests.unit.test_wire import Server, responds
from threelane.gateways.xml.gateway import XmlGateway
from threelane.sandbox.running import Running
from threelane.worker.gateway import choose
from threelane.worker.gateway.outcome import Known, LookUp
from threelane.worker.gateway.protocol import Gateway
from threelane.worker.process.settings import AccountSettings

IDS = ["7e1c40b2a9d84f3f8a5b6c7d8e9f0011", "7e1c40b2a9d84f3f8a5b6c7d8e9f0012", "7e1c40b2a9d84f3f8a5b6c7d8e9f0013"]
OURS = ["a" * 32, "b" * 32, "c" * 32]
T = TypeVar("T")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Running]:
    with Running.start("--seed", "7") as running:
        yield running


def connected(name: str, url: str, work: Callable[[Gateway], Awaitable[T]]) -> T:
    """Do some work with a gateway, and close it."""

    async def main() -> T:
        words = dict.fromkeys(("api_id", "user", "password", "token", "api_key"), "sandbox")
        credentials: dict[str, Any] = {f"clickatell_{key}": word for key, word in words.items()}
        gateway = choose.gateway(AccountSettings(gateway=name, gateway_url=url, **credentials))
        try:
            return await work(gateway)
        finally:
            await gateway.close()

    return asyncio.run(main())


@pytest.mark.parametrize("name", ["http", "xml", "rest"])
def test_each_result_of_many_look_ups_is_that_of_its_own_message(sandbox: Running, name: str) -> None:
    """150 messages, every third unknown: more than one document, and a gap in each."""
    sandbox.control("POST", "reset")

    async def work(gateway: Gateway) -> tuple[list[str], list[LookUp]]:
        messages = [sms(id=f"{number:032x}") for number in range(150)]
        sent: dict[str, str] = {}
        for one in messages:
            if int(one.id, 16) % 3:
                (outcome,) = await gateway.send([one], NOW)
                sent[one.id] = outcome.gateway_id
        return [sent.get(one.id, "") for one in messages], await gateway.look_up_many([one.id for one in messages])

    expected, found = connected(name, sandbox.url, work)
    assert expected == [one.gateway_id for one in found]
    assert {Known.FOUND: 100, Known.NOT_FOUND: 50} == {
        known: sum(one.known is known for one in found) for known in (Known.FOUND, Known.NOT_FOUND)
    }
    assert {"": None} | {gateway_id: 800_000 for gateway_id in expected if gateway_id} == {
        one.gateway_id: one.charge_millionths for one in found
    }


def test_the_one_api_has_no_look_up_by_our_id(sandbox: Running) -> None:
    """All of many are unanswerable, as one is."""
    found = connected("one", sandbox.url, lambda gateway: gateway.look_up_many(OURS))
    assert [Known.CANNOT] * 3 == [one.known for one in found]


def looked_up(*bodies: str) -> tuple[list[LookUp], list[bytes], int]:
    """Look three messages up over XML; returns the results, the requests, and the new limit."""

    async def main() -> tuple[list[LookUp], list[bytes], int]:
        async with Server(*(responds(body.encode()) for body in bodies)) as server:
            gateway = XmlGateway(AccountSettings(gateway_url=server.url, gateway_timeout_seconds=2))
            try:
                return await gateway.look_up_many(OURS), server.requests, gateway.look_ups_per_request
            finally:
                await gateway.close()

    return asyncio.run(main())


def query(gateway_id: str, number: int | str, more: str = "") -> str:
    return (
        f"<queryMsgResp><apiMsgId>{gateway_id}</apiMsgId><status>003</status>{more}"
        f"<sequence_no>{number}</sequence_no></queryMsgResp>"
    )


def charge(gateway_id: str, number: int, amount: str) -> str:
    return (
        f"<getMsgChargeResp><apiMsgId>{gateway_id}</apiMsgId><charge>{amount}</charge><status>003</status>"
        f"<sequence_no>{number}</sequence_no></getMsgChargeResp>"
    )


def document(*elements: str) -> str:
    return f"<clickAPI>{''.join(elements)}</clickAPI>"


MISSING = "<queryMsgResp><fault>104, Unknown client message ID</fault><sequence_no>2</sequence_no></queryMsgResp>"


def test_the_responses_of_a_document_are_matched_by_number_and_not_by_order() -> None:
    """Nothing documents their order, and the numbers go on from one request to the next."""
    found, requests, limit = looked_up(
        document(query(IDS[2], 3), MISSING, query(IDS[0], 1)),
        document(charge(IDS[2], 5, "1.6"), charge(IDS[0], 4, "0.8")),
    )
    assert [
        LookUp(Known.FOUND, IDS[0], "003", 800_000),
        LookUp(Known.NOT_FOUND, text="Unknown client message ID"),
        LookUp(Known.FOUND, IDS[2], "003", 1_600_000),
    ] == found
    assert (2, 99) == (len(requests), limit)


def test_a_charge_of_another_message_is_not_taken() -> None:
    """The response repeats the gateway's id, so it has to be the one of the request."""
    found, _, _ = looked_up(
        document(query(IDS[0], 1), MISSING, query(IDS[2], 3)),
        document(charge(IDS[1], 4, "0.8"), charge(IDS[2], 5, "0.8")),
    )
    assert [None, None, 800_000] == [one.charge_millionths for one in found]


@pytest.mark.parametrize("whole", ["001, Authentication failed", "901, Internal error"])
def test_a_fault_for_all_proves_nothing_about_any(whole: str) -> None:
    """Neither found nor missing: and it says nothing about how many the gateway takes at once."""
    found, requests, limit = looked_up(document(f"<queryMsgResp><fault>{whole}</fault></queryMsgResp>"))
    assert [Known.FAILED] * 3 == [one.known for one in found]
    assert (1, 99) == (len(requests), limit)


UNMATCHED = {
    "only the first has a response": document(query(IDS[0], 1)),
    "no numbers": document(query(IDS[0], ""), query(IDS[1], ""), query(IDS[2], "")),
    "the same number": document(query(IDS[0], 1), query(IDS[1], 1), query(IDS[2], 1)),
    "the document is refused": document("<fault>100, Data malformed</fault>"),
}


@pytest.mark.parametrize("body", UNMATCHED.values(), ids=UNMATCHED)
def test_after_a_document_without_a_response_for_each_message_look_ups_go_one_by_one(body: str) -> None:
    """A look-up without a response of its own would never end a doubt."""
    alone = document("<queryMsgResp><fault>104, Unknown client message ID</fault></queryMsgResp>")
    found, _, limit = looked_up(body, alone)
    assert 1 == limit
    assert Known.NOT_FOUND is found[1].known


def test_a_response_that_names_another_message_proves_nothing() -> None:
    """Its own number, and the client id of another: neither is believed."""
    other = "<cliMsgId>" + "d" * 32 + "</cliMsgId>"
    found, _, _ = looked_up(document(query(IDS[0], 1, other), MISSING, query(IDS[2], 3)))
    assert [Known.FAILED, Known.NOT_FOUND, Known.FOUND] == [one.known for one in found]
