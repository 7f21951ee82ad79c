"""A producer that records each accepted id, and sends a message again until it gets a result.

``python -m tests.chaos.producing NUMBER COUNT SECONDS SEED FILE``: each line of FILE is an id reported as accepted;
it is synced before the next message is sent, so a kill -9 loses none.  After a restart it may send messages again:
client message ids make that harmless.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from random import Random

from threelane import Accepted, Producer, Unavailable


def main(number: int, count: int, seconds: float, seed: int, file: Path, validity: str = "") -> None:
    rng = Random(f"{seed}-{number}")
    messages = [_message(rng, number, position, validity) for position in range(count)]
    pace = seconds / count
    with Producer() as producer, file.open("a", encoding="ascii") as ledger:
        position = _recorded(file)
        while position < count:
            size = min(rng.choice((1, 1, 5, 50, 100)), count - position)
            began = time.monotonic()
            position += _send(producer, messages[position : position + size], ledger)
            time.sleep(max(0.0, size * pace - (time.monotonic() - began)))


def _send(producer: Producer, batch: list[dict[str, object]], ledger) -> int:
    while True:
        try:
            results = producer.send_many(batch)
        except Unavailable:
            time.sleep(0.2)
            continue
        for result in results:
            assert isinstance(result, Accepted), result
            ledger.write(result.id + "\n")
        ledger.flush()
        os.fsync(ledger.fileno())
        return len(batch)


def _message(rng: Random, number: int, position: int, validity: str) -> dict[str, object]:
    message: dict[str, object] = {
        "to": f"27999{500_000 + rng.randrange(400_000)}",
        "text": rng.choice(("Your code is 4711", "News " * rng.randint(1, 60), "Привет " * rng.randint(1, 20))),
        "lane": rng.choice((1, 2, 2, 3, 3, 3, 3)),
        "client_message_id": f"n{number}p{position}",
        "producer": f"chaos{number}",
    }
    if validity:
        message["validity_period"] = validity
    if rng.random() < 0.1:
        message["delay"] = rng.randint(1, 10)
    return message


def _recorded(file: Path) -> int:
    """Return how many ids are recorded; a line truncated by a kill does not count."""
    if not file.exists():
        return 0
    whole, _, truncated = file.read_text(encoding="ascii").rpartition("\n")
    if truncated:
        file.write_text(whole + "\n" if whole else "", encoding="ascii")
    return len(whole.splitlines())


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[5]), *sys.argv[6:])
