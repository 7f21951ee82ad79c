"""Caller: the process that enqueues, for any side; ``python -m bench.caller bench.peers.threelane``.

It reads commands as JSON lines, such as ``["bulk", messages]`` or ``["singles", messages, callers]``, and answers each
with a line ``{"seconds": ...}`` when all are enqueued.
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
        started = time.perf_counter()
        more = getattr(side, what)(messages(most), *rest) or {}
        told = {"seconds": time.perf_counter() - started, **more}
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
