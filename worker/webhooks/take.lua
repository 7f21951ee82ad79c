#!lua flags=allow-oom
-- Take deliveries that are due, each under a lease: until it ends no other dispatcher takes them.
-- KEYS  deliveries, delivery     ARGV  now, lease_until, most
-- ->    when the next one is due ('' when none waits), then id and content of each that was taken
local taken = {''}
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], '-inf', ARGV[1], 'BYSCORE', 'LIMIT', 0, ARGV[3])) do
  local content = redis.call('HGET', KEYS[2], id)
  if content then
    redis.call('ZADD', KEYS[1], ARGV[2], id)
    table.insert(taken, id)
    table.insert(taken, content)
  else
    redis.call('ZREM', KEYS[1], id)
  end
end
taken[1] = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2] or ''
return taken
