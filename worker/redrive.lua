-- Put dead letters back on their lanes, each once, however many ask for it.
-- KEYS  11.. records   ARGV  now, then the ids
-- ->    for each id its lane, 'expired' when its validity is over, or '' when it is no dead letter (any more)
local answers = {}
for i = 1, #KEYS - 10 do
  local record, id = KEYS[10 + i], ARGV[1 + i]
  local known = redis.call('HMGET', record, 'status', 'lane', 'expires')
  if known[1] ~= 'dead' then
    answers[i] = ''
  elseif tonumber(known[3]) <= tonumber(ARGV[1]) then
    answers[i] = 'expired'
  else
    move(record, id, known[2], 'dead', 'queued', ARGV[1])
    redis.call('PERSIST', record)
    redis.call('HDEL', record, 'ended', 'first', 'lapses')
    redis.call('HSET', record, 'attempt', 0)
    count('redriven:' .. known[2])
    answers[i] = known[2]
  end
end
return tallied(answers)
