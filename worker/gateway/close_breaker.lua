-- PARTS breaker
-- Close the breaker: the prober got a proper answer, or (with an empty token) an operator resumes. The rate ramps up.
-- KEYS  breaker   ARG  now, scope, token, process
-- ->    1, or 0 when it was closed, or when this worker is no longer the prober
if not open_row() or ARG.token ~= '' and not is_prober(ARG.token) then return 0 end
local now = string.format('%d', ARG.now)
redis.call('HSET', KEY.rate, Rate.ramp, now, Rate.tokens, 0, Rate.at, now)
of_table('HDEL', KEY.holds, ARG.scope)
end_probe()
redis.call('HSET', KEY.breaker, Breaking.closed, now, Breaking.closer, ARG.process)
redis.call('PEXPIRE', KEY.breaker, KEEP_MS)
if ARG.token ~= '' then count(Count.probed .. Probe.answered) end
return tallied(1)
