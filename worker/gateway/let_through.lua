-- PARTS breaker
-- Allow the prober to claim one message: the gateway answered its harmless call.
-- KEYS  breaker   ARG  scope, token, ends (ms)
-- ->    1, or 0 when it is no longer the prober
if not open_row() or not is_prober(ARG.token) then return 0 end
redis.call('HSET', KEY.breaker, Breaking.passes, 1, Breaking.ends, string.format('%d', ARG.ends))
return 1
