-- Keep one part of a long reply until the others have come.
-- KEYS  11 halves, 12 parts, 13 that this part was taken
-- ARGV  key of the reply, when to tell of it as it is, ms to keep the parts, number, of how many, the part's JSON
-- ->    {'repeated'}, {'part'}, or all parts' JSON
if redis.call('EXISTS', KEYS[13]) == 1 then return {'repeated'} end
redis.call('HSET', KEYS[12], ARGV[4], ARGV[6])
redis.call('PEXPIRE', KEYS[12], ARGV[3])
redis.call('ZADD', KEYS[11], 'NX', ARGV[2], ARGV[1])
if redis.call('HLEN', KEYS[12]) < tonumber(ARGV[5]) then return {'part'} end
return redis.call('HVALS', KEYS[12])
