-- PARTS breaker
-- Take the probe of an open breaker when it is due; one worker at a time has it, until it ends or its time is over.
-- A time that lies too far ahead was written by a clock that has been set back since: it counts as due.
-- KEYS  breaker   ARG  now, scope, token, ends (ms)
-- ->    1 when this worker probes, or 0
local now, row = ARG.now, open_row()
if not row then return 0 end
local prober = redis.call('HGET', KEY.breaker, Breaking.prober)
if prober and now < number_of(Breaking.ends) and now >= number_of(Breaking.taken) - BEHIND_MS then return 0 end
if now < number_of(Breaking.next) and now >= number_of(Breaking.planned) - BEHIND_MS then return 0 end
redis.call('HDEL', KEY.breaker, Breaking.passes)
redis.call('HSET', KEY.breaker, Breaking.prober, ARG.token, Breaking.taken, string.format('%d', now),
  Breaking.ends, string.format('%d', ARG.ends))
return 1
