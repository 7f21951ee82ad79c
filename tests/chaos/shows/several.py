"""Several: the stack of a show with several accounts, each with its own sandbox and workers."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Self
from urllib.request import Request, urlopen

import redis

from tests.chaos.shows.report import Report
from tests.chaos.shows.stage import Scale, all_accepted, wait
from tests.chaos.world import LOOK_UP
from tests.servers import allow_repeats
from threelane import Producer, ProducerSettings
from threelane.contract.accounts.account import DEFAULT
from threelane.contract.features import able
from threelane.demo.accounts import AccountAtSandbox
from threelane.demo.child import Child
from threelane.demo.reconcile import reconcile
from threelane.demo.stack import Stack
from threelane.store import keys
from threelane.store.keys import HERE, space_of
from threelane.store.states import AT_REST, Status
from threelane.store.status import MessageStatus

WAITING = (Status.SCHEDULED, Status.QUEUED, Status.SENDING, Status.IN_DOUBT)
PAGE = 1000
LONGEST_ANSWER_SECONDS = 60  # of Redis: the machine is busy


class Several:
    """Redis, a sandbox and workers for each account, and a producer; leaving its ``with`` block stops all of them."""

    def __init__(
        self,
        scale: Scale,
        environment: Mapping[str, str],
        accounts: Mapping[str, AccountAtSandbox],
        routes: str,
        workers: Mapping[str, int],
    ) -> None:
        """``accounts`` has all accounts; the settings of the default one are in ``environment``."""
        self._folder = tempfile.TemporaryDirectory(prefix="threelane-show-", ignore_cleanup_errors=True)
        seeded = {
            name: one._replace(sandbox={"seed": str(scale.seed), "credit": "100000000", **one.sandbox})
            for name, one in accounts.items()
        }
        more = {name: one for name, one in seeded.items() if name != DEFAULT}
        environment = {"THREELANE_GATEWAY": scale.gateway, "THREELANE_LOOK_UPS_PER_SECOND": "200", **environment}
        self.stack = Stack(Path(self._folder.name) / "stack", seeded[DEFAULT].sandbox, environment, more, routes)
        self.spaces = {name: HERE if name == DEFAULT else space_of(name) for name in accounts}
        self.workers = workers
        self.can_look_up = able(LOOK_UP, scale.gateway)
        self.parts: dict[str, int] = {}  # of each accepted message
        self._rng = Random(scale.seed)
        self._running: dict[str, Child] = {}

    def __enter__(self) -> Self:
        try:
            self.stack.__enter__()
            for account, number in self.workers.items():
                for more in range(1, number):
                    name = f"worker-{account}-{more}"
                    self._running[name] = self.stack.start_worker(name, account)
            self.client = redis.Redis.from_url(self.stack.redis_url)
            allow_repeats(self.client)
            settings = {name: self.stack.environment[f"THREELANE_{name.upper()}"] for name in ("prices", "gateway")}
            url, patient = self.stack.redis_url, LONGEST_ANSWER_SECONDS
            self.producer = Producer(ProducerSettings(redis_url=url, redis_timeout_seconds=patient, **settings))
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop()

    def _stop(self) -> None:
        self.stack.stop()
        self._folder.cleanup()

    # --- messages

    def send(self, messages: Iterable[Mapping[str, Any]]) -> list[str]:
        """Send messages, and return their ids."""
        found = all_accepted(self.producer, messages)
        self.parts |= {one.id: one.parts for one in found}
        return [one.id for one in found]

    def read(self) -> dict[str, MessageStatus]:
        """Return all records by id."""
        return {one.id: one for page in _pages([*self.parts]) for one in self.producer.statuses(page) if one}

    def fields(self, ids: Sequence[str], *names: str) -> dict[str, list[str]]:
        """Return fields of records as they are stored."""
        with self.client.pipeline(transaction=False) as pipe:
            for one in ids:
                pipe.hmget(keys.record(one), names)
            found = pipe.execute()
        return {one: [value.decode() if value else "" for value in row] for one, row in zip(ids, found, strict=True)}

    def ended(self, ids: Sequence[str]) -> bool:
        return all(one and one.status in AT_REST for one in self.producer.statuses(list(ids)))

    def holds(self, account: str) -> list[str]:
        return sorted(scope.decode() for scope in self.client.hkeys(keys.names(self.spaces[account]).HOLDS))

    def waiting(self, account: str) -> int:
        """Return how many messages of an account are not yet at its gateway."""
        return self._indexed(account, *WAITING)

    def moving(self) -> int:
        """Return how many messages have no final state; dead letters count, since there should be none.

        Without a look-up, what is in doubt and was not taken waits for the end of its validity: it does not count.
        """
        states = [one for one in (*WAITING, Status.SENT) if self.can_look_up or one is not Status.IN_DOUBT]
        found = sum(self._indexed(account, *states) for account in self.spaces)
        return found + int(self.client.zcard(keys.DEAD))

    def _indexed(self, account: str, *states: Status) -> int:
        return sum(int(self.client.zcard(index)) for index in keys.indexes_of(*states, space=self.spaces[account]))

    # --- the sandboxes

    def arm(self, account: str, fault: Mapping[str, Any]) -> None:
        self.stack.call_sandbox("/sandbox/faults", fault, account)

    def disarm(self, account: str) -> None:
        request = Request(f"{self.stack.sandbox_urls[account]}/sandbox/faults", method="DELETE")
        urlopen(request, timeout=60).close()

    def slow_down(self, account: str, milliseconds: int) -> None:
        """Delay each response by this, or up to twice as long: many calls are under way when something ends."""
        settings = {"latency_ms": milliseconds, "latency_jitter_ms": milliseconds}
        self.stack.call_sandbox("/sandbox/settings", settings, account)

    def add_credit(self, account: str, credits: float) -> None:
        self.stack.call_sandbox("/sandbox/credit", {"add": f"{credits:.1f}"}, account)

    def ledgers(self) -> dict[str, dict[str, Any]]:
        """Return what each sandbox took."""
        return {name: dict(self.stack.call_sandbox("/sandbox/ledger", account=name)) for name in self.spaces}

    def attempts(self, account: str) -> list[dict[str, Any]]:
        """Return each message of each request that came to a sandbox, whatever it answered."""
        return list(self.stack.call_sandbox("/sandbox/attempts", account=account)["attempts"])

    def arrivals(self, account: str) -> list[tuple[float, int]]:
        """Return when each of them came, and its parts."""
        return sorted((one["at"], self.parts[one["client_id"]]) for one in self.attempts(account))

    # --- harm

    def kill_worker(self, account: str) -> None:
        """Kill one of the further workers of an account, and start another, without waiting for it."""
        name = self._rng.choice([one for one in self._running if one.startswith(f"worker-{account}-")])
        killed = self._running.pop(name)
        killed.process.kill()
        killed.process.wait()
        self._running[f"{name}+"] = self.stack._threelane(f"{name}+", *killed.process.args[4:])  # type: ignore[index]

    def kill_redis(self) -> None:
        """Kill Redis, and start it again on its data."""
        was = self.stack._children["redis"]
        was.process.kill()
        was.process.wait()
        self.stack._children["redis"] = Child("redis", was.process.args, was.log, self.stack.environment)  # type: ignore[arg-type]
        wait(self._responds, 60, every=0.05)

    def _responds(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.RedisError:
            return False


def _pages(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + PAGE] for start in range(0, len(ids), PAGE))


# --- limits that several shows have


def limit_copies(report: Report, stage: Several, ledgers: Mapping[str, Mapping[str, Any]], *, known: set[str]) -> None:
    """Count the messages that no sandbox took, and those that were taken twice; ``known`` are reported as unknown."""
    received = {name: Counter(one["client_id"] for one in ledger["messages"]) for name, ledger in ledgers.items()}
    every = sum(received.values(), Counter[str]())
    report.limit("not at the gateway", len(set(stage.parts) - set(every) - known), 0)
    report.limit("twice, over all accounts", sum(times > 1 for times in every.values()), 0)
    by_both = sum(sum(one in found for found in received.values()) > 1 for one in every)
    report.limit("  of them by two accounts", by_both, 0)


def limit_money(
    report: Report,
    stage: Several,
    name: str,
    ledger: Mapping[str, Any],
    own: Sequence[str],
    records: Mapping[str, MessageStatus],
) -> None:
    """Compare the ledgers of one account, and what the counts of its space have as charged."""
    summary = reconcile({one: stage.parts[one] for one in own}, {}, 0, (records.get(one) for one in own), ledger)
    report.count(f"account {name}: messages, credits", f"{summary.accepted}, {summary.credits_in_records}")
    report.limit("  differences of its ledgers", len(summary.breaches), 0)
    for breach in summary.breaches:
        report.breaches.append(f"account {name}: {breach}")
    tally = stage.client.hgetall(keys.names(stage.spaces[name]).TALLY)
    counted = sum(int(value) for field, value in tally.items() if field.startswith(b"charged:"))
    charged = sum(records[one].charge_millionths for one in own if one in records)
    report.limit("  millionths that its counts differ by", abs(counted - charged), 0)


def busiest_second(arrivals: Sequence[tuple[float, int]]) -> int:
    """Return the most parts that came within one second, whenever that began."""
    most = start = parts = 0
    for at, more in arrivals:
        parts += more
        while arrivals[start][0] <= at - 1:
            parts -= arrivals[start][1]
            start += 1
        most = max(most, parts)
    return most
