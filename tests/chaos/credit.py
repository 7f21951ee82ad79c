"""Credit: the account runs out of credit halfway through 10,000 messages in three lanes, and is topped up.

Nothing else is done by hand.  ``python -m tests.chaos.credit --messages 10000 --seed 1``; exits with 1 when a message
was lost or sent twice, when more were refused than calls were in flight, or when lane 1 was held despite a reserve.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path
from random import Random

import redis

from tests.chaos import ledger
from tests.servers import allow_repeats, wait_until
from threelane import Accepted, Producer, ProducerSettings
from threelane.contract.gateways import declared
from threelane.contract.prices import CREDIT
from threelane.demo.stack import Stack
from threelane.store import keys
from threelane.store.states import Status

CONNECTIONS = 16
PRICE = Decimal("0.8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--reserve", action="store_true", help="reserve enough credit for all of lane 1")
    parser.add_argument("--gateway", choices=tuple(declared()), default="http")
    options = parser.parse_args()
    of_lane_1 = PRICE * (options.messages // 3 + 1)
    credit = PRICE * (options.messages // 2) + Decimal("0.3")
    environment = {
        "THREELANE_GATEWAY": options.gateway,
        "THREELANE_GATEWAY_CONNECTIONS": str(CONNECTIONS),
        "THREELANE_RESERVE_CREDITS": f"{of_lane_1 if options.reserve else 0},0",
    }
    folder = Path(tempfile.mkdtemp(prefix="threelane-credit-"))
    with Stack(folder, {"credit": str(credit), "seed": str(options.seed)}, environment) as stack:
        for number in range(1, options.workers):
            stack.environment["THREELANE_WORKER_NAME"] = f"worker-{number}"
            stack.start_worker(f"worker-{number}")
        breaches = _play(stack, options)
    if not breaches:
        shutil.rmtree(folder, ignore_errors=True)
    for one in breaches:
        print("BREACH", one)
    return 1 if breaches else 0


def _play(stack: Stack, options: argparse.Namespace) -> list[str]:
    client = redis.Redis.from_url(stack.redis_url)
    allow_repeats(client)
    settings = ProducerSettings(
        redis_url=stack.redis_url, prices=stack.environment["THREELANE_PRICES"], gateway=options.gateway
    )
    rng = Random(options.seed)
    with Producer(settings) as producer:
        drafts = (
            {"to": f"27999{500000 + n}", "text": "Hello", "lane": rng.choice(keys.LANES)}
            for n in range(options.messages)
        )
        lanes = {one.id: one.lane for one in producer.send_many(drafts) if isinstance(one, Accepted)}
        started = time.monotonic()
        wait_until(lambda: _is_stopped(client), 300, "the credit to run out, or down to the reserve")
        refused = _refused(stack)
        waiting = {lane: client.zcard(keys.QUEUED[lane]) for lane in keys.LANES}
        print(f"[{time.monotonic() - started:.0f} s] stopped: {waiting} wait, {refused} were refused with 301")
        stack.call_sandbox("/sandbox/credit", {"add": str(PRICE * options.messages)})
        order = _lanes_in_order(client, lanes)
        print(f"[{time.monotonic() - started:.0f} s] topped up; lanes drained in the order {order}")
        wait_until(lambda: not ledger.moving(client), 300, "all messages to finish")
        print(f"[{time.monotonic() - started:.0f} s] quiet")
        records = producer.statuses(list(lanes))
    received = Counter(one["client_id"] for one in stack.call_sandbox("/sandbox/ledger")["messages"])
    account = stack.call_sandbox("/sandbox/account")
    charged = Decimal(sum(one.charge_millionths for one in records if one)) / CREDIT
    most = 0 if options.reserve else CONNECTIONS * options.workers
    checks = {
        f"{len(set(lanes) - set(received))} lost": set(received) == set(lanes),
        f"{sum(n > 1 for n in received.values())} sent twice": set(received.values()) == {1},
        f"{_refused(stack)} refused with 301, {most} calls in flight": _refused(stack) <= most,
        f"ended as {Counter(str(one.status) for one in records if one)}": {Status.DELIVERED}
        == {one.status for one in records if one},
        f"{charged} charged in the records, {account['charged']} at the sandbox": Decimal(account["charged"])
        == charged,
        f"lane 1 waited: {waiting}": not options.reserve or waiting[1] == 0,
        f"lanes drained in the order {order}": order == sorted(order),
    }
    print(f"{len(lanes)} messages, {len(received)} received, {_refused(stack)} refused with 301, {charged} credits")
    return [breach for breach, sound in checks.items() if not sound]


def _is_stopped(client: redis.Redis) -> bool:
    """Return whether sending has stopped, for lack of credit or because the rest is reserved for lane 1."""
    if client.exists(*keys.LEASES.values()):
        return False
    if client.hexists(keys.HOLDS, "account"):
        return True
    reserved = all(client.hexists(keys.TALLY, f"reserved:{lane}") for lane in (2, 3))
    return reserved and not client.zcard(keys.QUEUED[1])


def _lanes_in_order(client: redis.Redis, lanes: dict[str, int]) -> list[int]:
    """Return the lanes in the order they drained; lanes empty from the start are left out."""
    left = [lane for lane in keys.LANES if client.zcard(keys.QUEUED[lane])]
    order: list[int] = []
    deadline = time.monotonic() + 300
    while len(order) < len(left) and time.monotonic() < deadline:
        order += [lane for lane in left if lane not in order and not client.zcard(keys.QUEUED[lane])]
        time.sleep(0.05)
    return order


def _refused(stack: Stack) -> int:
    return sum(1 for one in stack.call_sandbox("/sandbox/attempts")["attempts"] if one["code"] == "301")


if __name__ == "__main__":
    sys.exit(main())
