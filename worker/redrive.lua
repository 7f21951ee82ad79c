-- Put dead letters back on their lanes, each once, however many ask for it. They count in the budgets of today.
-- KEYS  11.. records   ARGV  now, today (YYYYMMDD), then the ids
-- ->    for each id its lane, 'expired' when its validity is over, 'over' when its budget has no room for it any more, or
--       '' when it is no dead letter (any more)
local answers = {}
for i = 1, #KEYS - 10 do
  local record, id = KEYS[10 + i], ARGV[2 + i]
  local known = redis.call('HMGET', record, 'status', 'lane', 'expires', 'period', 'counted', 'estimate', 'centre', 'producer')
  local counted_before = tonumber(known[5]) or 0
  local more = (tonumber(known[6]) or 0) - counted_before
  if known[1] ~= 'dead' then
    answers[i] = ''
  elseif tonumber(known[3]) <= tonumber(ARGV[1]) then
    answers[i] = 'expired'
  elseif known[4] and more > 0 and over(known[7] or '', known[8] or '', more, ARGV[2]) then
    answers[i] = 'over'
  else
    if known[4] and counted_before == 0 then redis.call('HSET', record, 'period', ARGV[2]) end
    move(record, id, known[2], 'dead', 'queued', ARGV[1])
    redis.call('PERSIST', record)
    redis.call('HDEL', record, 'ended', 'first', 'lapses')
    redis.call('HSET', record, 'attempt', 0)
    count('redriven:' .. known[2])
    answers[i] = known[2]
  end
end
return tallied(answers)
