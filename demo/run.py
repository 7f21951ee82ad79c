"""Run: the demo: a file of messages goes in, SMSes come out, and three ledgers are compared."""

from __future__ import annotations

import contextlib
import gzip
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import msgspec
import redis
from rich.console import Console
from rich.live import Live

from threelane.contract.errors import Refused
from threelane.contract.features import able
from threelane.contract.refusal import Refusal
from threelane.demo import view
from threelane.demo.child import Failed
from threelane.demo.reconcile import Summary, reconcile
from threelane.demo.stack import Stack
from threelane.producer.accept import Accepted
from threelane.producer.client import Producer
from threelane.producer.files import bulk, intake
from threelane.runtime import logs
from threelane.runtime.exits import Exit
from threelane.runtime.settings import ProducerSettings, load
from threelane.store import keys
from threelane.store.sizes import sizes
from threelane.store.states import Status
from threelane.store.status import MessageStatus
from threelane.worker.account import hold

MESSAGES = Path(__file__).with_name("messages.csv.gz")  # 3,949 rows: a sixth of the wheel as plain text
CREDIT = "2500"  # less than the file costs, so that the account runs dry on the way
TOP_UP = "5000"
LONGEST_SECONDS = 180.0
ONE_MINUTE = "1"  # validity where no look-up resolves a doubt: it is known, or given up, only when this ends


def demonstrate(json_file: Path | None, messages: Path | None, gateway: str) -> int:
    """Run the demo and return the exit code: 0 when the three ledgers are equal."""
    for number in (signal.SIGTERM, signal.SIGINT):  # a shell starts background jobs with SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    logs.configure("ERROR")
    console = Console()
    try:
        if messages:
            _look_at(messages)
        if json_file:
            json_file.touch()
        with tempfile.TemporaryDirectory(prefix="threelane-demo-", ignore_cleanup_errors=True) as folder:
            environment = {"THREELANE_GATEWAY": gateway}
            console.print("Starting Redis, the sandbox, a worker, the callback endpoint and the exporter ...")
            with Stack(Path(folder), {"credit": CREDIT}, environment) as stack, _Demo(stack, console, gateway) as demo:
                summary = demo.run(messages or _unpacked(Path(folder)))
    except Failed as failed:
        console.print(str(failed), markup=False)
        return Exit.DIFFERENT
    except (bulk.InvalidFile, OSError) as unreadable:
        console.print(str(unreadable), markup=False)
        return Exit.USAGE
    except KeyboardInterrupt:
        print("stopped; nothing is left running", file=sys.stderr)
        return 130
    console.print(view.summary(summary))
    if json_file:
        json_file.write_bytes(msgspec.json.format(msgspec.json.encode(summary), indent=2))
    return Exit.OK if summary.equal else Exit.DIFFERENT


def _unpacked(folder: Path) -> Path:
    """Return the file of messages that ships, unpacked into a folder."""
    file = folder / MESSAGES.stem
    file.write_bytes(gzip.decompress(MESSAGES.read_bytes()))
    return file


def _look_at(file: Path) -> None:
    """Raise the error of a file that cannot be read, before any process starts."""
    with file.open("rb") as opened:
        next(bulk.read_csv(opened), None)


class _Demo(contextlib.AbstractContextManager["_Demo"]):
    """One demonstration on a running stack."""

    def __init__(self, stack: Stack, console: Console, gateway: str) -> None:
        self._stack = stack
        self._gateway = gateway
        self._console = console
        self._redis = redis.Redis.from_url(stack.redis_url)
        stack_settings = {"redis_url": stack.redis_url, "prices": stack.environment["THREELANE_PRICES"]}
        self._producer = Producer(load(ProducerSettings, producer="demo", gateway=gateway, **stack_settings))
        self._topped_up_at = 0
        self._accepted: dict[str, int] = {}
        self._refused: Counter[str] = Counter()
        self._repeated = 0

    def __exit__(self, *_: object) -> None:
        self._producer.close()
        self._redis.close()

    def run(self, file: Path) -> Summary:
        """Send the file, wait until every message is finished, and compare the ledgers."""
        started = time.monotonic()
        with Live(console=self._console, refresh_per_second=4) as live:
            self._send(file, live)
            self._wait(live)
        summary = reconcile(
            self._accepted,
            self._refused,
            self._repeated,
            self._records(),
            self._stack.call_sandbox("/sandbox/ledger"),
        )
        summary.seconds = round(time.monotonic() - started, 1)
        return summary

    def _send(self, file: Path, live: Live) -> None:
        with file.open("rb") as opened:
            for row, answer in intake.send(self._producer, map(self._limited, bulk.read_csv(opened))):
                if isinstance(answer, Accepted):
                    self._accepted[answer.id] = answer.parts
                    self._repeated += answer.repeated
                elif isinstance(answer, Refused):
                    self._refused[answer.code] += 1
                    self._console.print(
                        f"[yellow]row {row.number} refused[/] {answer.code} {answer.field}: {answer.problem}"
                    )
                if row.number % 500 == 0:
                    live.update(view.lanes(self._redis))

    def _limited(self, row: bulk.FileRow) -> bulk.FileRow:
        if able("look up by our id", self._gateway) or isinstance(row.content, Refusal):
            return row
        return row._replace(content={**row.content, "validityPeriod": ONE_MINUTE})

    def _wait(self, live: Live) -> None:
        deadline = time.monotonic() + LONGEST_SECONDS
        while self._moving() and time.monotonic() < deadline:
            live.update(view.lanes(self._redis))
            self._top_up()
            time.sleep(0.25)
        live.update(view.lanes(self._redis))

    def _moving(self) -> int:
        states = (Status.SCHEDULED, Status.QUEUED, Status.SENDING, Status.IN_DOUBT, Status.SENT)
        return sum(sizes(self._redis, *states).values())

    def _top_up(self) -> None:
        """Top up the account when it is out of credit, as an operator does; the rest is automatic."""
        held = hold.holds(self._redis, int(time.time() * 1000)).get("account")
        if held is None or held.cause not in hold.NO_CREDIT or held.since < self._topped_up_at:
            return
        self._topped_up_at = int(time.time() * 1000)
        waiting = sum(int(self._redis.zcard(index)) for index in keys.QUEUED.values())
        self._console.print(f"[bold yellow]no credit: the account is held, {waiting} messages wait unsent[/]")
        self._stack.call_sandbox("/sandbox/credit", {"add": TOP_UP})
        self._console.print(
            "[bold green]topped up: a worker notices, resumes the account and redrives the refused messages[/]"
        )

    def _records(self) -> list[MessageStatus | None]:
        ids = list(self._accepted)
        batches = (ids[start : start + 1000] for start in range(0, len(ids), 1000))
        return [one for batch in batches for one in self._producer.statuses(batch)]
