"""What a power cut can lose: measured for each appendfsync from the system calls of a real Redis (needs strace).

A message is safe when a later fdatasync of the append-only file has ended.  For each moment of the run, this counts
the messages reported accepted and not yet safe.  ``python -m tests.chaos.power``
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
from bisect import bisect_left, bisect_right
from pathlib import Path

import redis

from tests.servers import allow_repeats, free_port, redis_binary, wait_until
from threelane import Producer, ProducerSettings
from threelane.demo.child import _end_with_parent

_CALL = re.compile(r"^\d+\s+(\d+\.\d+) (write|fdatasync|fsync)\(\d+<[^>]*\.aof>.* = \d+ <(\d+\.\d+)>")
_RESUMED = re.compile(r"^(\d+)\s+(\d+\.\d+) <\.\.\. (write|fdatasync|fsync) resumed>.* = \d+ <(\d+\.\d+)>")


def measure(appendfsync: str, seconds: float, batch: int) -> tuple[int, float, int]:
    """Return the messages accepted, the longest time at risk (s), and the most at risk at once."""
    folder = Path(tempfile.mkdtemp())
    port, trace = free_port(), folder / "trace"
    command = ["strace", "-f", "-ttt", "-T", "-y", "-e", "trace=write,fdatasync,fsync", "-s", "0", "-o", str(trace)]
    command += [redis_binary(), "--port", str(port), "--dir", str(folder), "--appendonly", "yes", "--save", ""]
    command += ["--appendfsync", appendfsync]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, preexec_fn=_end_with_parent)
    client = redis.Redis(port=port)
    wait_until(lambda: _responds(client))
    allow_repeats(client)
    accepted: list[float] = []
    with Producer(ProducerSettings(redis_url=f"redis://127.0.0.1:{port}/0")) as producer:
        ends = time.time() + seconds
        while time.time() < ends:
            results = producer.send_many([{"to": "27999500001", "text": "Your code is 4711"}] * batch)
            accepted += [time.time()] * len(results)
    time.sleep(3)
    client.shutdown(nosave=True)
    server.wait(20)
    starts, safe_at = _syncs(trace)
    shutil.rmtree(folder)
    return len(accepted), *_at_risk(accepted, starts, safe_at)


def _responds(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def _syncs(trace: Path) -> tuple[list[float], list[float]]:
    """Return the start and end of each sync of the append-only file."""
    pairs = []
    begun: dict[str, float] = {}
    for line in trace.read_text(errors="replace").splitlines():
        if found := _CALL.match(line):
            if found[2] != "write":
                pairs.append((float(found[1]), float(found[1]) + float(found[3])))
        elif "sync(" in line and ".aof" in line and "unfinished" in line:
            thread, at = line.split()[:2]
            begun[thread] = float(at)
        elif (found := _RESUMED.match(line)) and found[3] != "write" and found[1] in begun:
            start = begun.pop(found[1])
            pairs.append((start, start + float(found[4])))
    pairs.sort()
    return [start for start, _ in pairs], [end for _, end in pairs]


def _at_risk(accepted: list[float], starts: list[float], ends: list[float]) -> tuple[float, int]:
    """Return the longest time at risk, and the most messages at risk at once.

    A message is written before its response, so a sync that starts after the response includes it.  A sync that started
    and ended before may include it; it counts only with ``always``, where the response waits for the sync.
    """
    safe = []
    for at in accepted:
        position = bisect_left(starts, at)
        before = position - 1
        if before >= 0 and ends[before] <= at and at - ends[before] < 0.05 and starts[before] > at - 0.2:
            safe.append(at if _waits(starts, ends) else _end(ends, position, at))
        else:
            safe.append(_end(ends, position, at))
    longest = max((end - at for at, end in zip(accepted, safe, strict=True)), default=0.0)
    most = max((bisect_right(accepted, end) - number for number, end in enumerate(safe)), default=0)
    return max(0.0, longest), most if longest > 0 else 0


def _waits(starts: list[float], ends: list[float]) -> bool:
    """Return whether Redis syncs before each response (``always``), not once per second."""
    return len(starts) > 10 * (ends[-1] - starts[0])


def _end(ends: list[float], position: int, at: float) -> float:
    return ends[position] if position < len(ends) else at


if __name__ == "__main__":
    if not shutil.which("strace"):
        sys.exit("strace is needed to see when Redis syncs")
    print("appendfsync  messages    at risk at most  for at most")
    for policy in ("everysec", "always"):
        for batch in (1, 100):
            number, longest, most = measure(policy, 8, batch)
            print(f"{policy:12} {number:8} {most:18} {longest:10.2f} s")
