"""A worker with a skewed clock, here by 60 seconds: ``python -m tests.chaos.skewed 60 worker``."""

import sys
import time

_real = time.time
_skew_seconds = float(sys.argv.pop(1))
time.time = lambda: _real() + _skew_seconds

from threelane.interfaces.command.line import main  # noqa: E402 - after the clock is skewed

main()
