-- Put messages whose time has come onto their lanes.
-- KEYS  11.. records   ARGV  now, then the ids
-- ->    for each id its lane, or '' when it is not due any more: another worker was first
local answers = {}
for i = 1, #KEYS - 10 do
  local record, id = KEYS[10 + i], ARGV[1 + i]
  local due = redis.call('ZSCORE', KEYS[1], id)
  local known = redis.call('HMGET', record, 'status', 'lane')
  answers[i] = ''
  if due and tonumber(due) <= tonumber(ARGV[1]) then
    if known[1] == 'scheduled' and move(record, id, known[2], 'scheduled', 'queued', ARGV[1]) then
      answers[i] = known[2]
    else
      redis.call('ZREM', KEYS[1], id)
    end
  end
end
return tallied(answers)
