"""Workers of several accounts on one host: each says whose it is, and does its account's work at its own gateway."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
import redis

from tests.integration.api import API, needs_a_look_up
from tests.integration.conftest import Workers, log_of, taken
from tests.integration.test_worker_of_account import status, take
from tests.servers import free_port, wait_until
from threelane import Producer
from threelane.demo.accounts import at_sandbox
from threelane.demo.child import Child
from threelane.producer.cancel import CancelResult
from threelane.sandbox.running import Running
from threelane.store import keys
from threelane.store.keys import space_of
from threelane.worker.process.metrics_endpoint import PORTS

ACME, BANK = "acme", "bank"
TO = "27999500001"


@pytest.fixture(scope="module")
def running_second() -> Iterator[Running]:
    with Running.start("--seed", "8") as running:
        yield running


@pytest.fixture
def second(running_second: Running) -> Iterator[Running]:
    """The sandbox of the second account, with an empty ledger and no faults."""
    before = running_second.control("GET", "settings")
    running_second.control("POST", "reset")
    yield running_second
    running_second.control("POST", "settings", before)


@pytest.fixture
def run_dir(workers: Workers, tmp_path: Path) -> Path:
    """A run folder of this test alone."""
    workers.environment = workers.environment | {"THREELANE_RUN_DIR": str(tmp_path / "run")}
    return tmp_path / "run"


def command(workers: Workers, *words: str, **settings: str) -> tuple[int, str, str]:
    """Run a command of Threelane; returns its code, its output and its errors."""
    environment = {**os.environ, **workers.environment, **settings}
    run = [sys.executable, "-m", "threelane", *words]
    ended = subprocess.run(run, env=environment, capture_output=True, text=True, check=False, timeout=60)
    return ended.returncode, ended.stdout, ended.stderr


def celery_worker(workers: Workers, account: str) -> Child:
    """Start a worker by Celery's command line, as the test's other workers."""
    environment = workers.environment | {"THREELANE_ACCOUNT": account}
    words = [sys.executable, "-m", "celery", "-A", "threelane.worker.app", "worker"]
    child = Child(f"celery-{account}", words, workers.folder / f"celery-{account}.log", environment)
    workers.children.append(child)
    child.event("started")
    return child


@pytest.mark.slow
def test_workers_of_several_accounts_share_a_host(
    client: redis.Redis, workers: Workers, second: Running, run_dir: Path
) -> None:
    """Each with a name, a port and an announcement of its own, however it was started; health knows whose it is."""
    gateways = {ACME: second.url, BANK: f"http://127.0.0.1:{free_port()}"}
    workers.use_accounts({name: at_sandbox(url, API.name) for name, url in gateways.items()})
    del workers.environment["THREELANE_METRICS_PORT"]
    started = {
        "default": workers.start(),
        ACME: workers.start("--account", ACME),
        f"{ACME} again": celery_worker(workers, ACME),
    }
    (host,) = [line["worker"] for line in log_of(started["default"]) if line["event"] == "identity"]
    announced = [json.loads(path.read_text()) for path in sorted(run_dir.glob("worker-*.json"))]
    expected = [(host, "default"), (f"{host}-{ACME}", ACME), (f"{host}-{ACME}-2", ACME)]
    assert expected == [(one["name"], one["account"]) for one in announced]
    targets = [one["metrics"] for one in announced]
    assert 3 == len({*targets} & {f"127.0.0.1:{port}" for port in PORTS})
    reports = [json.loads(urlopen(f"http://{target}/live").read()) for target in targets]
    assert expected == [(one["worker"], one["account"]) for one in reports]

    assert (0, f"workers {', '.join(name for name, _ in expected)} consume\n") == command(workers, "health")[:2]
    of_acme = f"workers {host}-{ACME}, {host}-{ACME}-2 consume\n"
    assert (0, of_acme) == command(workers, "health", "--account", ACME)[:2]
    assert (0, of_acme) == command(workers, "health", THREELANE_ACCOUNT=ACME)[:2]
    assert (0, f"worker {host} consumes\n") == command(workers, "health", "--account", "default")[:2]
    code, _, problem = command(workers, "health", "--account", BANK)
    assert (5, f"no worker of the account {BANK} runs on ") == (code, problem[: len(problem.partition("this host")[0])])

    sent = {account: take(client, space_of(account), lane=1) for account in ("", ACME)}
    wait_until(lambda: {"sent", "delivered"} >= {status(client, one) for one in sent.values()}, 30)
    assert [sent[ACME]] == [*taken(second)]


@pytest.mark.parametrize("words", [("worker", "--account", "nobody"), ("health", "--account", "nobody")])
def test_an_account_that_the_file_lacks_ends_a_process_with_a_sentence(
    workers: Workers, words: tuple[str, ...]
) -> None:
    """Code 2, at which a supervisor restarts nothing; also without a file."""
    code, _, problem = command(workers, *words)
    assert (2, 1) == (code, problem.count("THREELANE_ACCOUNT: nobody is an account of a file; set"))
    workers.use_accounts({ACME: at_sandbox("http://localhost:1", API.name)})
    code, _, problem = command(workers, *words)
    assert (2, 1) == (code, problem.count("has no account nobody; choose one of acme, default")), problem


@needs_a_look_up
@pytest.mark.slow
def test_look_ups_polls_and_cancels_go_to_the_account_of_their_message(
    client: redis.Redis, workers: Workers, producer: Producer, sandbox: Running, second: Running
) -> None:
    """The other gateway knows nothing of the message: by it a doubt would end in a second copy, and no cancel would."""
    workers.use_accounts({ACME: at_sandbox(second.url, API.name)})
    gateways = {"": sandbox, ACME: second}
    for account, gateway in gateways.items():
        gateway.control("POST", "faults", {"do": "lose_answer", "times": 1})
        workers.start(account=account, receipt_delays_seconds="0.5,1", doubt_delays_seconds="0.2,60")
    doubtful = {account: take(client, space_of(account), lane=1, to=TO) for account in gateways}
    wait_until(lambda: {status(client, one) for one in doubtful.values()} == {"delivered"}, 60, "look-ups and polls")
    ahead = {account: take(client, space_of(account), to=TO, delay=3600, at_gateway=True) for account in gateways}
    wait_until(lambda: {status(client, one) for one in ahead.values()} == {"sent"}, 30, "both to be at the gateway")
    assert {CancelResult.ASKED} == {one.answer for one in producer.cancel([*ahead.values()])}
    wait_until(lambda: {status(client, one) for one in ahead.values()} == {"cancelled"}, 30, "both to be stopped")
    for account, gateway in gateways.items():
        names = keys.names(space_of(account))
        assert {doubtful[account]: 1, ahead[account]: 1} == {one: len(copies) for one, copies in taken(gateway).items()}
        assert b"1" == client.hget(names.TALLY, "to:1:in_doubt")
        assert 0 == client.exists(names.STOPPING, *names.DOUBT.values(), *names.AWAITING.values())
