"""A worker whose machine's clock is off: ``python -m tests.chaos.skewed 60 worker``."""

import sys
import time

_real = time.time
_off = float(sys.argv.pop(1))
time.time = lambda: _real() + _off

from threelane.interfaces.command.line import main  # noqa: E402  the clock first

main()
