"""What an API lacks: a sender writes the commands that its API has, and each of the others has a result already."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tests.unit.test_vectors_wire import ITS_ID, OUR_ID, TO, account
from threelane.contract.message import Message
from threelane.worker.gateway import outcome
from threelane.worker.gateway.api import JsonApi
from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind
from threelane.worker.gateway.protocol import Gateway
from threelane.worker.gateway.reach import reach


class OnlySends(JsonApi):
    """An API that takes messages, and answers nothing else."""

    name = "one"
    batch_size = 1

    async def send(self, messages: Sequence[Message], now: int) -> list[AttemptOutcome]:  # noqa: ARG002
        """Send nothing."""
        return [AttemptOutcome(OutcomeKind.NOT_TRIED)] * len(messages)


def made() -> Gateway:
    return OnlySends(account("one", "http://127.0.0.1:9"), {})


def test_a_command_that_an_api_lacks_has_a_result() -> None:
    """Nothing is requested for it, and no duty of a worker meets an exception."""

    async def main() -> list[object]:
        api = made()
        try:
            look_ups = [await api.look_up(OUR_ID), *await api.look_up_many([OUR_ID]), await api.status(ITS_ID)]
            others = [await api.cancel(ITS_ID), await api.coverage(TO), await api.pay("1111"), await api.balance()]
            return [*look_ups, *others, (await reach(api)).kind]
        finally:
            await api.close()

    look_ups = [outcome.NO_LOOK_UP, outcome.NO_LOOK_UP, outcome.NO_STATUS_QUERY]
    others = [outcome.NO_CANCEL, outcome.NO_COVERAGE, outcome.NO_PAYMENT, outcome.NO_BALANCE]
    assert [*look_ups, *others, OutcomeKind.NOT_TRIED] == asyncio.run(main())
