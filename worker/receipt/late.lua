-- Tell producers, once, of messages that were sent and have no receipt in time.
-- KEYS  11 late, 12.. records   ARGV  the ids
-- ->    for each id 1 when it was told, or 0
local answers = {}
for i = 1, #KEYS - 11 do
  local record, id = KEYS[11 + i], ARGV[i]
  answers[i] = 0
  if redis.call('ZREM', KEYS[11], id) == 1 then
    local known = redis.call('HMGET', record, 'status', 'producer', 'client', 'lane', 'to', 'sent')
    if known[1] == 'sent' then
      tell('type', 'late', 'id', id, 'producer', known[2], 'client', known[3], 'lane', known[4], 'to', known[5], 'sent', known[6])
      count('late:' .. known[4])
      answers[i] = 1
    end
  end
end
return tallied(answers)
