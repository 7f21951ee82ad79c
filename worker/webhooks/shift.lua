#!lua flags=allow-oom
-- Shift a delivery to another set, or to another time in the same, if nobody changed it since it was read.
-- KEYS  from, to, delivery     ARGV  id, content as it was read, content as it shall be, score
-- ->    1, or 0 and nothing shifted
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
if redis.call('HGET', KEYS[3], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1])
redis.call('HSET', KEYS[3], ARGV[1], ARGV[3])
return 1
