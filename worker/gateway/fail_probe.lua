-- PARTS breaker
-- End a probe without a proper answer: the next one comes after twice the wait.
-- KEYS  breaker   ARG  now, scope, token, code (kind of the failure), detail, wait_ms (from Retry-After; 0: none),
--       most_ms, jitter (0 to 1)
-- ->    when the next probe is due, ms, or 0 when this worker is no longer the prober
local now, row = ARG.now, open_row()
if not row or not is_prober(ARG.token) then return 0 end
local interval = math.min(ARG.most_ms, 2 * math.max(1, number_of(Breaking.interval)))
local at = now + math.max(ARG.wait_ms, math.floor(interval * (1 + ARG.jitter / 4)))
end_probe()
redis.call('HSET', KEY.breaker, Breaking.interval, string.format('%d', interval))
row.failures, row.code, row.detail = row.failures + 1, ARG.code, ARG.detail
await_probe(row, at, now)
count(Count.probed .. Probe.failed)
return tallied(at)
