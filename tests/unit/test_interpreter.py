"""Interpreter: a process does not pause for the garbage of its start."""

from __future__ import annotations

import subprocess
import sys

LOOK = """
import gc, sys
from threelane.worker.process import interpreter
lasting = [[] for _ in range(1_000)]
interpreter.shorten_pauses()
later = [[] for _ in range(10)]
looked_at = {id(one) for one in gc.get_objects()}
print(sum(id(one) in looked_at for one in lasting), sum(id(one) in looked_at for one in later), sys.getswitchinterval())
"""


def test_a_collection_of_garbage_leaves_out_what_was_there_at_the_start_and_nothing_else() -> None:
    """In a process of its own, whose collector it changes for good."""
    completed = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=True)
    assert "0 10 0.001" == completed.stdout.strip()
