-- PARTS move
-- Reschedule messages that did not change since they were read; they then wait in Redis, not at the gateway.
-- KEYS  former (the due set of earlier versions), records
-- ARG   now, source (scheduled or queued: the state they are in), times
-- ->    for each 1, or 0 if it changed, or 'account:<name>' if it is of another account
local answers, FIELDS = {}, fields(Field.body)
each(ARG.times, function(i, time)
  local record, id, due = KEY.records[i], time[Time.id], time[Time.due]
  answers[i] = 0
  local known = read(record, FIELDS)
  if not is_own(known) then
    answers[i] = elsewhere(known)
    return
  end
  if known.status == ARG.source and known.body == time[Time.was] then
    write(record, Field.body, time[Time.body], Field.due, due, Field.expires, time[Time.expires])
    drop(record, Field.gateway_due)
    if known.lane == '1' then index(KEY.expected, id, due) end
    if known.status == Status.scheduled then
      index(KEY.former, id)
      index(KEY.due[known.lane], id, due)
      forget_wait(record, id, known)
    else
      move_because(Cause.window, record, id, known, Status.scheduled, due)
    end
    answers[i] = 1
  end
end, function(time) return time[Time.id] end)
return moved(answers)
