"""Redis' limit: the fewest writes that a message needs, as three scripts per 100 messages, from one client.

No checks, no states, no counts per message: no design with a record, a lane and a lease can be faster.
"""

from __future__ import annotations

import time
import uuid
from typing import Any

import redis

CHUNK = 100
BODY = b"x" * 250
KEEP_MS = 8 * 24 * 3600 * 1000

# KEYS  lane, then records   ARGV  now, body, then ids
ACCEPT = """
for i = 2, #KEYS do
  redis.call('HSET', KEYS[i], 'status', 'queued', 'lane', 3, 'accepted', ARGV[1], 'body', ARGV[2])
  redis.call('ZADD', KEYS[1], ARGV[1], ARGV[i + 1])
end
redis.call('HINCRBY', 'tally', 'accepted', #KEYS - 1)
"""
# KEYS  lane, leases, then records   ARGV  now, then ids
CLAIM = """
local bodies = {}
for i = 3, #KEYS do
  bodies[#bodies + 1] = redis.call('HGET', KEYS[i], 'body')
  redis.call('HSET', KEYS[i], 'status', 'sending', 'token', ARGV[1], 'attempt', 1)
  redis.call('ZREM', KEYS[1], ARGV[i - 1])
  redis.call('ZADD', KEYS[2], ARGV[1], ARGV[i - 1])
end
redis.call('HINCRBY', 'tally', 'claimed', #KEYS - 2)
return bodies
"""
# KEYS  leases, awaiting, then records   ARGV  now, keep, then ids
SETTLE = """
for i = 3, #KEYS do
  redis.call('HSET', KEYS[i], 'status', 'sent', 'gateway_id', ARGV[i], 'sent', ARGV[1])
  redis.call('HDEL', KEYS[i], 'body', 'token')
  redis.call('PEXPIRE', KEYS[i], ARGV[2])
  redis.call('ZREM', KEYS[1], ARGV[i])
  redis.call('ZADD', KEYS[2], ARGV[1], ARGV[i])
end
redis.call('HINCRBY', 'tally', 'sent', #KEYS - 2)
"""


def replay(url: str, messages: int) -> float:
    """Run messages through all three scripts; returns the seconds."""
    client = redis.Redis.from_url(url)
    accept, claim, settle = (client.register_script(script) for script in (ACCEPT, CLAIM, SETTLE))
    started = time.perf_counter()
    for _ in range(0, messages, CHUNK):
        ids = [uuid.uuid4().hex for _ in range(CHUNK)]
        records, now = [f"m:{one}" for one in ids], int(time.time() * 1000)
        arguments: list[Any] = [now, BODY, *ids]
        accept(["lane", *records], arguments)
        claim(["lane", "leases", *records], [now, *ids])
        settle(["leases", "awaiting", *records], [now, KEEP_MS, *ids])
    seconds = time.perf_counter() - started
    client.close()
    return seconds
