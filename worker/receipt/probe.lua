-- Take messages of a state whose time to ask the gateway for has come, as many as the rate of look-ups allows; nobody
-- else asks for the same ones until `again`.
-- KEYS  11 rate, 12.. records   ARGV  state: in_doubt or sent; now, again, look-ups a second, then the ids
-- ->    for each id taken {id, probes made so far, since when in doubt, lapses, body, gateway id, since when it is on its way, asks}
local now, rate = tonumber(ARGV[2]), tonumber(ARGV[4])
local bucket = redis.call('HMGET', KEYS[11], 'asks', 'asked')
local burst = math.max(1, rate)
local at = tonumber(bucket[2]) or now
local asks = math.min(burst, (tonumber(bucket[1]) or burst) + math.max(0, now - at) * rate / 1000)
if at < now or at > now + 10000 then at = now end  -- as in claim.lua
local answers, set = {}, shelf(ARGV[1])
for i = 1, #KEYS - 11 do
  local record, id = KEYS[11 + i], ARGV[4 + i]
  local due = redis.call('ZSCORE', set, id)
  local known = redis.call('HMGET', record, 'status', 'probes', 'doubted', 'lapses', 'body', 'gateway_id', 'sent', 'asks', 'gateway_due')
  if due and tonumber(due) <= now and known[1] ~= ARGV[1] then
    redis.call('ZREM', set, id)
  elseif due and tonumber(due) <= now and asks >= 1 then
    asks = asks - 1
    redis.call('ZADD', set, ARGV[3], id)
    if ARGV[1] == 'in_doubt' and not known[3] then redis.call('HSET', record, 'doubted', now) end
    local on_its_way = math.max(tonumber(known[7]) or now, tonumber(known[9]) or 0)
    answers[#answers + 1] = {id, known[2] or '0', known[3] or ARGV[2], known[4] or '0', known[5] or '', known[6] or '',
      string.format('%d', on_its_way), known[8] or '0'}
  end
end
redis.call('HSET', KEYS[11], 'asks', string.format('%.3f', asks), 'asked', at)
return tallied(answers)
