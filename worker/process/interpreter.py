"""Interpreter: how a process with many things to do at once is kept from standing still."""

from __future__ import annotations

import gc
import sys

SWITCH_SECONDS = 0.001


def shorten_pauses() -> None:
    """Call it when what lives as long as the process has been made.

    A full collection of garbage looks at all that lives, and no thread moves meanwhile: 45 to 70 ms with Celery
    loaded, more than a login code needs for its whole way.  What is there by now stays, so it need not be looked at
    again.  And a thread that computes lets others go on after a millisecond in place of five: a code's way takes ten
    such turns.
    """
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(SWITCH_SECONDS)
