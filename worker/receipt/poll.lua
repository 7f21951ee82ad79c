-- Write down when messages without a receipt are asked for again; what they told went through receipt.lua before.
-- KEYS  11.. records   ARGV  now, ms to keep, then for each: id, when to ask again (0: never), 1 when the ask counts
-- ->    for each 'again', 'unknown', or '' when its end is known by now
local answers, FIELDS = {}, fields()
for i = 1, #KEYS - 10 do
  local record, a = KEYS[10 + i], 3 + (i - 1) * 3
  local known = read(record, FIELDS)
  answers[i] = ''
  if known.status == 'sent' then
    if ARGV[a + 2] == '1' then redis.call('HINCRBY', record, 'asks', 1) end
    if ARGV[a + 1] ~= '0' then
      redis.call('ZADD', KEYS[8], ARGV[a + 1], ARGV[a])
      answers[i] = 'again'
    elseif move(record, ARGV[a], known, 'unknown', 0, 'ended', ARGV[1], 'code', 'no_receipt', 'reason', 'no_receipt', 'owner', 'gateway') then
      redis.call('PEXPIRE', record, ARGV[2])
      count('unknown:no_receipt:gateway')
      answers[i] = 'unknown'
    end
  end
end
return tallied(answers)
