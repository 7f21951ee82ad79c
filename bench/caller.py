"""Caller: the process that enqueues, for any side; ``python -m bench.caller bench.peers.threelane``.

It reads commands as JSON lines, ``["bulk", messages]`` or ``["singles", messages, callers]``, and answers each with a
line ``{"seconds": ..., "cpu": ...}`` when all are enqueued.
"""

from __future__ import annotations

import importlib
import json
import sys
import time

from bench.messages import messages


def main() -> None:
    """Do what standard input says until it ends."""
    side = importlib.import_module(sys.argv[1])
    print("{}", flush=True)
    for line in sys.stdin:
        what, most, *rest = json.loads(line)
        started, cpu = time.perf_counter(), time.process_time()
        getattr(side, what)(messages(most), *rest)
        told = {"seconds": time.perf_counter() - started, "cpu": time.process_time() - cpu}
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
