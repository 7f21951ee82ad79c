-- Write, read and delete a key of this check alone, as scripts of workers write: at the memory ceiling, too.
-- KEYS  none   ARG  token, keep_ms
-- ->    the token that was read
redis.call('SET', KEY.write_check, ARG.token, 'PX', ARG.keep_ms)
local read = redis.call('GET', KEY.write_check)
redis.call('DEL', KEY.write_check)
return read
