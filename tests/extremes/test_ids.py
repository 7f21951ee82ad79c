"""Client message ids at their extremes, in each form that a setting puts on the wire."""

from __future__ import annotations

import asyncio

import pytest

from tests.extremes.exchange import Intake, Outside, choices
from tests.extremes.test_fields import APIS, edges, given
from tests.servers import RedisServer
from threelane.contract.fields import BY_SPELLING
from threelane.contract.message import Draft
from threelane.sandbox.running import Running

pytestmark = pytest.mark.slow

FIELD = BY_SPELLING["client_message_id"]


@pytest.mark.parametrize("form", choices("wire_ids"))
@pytest.mark.parametrize("api", APIS)
def test_every_client_id_that_intake_accepts_the_sandbox_takes_in_each_form(
    runner: asyncio.Runner, redis_server: RedisServer, sandbox: Running, api: str, form: str
) -> None:
    """An id on the wire has 1 to 32 letters and digits, whatever the caller's is, and two callers' ids stay two."""
    intake, outside = Intake(redis_server.url, api, wire_ids=form), Outside(runner, api, sandbox.url)
    reads = [intake.read(given(FIELD, value)) for value in edges(FIELD.name)]
    accepted = [read.message for read in reads if isinstance(read, Draft)]
    try:
        verdicts = outside.send(accepted)
    finally:
        intake.close()
        outside.close()

    assert ["accepted"] * len(accepted) == verdicts
    assert len(accepted) == len({one.id for one in accepted})
    assert {(32, True)} == {(len(one.id), one.id.isascii() and one.id.isalnum()) for one in accepted}
