-- PARTS move
-- Move due messages to their lanes.
-- KEYS  records   ARG  now, ids
-- ->    for each id its lane, or '' when it is not due any more: another worker was first
local answers, FIELDS, dues = {}, fields(), redis.call('ZMSCORE', KEY.due, unpack(ARG.ids))
for i, id in ipairs(ARG.ids) do
  local record, due = KEY.records[i], dues[i]
  local known = read(record, FIELDS)
  answers[i] = ''
  if due and tonumber(due) <= ARG.now then
    if known.status == Status.scheduled and move(record, id, known, Status.queued, ARG.now) then
      answers[i] = known.lane
    else
      index(KEY.due, id)
    end
  end
end
return moved(answers)
