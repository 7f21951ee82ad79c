-- Write down what attempts came to. Only the holder of a message's token may; the token ends with it.
-- KEYS  11 holds, 12 suppressed, 13 late, 14.. records
-- ARGV  now, '1' when the API tells no charges, number of holds, of each its scope and JSON, then for each record:
--       id, token, state, score, ms to keep ('0': for ever), count ('': none), entry that suppresses ('': none),
--       attempt, seconds to wait ('': none), when a receipt is late ('': never), number of further values, and these:
--       field, value ...
-- ->    for each record 1, or 0 when the token is no longer the message's: something else settled it
local answers, a = {}, 4
local function lasts(hold)
  local ends = cjson.decode(hold)['until']
  return ends == 0 and math.huge or ends
end
for _ = 1, tonumber(ARGV[3]) do  -- a hold gives way to one that lasts longer
  local scope, hold = ARGV[a], ARGV[a + 1]
  local standing = redis.call('HGET', KEYS[11], scope)
  if standing and lasts(standing) <= tonumber(ARGV[1]) then standing = nil end
  if not standing or lasts(hold) > lasts(standing) then redis.call('HSET', KEYS[11], scope, hold) end
  if not standing then count('held:' .. string.match(scope, '^%a+')) end
  a = a + 2
end
for i = 1, #KEYS - 13 do
  local record, id, to, more = KEYS[13 + i], ARGV[a], ARGV[a + 2], tonumber(ARGV[a + 10])
  local known = redis.call('HMGET', record, 'status', 'token', 'lane', 'to', 'waits', 'estimate')
  answers[i] = 0
  if known[2] == ARGV[a + 1] and move(record, id, known[3], known[1], to, ARGV[a + 3]) then
    answers[i] = 1
    redis.call('HDEL', record, 'token')
    redis.call('HSET', record, 'attempt', ARGV[a + 7], unpack(ARGV, a + 11, a + 10 + more))
    if ARGV[a + 8] ~= '' then redis.call('HSET', record, 'waits', (known[5] and known[5] .. ' ' or '') .. ARGV[a + 8]) end
    if ARGV[a + 4] ~= '0' then redis.call('PEXPIRE', record, ARGV[a + 4]) end
    if ARGV[a + 5] ~= '' then count(ARGV[a + 5]) end
    if ARGV[a + 6] ~= '' then suppress(KEYS[12], known[4], cjson.decode(ARGV[a + 6]), 1) end
    if ARGV[a + 9] ~= '' then redis.call('ZADD', KEYS[13], ARGV[a + 9], id) end
    if to == 'sent' and ARGV[2] == '1' then pay(record, known[3], tonumber(known[6]) or 0) end
  else
    count('stale_settle')
  end
  a = a + 11 + more
end
return tallied(answers)
