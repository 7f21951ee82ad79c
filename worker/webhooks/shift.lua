-- PARTS rows
-- Move a delivery to another set, or to another time in the same set, if it has not changed since it was read.
-- KEYS  source, target, contents   ARG  id, was (its content as read), content (the new one), score
-- ->    1, or 0 and nothing moved
if not redis.call('ZSCORE', KEY.source, ARG.id) then return 0 end
if of_table('HGET', KEY.contents, ARG.id) ~= ARG.was then return 0 end
redis.call('ZREM', KEY.source, ARG.id)
redis.call('ZADD', KEY.target, ARG.score, ARG.id)
redis.call('HSET', KEY.contents, ARG.id, ARG.content)
return 1
