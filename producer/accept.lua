-- Take up to 100 messages into the house: all records are written before any of them is put on a lane.
-- Intake ends a little below the memory ceiling of Redis, so that what was taken in can still be sent.
-- KEYS  10 suppressed, 11.. records
-- ARGV  now, share of the ceiling that intake may fill, then for each record: id, to, lane, parts, due (0: at once), expires, print, cost centre, body
-- ->    for each record: 'new:<status>', 'same:<status>', 'conflict', or the JSON of what suppresses it; {'full'}
local FIELDS = 9
local now = ARGV[1]
local memory = redis.call('INFO', 'memory')
local ceiling = tonumber(string.match(memory, 'maxmemory:(%d+)'))
if ceiling > 0 and tonumber(string.match(memory, 'used_memory:(%d+)')) > ceiling * ARGV[2] then return {'full'} end
local answers = {}
for i = 1, #KEYS - 10 do
  local record, a = KEYS[10 + i], 3 + (i - 1) * FIELDS
  local id, to, lane, due, print = ARGV[a], ARGV[a + 1], ARGV[a + 2], ARGV[a + 4], ARGV[a + 6]
  local known = redis.call('HMGET', record, 'status', 'print')
  local suppressed = not known[1] and redis.call('HGET', KEYS[10], to)
  if known[1] then
    local same = (known[2] or '') == print
    answers[i] = same and 'same:' .. known[1] or 'conflict'
    count(same and 'repeated:' .. lane or 'refused:409')
  elseif suppressed then
    answers[i] = suppressed
    count('refused:' .. (string.match(suppressed, '"code":"?(%d+)') or '122'))
  else
    redis.call('HSET', record, 'lane', lane, 'to', to, 'parts', ARGV[a + 3], 'accepted', now,
      'expires', ARGV[a + 5], 'body', ARGV[a + 8])
    if print ~= '' then redis.call('HSET', record, 'print', print) end
    if ARGV[a + 7] ~= '' then redis.call('HSET', record, 'centre', ARGV[a + 7]) end
    local waits = due ~= '0'
    if waits then redis.call('HSET', record, 'due', due) end
    local status = waits and 'scheduled' or 'queued'
    place(record, id, lane, status, waits and due or now)
    count('accepted:' .. lane)
    count('parts:' .. lane, tonumber(ARGV[a + 3]))
    answers[i] = 'new:' .. status
  end
end
return tallied(answers)
