-- PARTS move
-- End queued messages whose validity is over; a message claimed meanwhile is left to its attempt.
-- KEYS  records   ARG  now, keep_ms (for messages that end here), ids
-- ->    for each id 1, or 0 when it is still valid or not queued any more
local answers, FIELDS = {}, fields(Field.expires)
each(ARG.ids, function(i, id)
  answers[i] = 0
  local record = KEY.records[i]
  local known = read(record, FIELDS)
  if known.status == Status.queued and tonumber(known.expires) <= ARG.now
    and move(record, id, known, Status.expired, 0, Field.ended, ARG.now) then
    keep_for(record, ARG.keep_ms)
    answers[i] = 1
  end
end)
return moved(answers)
