-- Put messages to another time, if they are still as they were read; they wait here then, and no more at the gateway.
-- KEYS  11.. records
-- ARGV  state they are in: scheduled or queued; then for each: id, body as read, new body, due, expires
-- ->    for each 1, or 0 when something else was first
local answers, FIELDS = {}, fields('body')
for i = 1, #KEYS - 10 do
  local record, a = KEYS[10 + i], 2 + (i - 1) * 5
  local known = read(record, FIELDS)
  answers[i] = 0
  if known.status == ARGV[1] and known.body == ARGV[a + 1] then
    redis.call('HSET', record, 'body', ARGV[a + 2], 'due', ARGV[a + 3], 'expires', ARGV[a + 4])
    redis.call('HDEL', record, 'gateway_due')
    if known.status == 'scheduled' then
      redis.call('ZADD', KEYS[1], ARGV[a + 3], ARGV[a])
    else
      move(record, ARGV[a], known, 'scheduled', ARGV[a + 3])
    end
    answers[i] = 1
  end
end
return tallied(answers)
