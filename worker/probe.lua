-- Take messages in doubt whose time to ask has come, as many as the rate of look-ups allows; nobody else asks for
-- the same ones until `again`.
-- KEYS  10 rate, 11.. records   ARGV  now, again, look-ups a second, then the ids
-- ->    for each id taken {id, probes made so far, since when in doubt, lapses, body}
local now, rate = tonumber(ARGV[1]), tonumber(ARGV[3])
local bucket = redis.call('HMGET', KEYS[10], 'asks', 'asked')
local burst = math.max(1, rate)
local at = tonumber(bucket[2]) or now
local asks = math.min(burst, (tonumber(bucket[1]) or burst) + math.max(0, now - at) * rate / 1000)
if at < now or at > now + 10000 then at = now end  -- as in claim.lua
local answers = {}
for i = 1, #KEYS - 10 do
  local record, id = KEYS[10 + i], ARGV[3 + i]
  local due = redis.call('ZSCORE', KEYS[6], id)
  local known = redis.call('HMGET', record, 'status', 'probes', 'doubted', 'lapses', 'body')
  if due and tonumber(due) <= now and known[1] ~= 'in_doubt' then
    redis.call('ZREM', KEYS[6], id)
  elseif due and tonumber(due) <= now and asks >= 1 then
    asks = asks - 1
    redis.call('ZADD', KEYS[6], ARGV[2], id)
    if not known[3] then redis.call('HSET', record, 'doubted', now) end
    answers[#answers + 1] = {id, known[2] or '0', known[3] or ARGV[1], known[4] or '0', known[5]}
  end
end
redis.call('HSET', KEYS[10], 'asks', string.format('%.3f', asks), 'asked', at)
return tallied(answers)
