"""Redis errors: the page docs/redis-errors.md, from the table of error replies.

``python -m threelane.operations.redis_errors > docs/redis-errors.md`` generates it.
"""

from __future__ import annotations

from collections.abc import Iterator

from threelane.runtime.exits import Exit
from threelane.store.replies import TABLE, ErrorReply

HEAD = f"""\
# Error replies of Redis

Generated from `store/replies.py` by `python -m threelane.operations.redis_errors`.

Redis can be reachable and refuse commands: during a failover, without disk space, after a change of its password.
Threelane treats each such reply as an outage, never as a reason to end. A refused command certainly did not run.

| process | what it does |
|---|---|
| producer | `send` raises `Unavailable`: the text has cause and remedy, `owner` who can fix it, `retry_after` when to \
retry. `unsure` is empty: the message was not accepted. It has the id only if the connection was lost first |
| HTTP API, console | 503 with the same text, owner and ids, and `Retry-After` |
| callback endpoint | 503 with `Retry-After`, and one log event `callbacks_not_stored`: the gateway repeats the \
callback |
| webhook dispatcher | waits, as a worker does; events stay in their stream |
| command line | prints the text and exits with {Exit.UNAVAILABLE:d} |
| worker that starts | waits until Redis accepts a write, or exits with {Exit.USAGE:d} if the configuration is wrong |
| worker that runs | is not ready (reason `redis`), claims nothing, and tries about once a second whether Redis \
accepts a write again. It logs `waits_for_redis` once for each reply and `reached_redis` at the end |

Calls under way end normally. Their results are recorded when Redis accepts them again; if that takes longer than the
lease, the messages are looked up at the gateway. No message is sent twice.

Each failed command counts in `threelane_redis_refused_total`; the alert [RedisRefuses](runbook.md#redisrefuses) fires
when a reply persists.

| reply | meaning | remedy | owner | starting worker | running worker | retry after |
|---|---|---|---|---|---|---|"""

FOOT = """
`max number of clients reached` has no code of its own. `EMFILE` is not a reply but an error of this process, which
concerns all its connections. `ASK`, `TRYAGAIN` and `CROSSSLOT` count as `MOVED`. If `THREELANE_BROKER_URL` names
another Redis, its replies stop no worker: looks carry the lanes, and the events are `waits_for_broker` and
`reached_broker`."""


def document() -> Iterator[str]:
    """Yield the lines of the page."""
    yield HEAD
    yield from map(_row, TABLE)
    yield FOOT


def _row(reply: ErrorReply) -> str:
    cells = (
        f"`{reply.prefix}`",
        reply.meaning,
        reply.remedy,
        reply.owner,
        "waits" if reply.waits else f"exits with {Exit.USAGE:d}",
        "waits" if reply.stops_workers else "goes on",
        f"{reply.retry_seconds} s",
    )
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Print the document."""
    print("\n".join(document()))


if __name__ == "__main__":
    main()
