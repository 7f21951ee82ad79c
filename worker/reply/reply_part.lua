-- Keep one part of a long reply until the others have come.
-- KEYS  parts, taken (the mark of this part)
-- ARG   key (of the reply), as_it_is_at (when to publish it incomplete), keep_ms (for the parts), number, total, part (JSON)
-- ->    {'repeated'}, {'part'}, or all parts' JSON
if redis.call('EXISTS', KEY.taken) == 1 then return {PartResult.repeated} end
redis.call('HSET', KEY.parts, ARG.number, ARG.part)
redis.call('PEXPIRE', KEY.parts, ARG.keep_ms)
redis.call('ZADD', KEY.reply_halves, 'NX', ARG.as_it_is_at, ARG.key)
if redis.call('HLEN', KEY.parts) < ARG.total then return {PartResult.part} end
return redis.call('HVALS', KEY.parts)
