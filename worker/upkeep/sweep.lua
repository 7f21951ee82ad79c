-- Queued messages of one lane whose nudge is gone: they go to the end of their lane's order, since their new nudge
-- will stand at the end of the lane.
-- KEYS  11.. records   ARGV  now, lane, cutoff, then the ids
-- ->    for each id 1 when it is to be nudged, or 0 when it is not queued so early any more
local answers, lane = {}, ARGV[2]
for i = 1, #KEYS - 10 do
  local record, id = KEYS[10 + i], ARGV[3 + i]
  local queued_at = redis.call('ZSCORE', KEYS[1 + lane], id)
  answers[i] = 0
  if queued_at and redis.call('HGET', record, 'status') ~= 'queued' then
    redis.call('ZREM', KEYS[1 + lane], id)
  elseif queued_at and tonumber(queued_at) <= tonumber(ARGV[3]) then
    redis.call('ZADD', KEYS[1 + lane], ARGV[1], id)
    count('swept:' .. lane)
    answers[i] = 1
  end
end
return tallied(answers)
