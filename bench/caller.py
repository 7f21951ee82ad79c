"""Caller: the process that enqueues, for any system; ``python -m bench.caller bench.peers.threelane``.

It reads commands as JSON lines, such as ``["bulk", messages]`` or ``["singles", messages, callers]``, and responds to
each with a line ``{"seconds": ...}`` when all are enqueued.
"""

from __future__ import annotations

import importlib
import json
import sys
import time

from bench.messages import messages


def main() -> None:
    """Run the commands on standard input until it ends."""
    system = importlib.import_module(sys.argv[1])
    print("{}", flush=True)
    for line in sys.stdin:
        call, most, *rest = json.loads(line)
        started = time.perf_counter()
        more = getattr(system, call)(messages(most), *rest) or {}
        response = {"seconds": time.perf_counter() - started, **more}
        print(json.dumps(response), flush=True)


if __name__ == "__main__":
    main()
