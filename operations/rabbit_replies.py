"""RabbitMQ replies: the page docs/rabbitmq-replies.md, from the table of RabbitMQ's replies.

``python -m threelane.operations.rabbit_replies > docs/rabbitmq-replies.md`` generates it.
"""

from __future__ import annotations

from collections.abc import Iterator

from threelane.runtime.broker_replies import REPLIES, RETRY_SECONDS, BrokerReply, Ends
from threelane.runtime.exits import Exit

HEAD = f"""\
# Replies of RabbitMQ

Generated from `runtime/broker_replies.py` by `python -m threelane.operations.rabbit_replies`.

RabbitMQ can be reachable and refuse a connection, a queue or a nudge. A nudge is a hint: messages are accepted and sent
all the same, each a second or two late, since workers look for them in Redis. The owner is always the operator.

| process | what it does |
|---|---|
| producer, HTTP API, console, `redrive` | accepts. The nudge fails at once and the log event `nudge_failed` has cause \
and remedy (`problem`). The next attempt follows after a second, or after as long as the failed one took. A call waits \
at most `THREELANE_REDIS_TIMEOUT_SECONDS` |
| callback endpoint, exporter | do not use RabbitMQ |
| command line | `send` and `bulk` accept as any producer does, with exit code 0. `check` exits with {Exit.USAGE:d} \
and `doctor` with {Exit.UNHEALTHY:d}; both name cause and remedy |
| worker that starts | ends with {Exit.USAGE:d} and a sentence before its first message if a setting is wrong; \
otherwise it starts, and its looks send |
| worker that runs | goes on: its looks send. It connects again at once, then after {RETRY_SECONDS:g} s, and later \
after growing pauses of up to 30 s. It logs `broker_refused` once a minute and for each new reply, `broker_accepted` \
at the end, and reports the reply as its reason `broker` |

Calls under way end normally, and their results are recorded. RabbitMQ delivers the nudges that a worker held to another
one, which finds nothing to do. No message is sent twice. The alerts [NudgesUnpublished](runbook.md#nudgesunpublished)
and [NudgesMissing](runbook.md#nudgesmissing) fire when a reply persists.

| reply | code | meaning: RabbitMQ ... | remedy | starting worker | running worker | nudges of producers |
|---|---|---|---|---|---|---|
"""


def document() -> Iterator[str]:
    """Yield the lines of the page."""
    yield from HEAD.splitlines()
    yield from map(_row, REPLIES)


def _row(one: BrokerReply) -> str:
    starting = "goes on" if one.ends is Ends.NEVER else f"exits with {Exit.USAGE:d}"
    running = f"exits with {Exit.USAGE:d}" if one.ends is Ends.ALWAYS else "goes on"
    remedy = one.remedy.replace("|", "\\|")
    if one.remedy.startswith("rabbitmqctl set"):
        remedy = f"`{remedy}`"
    cells = (f"`{one.name}`", str(one.code or "-"), one.meaning, remedy, starting, running, one.nudges)
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    print("\n".join(document()))
