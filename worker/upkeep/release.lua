-- Put messages whose time has come onto their lanes.
-- KEYS  11.. records   ARGV  now, then the ids
-- ->    for each id its lane, or '' when it is not due any more: another worker was first
local answers, FIELDS, dues = {}, fields(), redis.call('ZMSCORE', KEYS[1], unpack(ARGV, 2))
for i = 1, #KEYS - 10 do
  local record, id = KEYS[10 + i], ARGV[1 + i]
  local due, known = dues[i], read(record, FIELDS)
  answers[i] = ''
  if due and tonumber(due) <= tonumber(ARGV[1]) then
    if known.status == 'scheduled' and move(record, id, known, 'queued', ARGV[1]) then
      answers[i] = known.lane
    else
      redis.call('ZREM', KEYS[1], id)
    end
  end
end
return tallied(answers)
