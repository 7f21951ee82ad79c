-- PARTS rows
-- Take deliveries that are due, each under a lease: until it ends no other dispatcher takes them.
-- KEYS  deliveries, contents   ARG  now, lease_until, most
-- ->    when the next one is due ('' when none waits), then id and content of each that was taken
local taken = {''}
for _, id in ipairs(redis.call('ZRANGE', KEY.deliveries, '-inf', ARG.now, 'BYSCORE', 'LIMIT', 0, ARG.most)) do
  local content = of_table('HGET', KEY.contents, id)
  if content then
    redis.call('ZADD', KEY.deliveries, ARG.lease_until, id)
    table.insert(taken, id)
    table.insert(taken, content)
  else
    redis.call('ZREM', KEY.deliveries, id)
  end
end
taken[1] = redis.call('ZRANGE', KEY.deliveries, 0, 0, 'WITHSCORES')[2] or ''
return taken
