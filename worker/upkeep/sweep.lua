-- PARTS move
-- Move queued messages of one lane that lost their nudge to the end of the lane's order, where their new nudge will be.
-- KEYS  records   ARG  now, lane, queued_by, ids
-- ->    for each id how often it was swept when it is to be nudged, or 0 when it is no longer queued that early
local answers, queued, FIELDS = {}, KEY.queued[ARG.lane], {Field.status, Field.lane, Field.waiting, Field.sweeps,
  Field.account}
each(ARG.ids, function(i, id)
  answers[i] = 0
  local queued_at = redis.call('ZSCORE', queued, id)
  local known = read(KEY.records[i], FIELDS)
  if queued_at and known.lane and known.lane ~= tostring(ARG.lane) then refuse('lane is not that of its index') end
  if queued_at and not is_own(known) then
    leave_stray(queued, id, known)
  elseif queued_at and known.status ~= Status.queued then
    redis.call('ZREM', queued, id)
  elseif queued_at and tonumber(queued_at) <= ARG.queued_by then
    redis.call('ZADD', queued, ARG.now, id)
    note_wait(KEY.records[i], id, known, Cause.swept)
    count_of(Count.swept, ARG.lane)
    answers[i] = add_one(KEY.records[i], Field.sweeps)
    if answers[i] > 1 then count_of(Count.swept_again, ARG.lane) end
  end
end)
return moved(answers)
