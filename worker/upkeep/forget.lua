-- PARTS rows
-- Remove the heartbeat of a worker that ended in order: its name is free at once.
-- KEYS  worker, workers   ARG  name, incarnation (of this process)
-- ->    1, or 0 when another worker reports under the name
if of_table('HGET', KEY.worker, 'incarnation') ~= ARG.incarnation then return 0 end
redis.call('DEL', KEY.worker)
return redis.call('ZREM', KEY.workers, ARG.name)
