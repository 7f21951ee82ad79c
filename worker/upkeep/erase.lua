-- Erase whom messages were for and what they said: what they cost, when they went and what became of them stays.
-- KEYS  11.. records
-- ARGV  now, number ('': whoever's, if it ended before the next), ended before, then the ids
-- ->    for each 'erased', 'waits' (it is still to be sent), 'under_way' (an attempt has no known end), or '' (it is not
--       meant, or was erased before)
local NOT_YET = {scheduled = 'waits', queued = 'waits', sending = 'under_way', in_doubt = 'under_way'}
local number, before, answers, FIELDS = ARGV[2], tonumber(ARGV[3]), {}, fields('to', 'ended', 'erased')
for i = 1, #KEYS - 10 do
  local record = KEYS[10 + i]
  local known = read(record, FIELDS)
  local ended = known.status ~= 'sent' and not NOT_YET[known.status] and tonumber(known.ended)
  local meant = number ~= '' and known.to == number or number == '' and ended and ended <= before
  answers[i] = ''
  if known.status and meant and not known.erased then
    answers[i] = NOT_YET[known.status] or 'erased'
    if answers[i] == 'erased' then
      redis.call('HDEL', record, 'to', 'body', 'print', 'client', 'text', 'reports')
      redis.call('HSET', record, 'erased', ARGV[1])
      count('erased:' .. known.lane)
    end
  end
end
return tallied(answers)
