-- PARTS move
-- Move due messages of one lane to its queue.
-- KEYS  former (the due set of earlier versions: a time in it takes precedence), records   ARG  now, lane, ids
-- ->    for each id 1, or 0 when it is not due any more: another worker was first, or it has another time
local LATE_MS = ARG.lane == 1 and 1000 or 10000

-- A message that is released long after its time is noted: its place in the lane hides its age.
local function to_lane(record, id, known, due)
  if due >= ARG.now - LATE_MS then return move(record, id, known, Status.queued, ARG.now) end
  return move_because(Cause.requeued, record, id, known, Status.queued, ARG.now)
end

local answers, FIELDS, due_set = {}, fields(), KEY.due[ARG.lane]
local dues, others = redis.call('ZMSCORE', due_set, unpack(ARG.ids)), redis.call('ZMSCORE', KEY.former, unpack(ARG.ids))
each(ARG.ids, function(i, id)
  answers[i] = 0
  local record, due = KEY.records[i], dues[i]
  local known = read(record, FIELDS)
  if due and tonumber(due) <= ARG.now and not others[i] then
    if known.status == Status.scheduled and to_lane(record, id, known, tonumber(due)) then
      answers[i] = known.status == Status.queued and 1 or 0  -- or its batch is paused
    elseif not is_own(known) then
      leave_stray(due_set, id, known)
    else
      index(due_set, id)
    end
  end
end)
return moved(answers)
