-- PARTS rows
-- Publish a worker's heartbeat, unless another live worker reports under its name.
-- KEYS  worker, workers   ARG  name, now, silent_ms (older heartbeats are of gone workers), keep_ms, incarnation (of this
--       process), dead (an incarnation that ended), fields (names and values in turn)
-- ->    '' when it was published, else the incarnation of the other worker; '?' when it is of an earlier version
local found = of_table('HMGET', KEY.worker, 'beat', 'incarnation')
if not found then  -- a damaged report is replaced
  redis.call('DEL', KEY.worker)
  found = {}
end
local beat, other = tonumber(found[1] or '') or 0, found[2] or '?'
if math.abs(ARG.now - beat) <= ARG.silent_ms and other ~= ARG.incarnation and other ~= ARG.dead then return other end
redis.call('HSET', KEY.worker, 'beat', string.format('%d', ARG.now), unpack(ARG.fields))
redis.call('PEXPIRE', KEY.worker, ARG.keep_ms)
redis.call('ZADD', KEY.workers, ARG.now, ARG.name)
redis.call('ZREMRANGEBYSCORE', KEY.workers, '-inf', ARG.now - ARG.keep_ms)
return ''
