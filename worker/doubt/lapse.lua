-- Leases that ran out: the worker died, or lost its way, in the middle of the call; only the gateway can tell.
-- KEYS  11.. records   ARGV  now, when to ask first, then the ids
-- ->    for each id 1, or 0 when its lease is not over
local answers, FIELDS = {}, fields()
for i = 1, #KEYS - 10 do
  local record, id = KEYS[10 + i], ARGV[2 + i]
  local ends = redis.call('ZSCORE', KEYS[5], id)
  local known = read(record, FIELDS)
  answers[i] = 0
  if ends and tonumber(ends) <= tonumber(ARGV[1]) then
    if known.status ~= 'sending' then
      redis.call('ZREM', KEYS[5], id)
    elseif move(record, id, known, 'in_doubt', ARGV[2], 'code', 'lapsed', 'reason', 'lease_ran_out', 'owner', 'operator') then
      redis.call('HINCRBY', record, 'lapses', 1)
      count('lapsed:' .. known.lane)
      answers[i] = 1
    end
  end
end
return tallied(answers)
