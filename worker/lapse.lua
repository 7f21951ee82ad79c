-- Leases that ran out: the worker died, or lost its way, in the middle of the call; only the gateway can tell.
-- KEYS  11.. records   ARGV  now, when to ask first, then the ids
-- ->    for each id 1, or 0 when its lease is not over
local answers = {}
for i = 1, #KEYS - 10 do
  local record, id = KEYS[10 + i], ARGV[2 + i]
  local ends = redis.call('ZSCORE', KEYS[5], id)
  local known = redis.call('HMGET', record, 'status', 'lane')
  answers[i] = 0
  if ends and tonumber(ends) <= tonumber(ARGV[1]) then
    if known[1] == 'sending' and move(record, id, known[2], 'sending', 'in_doubt', ARGV[2]) then
      redis.call('HDEL', record, 'token')
      redis.call('HINCRBY', record, 'lapses', 1)
      redis.call('HSET', record, 'code', 'lapsed', 'reason', 'lease_ran_out', 'owner', 'operator')
      count('lapsed:' .. known[2])
      answers[i] = 1
    else
      redis.call('ZREM', KEYS[5], id)
    end
  end
end
return tallied(answers)
