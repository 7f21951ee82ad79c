-- PARTS breaker
-- Open the breaker; if it is open, move its next probe to the time that the gateway requests.
-- A process that opens it again, soon after another one was answered and closed it, has a problem of its own.
-- KEYS  breaker   ARG  now, scope, code (kind of the failure), detail, address, failures (in a row), began (the last
--       failed call, ms), process, wait_ms (from Retry-After; 0: none), first_ms and most_ms (between probes), jitter (0 to 1)
-- ->    {opened at, next probe}, or {0, 0} when the failure is older than the last proper answer, or {-1, 0} when only
--       this process fails
local RELAPSE_MS = 60000  -- a breaker that opens again so soon starts with a longer wait
local RELAPSE_STEPS = 4   -- first waits; it answered meanwhile, so a code must not wait as in a long outage
local now, row = ARG.now, open_row()
if row then
  if ARG.wait_ms > 0 and now + ARG.wait_ms > row.next_probe then await_probe(row, now + ARG.wait_ms, now) end
  return {row.since, row.next_probe}
end
local closed, interval = number_of(Breaking.closed), ARG.first_ms
if closed > ARG.began and closed <= now + BEHIND_MS then return {0, 0} end
if closed > 0 and now - closed < RELAPSE_MS then
  local by = redis.call('HMGET', KEY.breaker, Breaking.opener, Breaking.closer)
  if by[1] == ARG.process and by[2] and by[2] ~= '' and by[2] ~= ARG.process then  -- '': an operator, no proof
    redis.call('HDEL', KEY.breaker, Breaking.opener)
    return {-1, 0}
  end
  local longer = math.min(RELAPSE_STEPS * ARG.first_ms, 2 * number_of(Breaking.interval))
  interval = math.min(ARG.most_ms, math.max(interval, longer))
end
local at = now + math.max(ARG.wait_ms, math.floor(interval * (1 + ARG.jitter / 4)))
end_probe()
redis.call('HSET', KEY.breaker, Breaking.opened, string.format('%d', now), Breaking.interval, string.format('%d', interval),
  Breaking.opener, ARG.process)
await_probe({code = ARG.code, detail = ARG.detail, address = ARG.address, failures = ARG.failures, since = now,
  ['until'] = 0}, at, now)
count(Count.breaker_opened .. ARG.code)
return tallied({now, at})
