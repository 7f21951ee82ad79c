-- PARTS move
-- Put messages back to where they were before their batch was paused: on their lane, or until they are due.
-- KEYS  records   ARG  now, members (of the order of paused messages)
-- ->    for each its lane when it is to be nudged, 'scheduled' when its time is still to come, or '' when it did not move
local answers, FIELDS = {}, fields(Field.batch)
each(ARG.members, function(i, one)
  answers[i] = ''
  local record, id, note = KEY.records[i], one[Member.id], one[Member.note]
  local known = read(record, FIELDS)
  if not is_own(known) then return end
  if known.status ~= Status.paused or known.paused ~= note then
    index(KEY.paused_order, note .. ':' .. id)
    if known.status ~= Status.paused then  -- a worker or a producer of an earlier version moved it, and left its note
      index(KEY.paused, id)
      drop(record, Field.paused)
    end
    return
  end
  if pause.of(known.producer, known.batch) then return end  -- it was paused again
  local at = tonumber(string.match(note, '%d+$'))
  if at > ARG.now then
    local was_due = since_of(record) <= ARG.now  -- it waits for a retry or a hold, not for its own time
    move_because(was_due and Cause.retry or false, record, id, known, Status.scheduled, at)
    answers[i] = Status.scheduled
  else
    move_because(Cause.requeued, record, id, known, Status.queued, ARG.now)
    answers[i] = known.lane
  end
end, function(one) return one[Member.id] end)
return moved(answers)
