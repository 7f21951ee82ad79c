-- PARTS record, tally
-- Queued messages of one lane whose nudge is gone: they go to the end of their lane's order, since their new nudge
-- will stand at the end of the lane.
-- KEYS  records   ARG  now, lane, queued_by, ids
-- ->    for each id 1 when it is to be nudged, or 0 when it is not queued so early any more
local answers, queued = {}, KEY.queued[ARG.lane]
for i, id in ipairs(ARG.ids) do
  local queued_at = redis.call('ZSCORE', queued, id)
  answers[i] = 0
  if queued_at and read_one(KEY.records[i], Field.status) ~= Status.queued then
    redis.call('ZREM', queued, id)
  elseif queued_at and tonumber(queued_at) <= ARG.queued_by then
    redis.call('ZADD', queued, ARG.now, id)
    count_of(Count.swept, ARG.lane)
    answers[i] = 1
  end
end
return tallied(answers)
