-- End queued messages whose validity is over; what is claimed meanwhile is left to its attempt.
-- KEYS  11.. records   ARGV  now, ms to keep what ends here, then the ids
-- ->    for each id 1, or 0 when it is still valid or not queued any more
local now, answers, FIELDS = tonumber(ARGV[1]), {}, fields('expires')
for i = 1, #KEYS - 10 do
  local record, id = KEYS[10 + i], ARGV[2 + i]
  local known = read(record, FIELDS)
  answers[i] = 0
  if known.status == 'queued' and tonumber(known.expires) <= now and move(record, id, known, 'expired', 0, 'ended', ARGV[1]) then
    redis.call('PEXPIRE', record, ARGV[2])
    answers[i] = 1
  end
end
return tallied(answers)
