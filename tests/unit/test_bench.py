"""Bench: statistics, the table, and a benchmark gateway that Threelane's gateways can read."""

from __future__ import annotations

import io
import os
import threading
import time
from urllib.parse import urlencode

import msgspec
import pytest
from rich.console import Console

from bench import gateway as bench_gateway
from bench.measures.workers import _ends
from bench.messages import messages
from bench.processes import Use, cpu_of
from bench.results import NO_TARGET, BenchRow, Results, document, percentile, ratio, rich_table, spread
from threelane.contract import message
from threelane.gateways.http import gateway as http
from threelane.gateways.one import gateway as one
from threelane.gateways.xml import gateway as xml
from threelane.worker.gateway.markup import document as xml_document
from threelane.worker.gateway.outcome import OutcomeKind
from threelane.worker.gateway.wire import HttpReply

MET = BenchRow(2, "bulk", "5 x", "6.0 x", True)
MISSED = BenchRow(1, "many", "30 x", "29.9 x", False)
INFO = BenchRow(9, "workers", NO_TARGET, "1: 2/s")


def orders(most: int) -> list[message.Message]:
    """Return messages as a worker has them."""
    return [message.parse(one, 1_700_000_000_000, "").message for one in messages(most)]


def test_a_ratio_is_that_of_runs_made_side_by_side() -> None:
    """A machine that was slow for one round was so for both, so rounds are not mixed."""
    assert 3.0 == ratio([30, 10, 60], [10, 5, 10])
    assert "2 to 6" == spread([30, 10, 60], [10, 5, 10])


@pytest.mark.parametrize(("share", "expected"), [(0.99, 99), (0.5, 50), (1.0, 100), (0.001, 1)])
def test_a_percentile_is_a_value_that_was_measured(share: float, expected: float) -> None:
    """By nearest rank: nothing is interpolated."""
    assert expected == percentile(list(range(100, 0, -1)), share)


def test_use_is_summed_by_process_and_excludes_the_gateway() -> None:
    """The benchmark gateway runs on this machine, a real one does not."""
    used = Use({"worker": 3.0, "redis": 2.0, "gateway": 5.0}) - Use({"worker": 1.0, "gateway": 1.0})

    assert {"worker": 2.0, "redis": 2.0, "gateway": 4.0} == used
    assert 4.0 == used.total()
    assert 6.0 == used.total("worker", "gateway")
    assert {"worker": 2.5, "redis": 2.0, "gateway": 4.0, "callbacks": 1.0} == used + Use(
        {"worker": 0.5, "callbacks": 1.0}
    )


def test_cpu_is_that_of_a_process_whose_threads_come_and_go() -> None:
    """A thread that ends while /proc is read hides no CPU seconds: they never grow less."""
    stop = threading.Event()

    def start_and_end() -> None:
        while not stop.is_set():
            for thread in [threading.Thread(target=time.sleep, args=(0.0,)) for _ in range(20)]:
                thread.start()

    churn = threading.Thread(target=start_and_end)
    churn.start()
    readings = [cpu_of(os.getpid()) for _ in range(300)]
    stop.set()
    churn.join()

    assert sorted(readings) == readings
    assert 0 < readings[0]


def test_a_missed_target_is_plain_to_see() -> None:
    """In the table, in the file and by the exit code."""
    results = Results([INFO, MET, MISSED], [{"system": "celery", "settled/s": "300"}], ["a note"])
    console = Console(file=io.StringIO(), width=120)
    console.print(rich_table(results))
    written = document(results, "Measured on 2 cores.")

    assert not results.is_met
    assert "NOT MET" in console.file.getvalue()  # type: ignore[attr-defined]
    assert "| 1 | many | 30 x | 29.9 x | NOT MET |" in written
    assert written.index("| 1 | many") < written.index("| 2 | bulk") < written.index("| 9 | workers")
    assert "| celery | 300 |" in written
    assert "- a note" in written


def test_a_row_without_a_target_misses_nothing() -> None:
    """The exit code depends on the targets only."""
    assert Results([INFO, MET]).is_met


def test_growth_ends_where_more_workers_add_no_throughput() -> None:
    """A tenth more is growth."""
    assert 2 == _ends({1: 100, 2: 150, 4: 155})
    assert 4 == _ends({1: 100, 2: 150, 4: 190})


def test_the_benchmark_gateway_responds_in_the_format_of_each_api() -> None:
    """With every API, each message is accepted under its own id."""
    gateway, sms = bench_gateway.BenchGateway(), orders(3)
    form = urlencode(http.form(sms[0], 0)).encode()
    rows = [xml.order(each, 0) | {"sequence_no": str(number)} for number, each in enumerate(sms, 1)]
    markup = urlencode({"data": xml_document("sendMsg", rows)}).encode()
    json = msgspec.json.encode({"messages": [one.order(each, 0) for each in sms]})
    results = [
        http.read_send(HttpReply(200, bench_gateway._sendmsg(gateway, b"POST", form)[0])),
        *xml.read_send(
            HttpReply(200, bench_gateway._xml(gateway, b"POST", markup)[0]), [(each.to, each.id) for each in sms]
        ),
        *one.read_send(HttpReply(202, bench_gateway._one(gateway, b"POST", json)[0]), sms),
    ]

    assert [OutcomeKind.ACCEPTED] * 7 == [result.kind for result in results]
    assert 7 == gateway.accepted == len({result.gateway_id for result in results})
