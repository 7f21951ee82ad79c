"""Two gateways, the first of which loses answers and goes away: the second one takes nothing that the first took."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.integration.api import API, needs_a_look_up
from tests.integration.conftest import Workers, taken
from tests.servers import wait_until
from threelane import Accepted, Producer, Status
from threelane.contract import gateways
from threelane.sandbox.running import Running
from threelane.store import keys

BANK = "bank"
SETTINGS = {
    "breaker_failures": 4,
    "probe_seconds": 0.2,
    "most_probe_seconds": 0.5,
    "gateway_connections": 8,
    "gateway_timeout_seconds": 2,
    "doubt_delays_seconds": "1,1",
    "parts_per_second": 60,
    "burst_seconds": 0.2,
    "ramp_seconds": 1,
}
SECRETS = ("clickatell_password", "clickatell_api_key", "clickatell_token")


@pytest.fixture
def second() -> Iterator[Running]:
    with Running.start("--seed", "8") as running:
        yield running


@pytest.fixture
def two_accounts(workers: Workers, second: Running, tmp_path: Path) -> Workers:
    """Workers of two accounts; the second one stands by for the first, which gets all messages."""
    secret, file = tmp_path / "secret", tmp_path / "accounts.toml"
    secret.write_text("sandbox")
    secret.chmod(0o400)
    needed = [one.name for one in gateways.named(API.name).credentials]
    lines = [f'{name}_file = "{secret}"' if name in SECRETS else f'{name} = "sandbox"' for name in needed]
    lines = [f"[accounts.{BANK}]", f'gateway = "{API.name}"', f'gateway_url = "{second.url}"', *lines]
    lines += ["[[routes]]", 'name = "all"', 'account = "default"', f'stand_by = "{BANK}"']
    file.write_text("\n".join(['default = "default"', *lines]))
    file.chmod(0o600)
    workers.environment = workers.environment | {"THREELANE_ACCOUNTS_FILE": str(file)}
    for name in ("default", BANK):
        workers.start(account=name, **SETTINGS)
    return workers


@needs_a_look_up
def test_no_message_is_taken_by_both_although_answers_are_lost_and_the_first_gateway_goes_away(
    two_accounts: Workers, producer: Producer, client: redis.Redis, sandbox: Running, second: Running
) -> None:
    """What was in doubt waits for the first gateway to come back; the rest does not."""
    faults: list[dict[str, Any]] = [{"do": "lose_answer", "times": None, "probability": 0.05}]
    faults += [{"do": "code_after", "code": "901", "times": None, "probability": 0.03}]
    sandbox.control("POST", "faults", faults)
    drafts = ({"to": f"2799950{n:04d}", "text": "Hello", "lane": n % 3 + 1} for n in range(300))
    ids = [one.id for one in producer.send_many(drafts) if isinstance(one, Accepted)]
    assert 300 == len(ids)
    doubts = keys.DOUBT
    wait_until(lambda: any(client.zcard(one) for one in doubts.values()) and len(taken(sandbox)) > 60, 60, "a doubt")
    sandbox.control("POST", "refuse", {"seconds": 5})

    wait_until(lambda: len(taken(second)) > 100, 60, "the stand-by to take over")
    wait_until(lambda: {Status.SENT, Status.DELIVERED} >= {one.status for one in producer.statuses(ids) if one}, 60)

    by_first, by_second = taken(sandbox), taken(second)
    assert {} == {one: None for one in by_first if one in by_second}
    assert sorted(ids) == sorted([*by_first, *by_second])
    assert {1} == {len(copies) for copies in (*by_first.values(), *by_second.values())}
    tally: Any = client.hgetall(keys.TALLY)
    assert any(name.startswith(b"diverted:") for name in tally)
    assert any(name.startswith(b"in_doubt:") for name in tally), "no answer was lost: it proves nothing"
    assert two_accounts.events("taken_over")
