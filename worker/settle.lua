-- Write down what attempts came to. Only the holder of a message's token may; the token ends with it.
-- KEYS  11 holds, 12 suppressed, 13 late, 14.. records
-- ARGV  now, hold scope ('': none), hold JSON, then for each record:
--       id, token, state, score, ms to keep ('0': for ever), count ('': none), entry that suppresses ('': none),
--       attempt, seconds to wait ('': none), when a receipt is late ('': never), number of further values, and these:
--       field, value ...
-- ->    for each record 1, or 0 when the token is no longer the message's: something else settled it
local answers, a = {}, 4
local function lasts(hold) local ends = cjson.decode(hold)['until'] return ends == 0 and math.huge or ends end
if ARGV[2] ~= '' then -- a hold gives way to one that lasts longer
  local standing = redis.call('HGET', KEYS[11], ARGV[2])
  if not standing or lasts(ARGV[3]) > lasts(standing) then redis.call('HSET', KEYS[11], ARGV[2], ARGV[3]) end
  if not standing then count('held:' .. ARGV[2]) end
end
for i = 1, #KEYS - 13 do
  local record, id, to, more = KEYS[13 + i], ARGV[a], ARGV[a + 2], tonumber(ARGV[a + 10])
  local known = redis.call('HMGET', record, 'status', 'token', 'lane', 'to', 'waits')
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
  else
    count('stale_settle')
  end
  a = a + 11 + more
end
return tallied(answers)
