-- PARTS move
-- End queued and paused messages whose validity is over; a message claimed meanwhile is left to its attempt.
-- KEYS  records   ARG  now, keep_ms (for messages that end here), ids
-- ->    for each id 1, or 0 when it is still valid, or neither queued nor paused any more
local WAITS = {[Status.queued] = true, [Status.paused] = true}
local answers, FIELDS = {}, fields(Field.expires)
each(ARG.ids, function(i, id)
  answers[i] = 0
  local record = KEY.records[i]
  local known = read(record, FIELDS)
  local from = known.status
  if not is_own(known) then return end
  if not WAITS[from] then
    index(KEY.paused, id)  -- where a producer of an earlier version leaves what it cancels
  elseif tonumber(known.expires) <= ARG.now and move(record, id, known, Status.expired, 0, Field.ended, ARG.now) then
    keep_for(record, ARG.keep_ms)
    if from == Status.paused then count_of(Count.expired_paused, known.lane) end
    answers[i] = 1
  elseif from == Status.paused then
    index(KEY.paused, id, known.expires)  -- a producer of an earlier version moved the validity, and not this score
  end
end)
return moved(answers)
