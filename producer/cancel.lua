-- Cancel what is surely not sent, each in one step: after it, nobody can claim it.
-- KEYS  11 stopping, 12.. records   ARGV  now, ms to keep, '1' if the gateway can stop what it keeps, then the ids
-- ->    for each id 'cancelled:<was>', 'asked:<is>', 'too_late:<is>' or 'unknown'
local SURELY_NOT_SENT, answers, FIELDS = {scheduled = true, queued = true, dead = true}, {}, fields('gateway_due')
for i = 1, #KEYS - 11 do
  local record, id = KEYS[11 + i], ARGV[3 + i]
  local known = read(record, FIELDS)
  local from = known.status
  if not from then
    answers[i] = 'unknown'
  elseif SURELY_NOT_SENT[from] and move(record, id, known, 'cancelled', 0, 'ended', ARGV[1]) then
    redis.call('PEXPIRE', record, ARGV[2])
    count('cancelled:' .. known.lane)
    answers[i] = 'cancelled:' .. from
  elseif from == 'sent' and ARGV[3] == '1' and known.gateway_due and tonumber(known.gateway_due) > tonumber(ARGV[1]) then
    redis.call('ZADD', KEYS[11], ARGV[1], id)
    answers[i] = 'asked:' .. from
  else
    answers[i] = 'too_late:' .. from
  end
end
return tallied(answers)
