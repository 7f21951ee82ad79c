-- Put dead letters back on their lanes, each once, however many ask for it. They count in the budgets of today.
-- KEYS  11.. records   ARGV  now, today (YYYYMMDD), then the ids
-- ->    for each id its lane, 'expired' when its validity is over, 'over' when its budget has no room for it any more,
--       'erased' when its number and text are gone, or '' when it is no dead letter (any more)
local answers, FIELDS = {}, fields('expires', 'counted', 'centre', 'producer', 'erased')
for i = 1, #KEYS - 10 do
  local record, id = KEYS[10 + i], ARGV[2 + i]
  local known = read(record, FIELDS)
  local counted_before = tonumber(known.counted) or 0
  local more = (tonumber(known.estimate) or 0) - counted_before
  if known.status ~= 'dead' then
    answers[i] = ''
  elseif known.erased then
    answers[i] = 'erased'
  elseif tonumber(known.expires) <= tonumber(ARGV[1]) then
    answers[i] = 'expired'
  elseif known.period and more > 0 and over(known.centre or '', known.producer or '', more, ARGV[2]) then
    answers[i] = 'over'
  else
    if known.period and counted_before == 0 then redis.call('HSET', record, 'period', ARGV[2]) end
    move(record, id, known, 'queued', ARGV[1], 'attempt', 0)
    redis.call('PERSIST', record)
    redis.call('HDEL', record, 'ended', 'first', 'lapses')
    count('redriven:' .. known.lane)
    answers[i] = known.lane
  end
end
return tallied(answers)
